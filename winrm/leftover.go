package winrm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/wsman"
)

// ShellInfo describes a shell on the host, whoever opened it.
type ShellInfo struct {
	ID          string
	Name        string
	ResourceURI string // what kind of shell: .../windows/shell/cmd for command shells
	Owner       string // account
	ClientIP    string
	State       string        // "Connected" or "Disconnected"; command shells may have none
	Running     time.Duration // since it was opened
	Idle        time.Duration // since the last request about it

	// Ours says that this package opened it, in this process or another: its id
	// has the form of ours.
	Ours bool
}

// shellRow is rsp:Shell as text.
type shellRow struct {
	ShellId, Name, ResourceUri, Owner, ClientIP, State string //nolint:revive // spelt as in the message
	ShellRunTime, ShellInactivity                      string
}

// Shells returns the shells on the host that the account may see.
func (c *Client) Shells(ctx context.Context) iter.Seq2[ShellInfo, error] {
	return func(yield func(ShellInfo, error) bool) {
		for row, err := range wsman.EnumerateAs[shellRow](ctx, c.wsman, wsman.Resource{URI: wsmv.URIShell}, nil) {
			if err != nil {
				yield(ShellInfo{}, fmt.Errorf("winrm: list shells: %w", err))
				return
			}
			// A duration that cannot be read is as good as none: 0 never looks
			// like a shell that was forgotten.
			running, _ := wsman.ParseDuration(row.ShellRunTime)
			idle, _ := wsman.ParseDuration(row.ShellInactivity)
			info := ShellInfo{
				ID: row.ShellId, Name: row.Name, ResourceURI: row.ResourceUri, Owner: row.Owner, ClientIP: row.ClientIP,
				State: row.State, Running: running, Idle: idle, Ours: isOurs(row.ShellId),
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// CloseLeftoverShells deletes command shells that this package opened, in
// whatever process, and that nobody has used for at least idle. It returns how
// many it deleted. Programs that may run at the same time set idle longer than
// their commands are silent: a Receive counts as use, once a minute or oftener.
func (c *Client) CloseLeftoverShells(ctx context.Context, idle time.Duration) (int, error) {
	var found []ShellInfo
	for info, err := range c.Shells(ctx) {
		if err != nil {
			return 0, err
		}
		if info.Ours && info.Idle >= idle && !c.owns(info.ID) {
			found = append(found, info)
		}
	}
	n := 0
	var errs []error
	for _, info := range found {
		s := &Shell{client: c, id: info.ID}
		if err := s.remove(ctx, "leftover"); err != nil {
			errs = append(errs, fmt.Errorf("winrm: close shell %s: %w", info.ID, err))
			continue
		}
		n++
	}
	return n, errors.Join(errs...)
}

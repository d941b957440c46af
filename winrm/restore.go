package winrm

import (
	"context"
	"errors"
	"time"

	"github.com/winrmkit/winrmkit/internal/hostscript"
)

// RestoreOptions say what [Client.RestoreCredSSP] looks for.
type RestoreOptions struct {
	// Store is where the notes of killed processes are; nil looks at none. Notes
	// of processes that still run are left alone, where the store can tell.
	Store CredSSPStore
	// Sweep ends every lease on the host, whoever took it, except those of notes
	// in the Store whose process runs. It finds what no note tells of.
	Sweep bool
}

// A RestoredCredSSP is a lease that was ended.
type RestoredCredSSP struct {
	ID string
	// State is "restored" when the old value is back, "shared" when other leases
	// keep CredSSP on, "gone" when the host had done it before, and "policy" when
	// group policy decides now.
	State string
	Was   bool // the value before the first lease; not known when State is "gone"
}

// RestoreCredSSP finishes what [Client.WithCredSSP] could not, in a process that
// was killed. It can be repeated: what is done is not done again. One lease that cannot
// be ended, or one note that cannot be read, does not keep it from the others; the error
// joins what went wrong, and then nothing is swept.
func (c *Client) RestoreCredSSP(ctx context.Context, o RestoreOptions) (done []RestoredCredSSP, err error) {
	running := map[string]bool{}
	if o.Store != nil {
		var notes []CredSSPIntent
		notes, err = o.Store.List(ctx) // what can be read of them, with an error too
		for _, in := range notes {
			running[in.ID] = in.Running
			if !in.abandoned(c.endpoint) {
				continue
			}
			r, endErr := c.endLease(ctx, in.ID, in.Lease, time.Since(in.Created) < beginsWithin)
			if endErr != nil {
				err = errors.Join(err, endErr) // the others are to be ended all the same
				continue
			}
			done = append(done, r)
			err = errors.Join(err, o.Store.Delete(ctx, in.ID))
		}
	}
	if !o.Sweep || err != nil { // a note that cannot be read may be of one that runs
		return done, err
	}
	lines, err := c.script(ctx, hostscript.Call{Op: hostscript.OpLeases})
	if err != nil {
		return done, err
	}
	for _, l := range lines {
		id := l["id"]
		if running[id] {
			continue
		}
		if !hostscript.ValidID(id) {
			err = errors.Join(err, &HostScriptError{Script: string(hostscript.OpLeases), Output: "a lease with the id " + id})
			continue
		}
		r, endErr := c.endLease(ctx, id, 0, false)
		if endErr != nil {
			err = errors.Join(err, endErr)
			continue
		}
		done = append(done, r)
	}
	return done, err
}

// beginsWithin is how long after its note a script may still begin: a host that
// takes longer has ended it for its lost client.
const beginsWithin = 5 * time.Minute

func (c *Client) endLease(ctx context.Context, id string, within time.Duration, late bool) (RestoredCredSSP, error) {
	st, err := c.release(ctx, id, late)
	if err != nil {
		return RestoredCredSSP{}, &CredSSPRestoreError{Endpoint: c.endpoint, ID: id, Within: within, Err: err}
	}
	return RestoredCredSSP{ID: id, State: st.State, Was: st.Was}, nil
}

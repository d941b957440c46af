package winrm

import (
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/wsman"
)

// Pauses between attempts to reach a host again. They vary by a fifth, so that a
// thousand hosts behind one switch are not asked in the same instant.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 5 * time.Second
)

// An outage is a time in which the host of a running command cannot be reached.
// The zero value is one that has not begun.
type outage struct {
	began time.Time
	tries int
}

// endure waits before the next attempt to reach the host. It reports false when
// err is no outage, when it has lasted for longer than [Config.ReconnectTimeout],
// and when stop is closed.
func (o *outage) endure(c *Client, err error, stop <-chan struct{}) bool {
	limit := c.cfg.ReconnectTimeout
	if limit <= 0 || !unreached(err) {
		return false
	}
	now := time.Now()
	if o.tries == 0 {
		o.began = now
	}
	left := limit - now.Sub(o.began)
	if left <= 0 {
		return false
	}
	pause := min(firstPause<<min(o.tries, 10), longPause)
	pause = min(pause+time.Duration((rand.Float64()-0.5)*0.4*float64(pause)), left)
	o.tries++
	c.cfg.Logger.Warn("winrm: host cannot be reached, trying again", "host", c.endpoint, "pause", pause, "error", err)
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-stop:
		return false
	}
}

// unreached reports whether a request did not get to the host, for a reason that
// may pass: the network, a host or a directory that does not answer. A word of the
// host, of a proxy or of a directory is no such reason, and neither is a request
// that may have arrived.
func unreached(err error) bool {
	if faultCode(err) != 0 || unanswered(err) {
		return false
	}
	if _, ok := errors.AsType[*wsman.StatusError](err); ok {
		return false
	}
	if logon, ok := errors.AsType[*auth.Error](err); ok && (logon.Refused || logon.Remembered || logon.Status != 0) {
		return false
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && isAlert(op) {
		return false
	}
	if dial, ok := errors.AsType[*auth.DialError](err); ok && dial.Stage == "dial" {
		return true // whatever a dialer of the caller's says
	}
	if lost, ok := errors.AsType[*auth.ConnectionLostError](err); ok {
		return !lost.Sent
	}
	return isNetwork(err)
}

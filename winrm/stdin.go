package winrm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/wsman"
)

const (
	firstSendSize = 150 << 10 // the limit of hosts before 2012, and of cautious ones
	minSendSize   = 8 << 10   // Windows takes no smaller MaxEnvelopeSize
	readSize      = 32 << 10
	busyTries     = 3
	busyDelay     = 5 * time.Second
)

// sendLimit is how large an envelope may be, as far as the host has shown. It
// belongs to the Client: what one command has learned holds for the next.
type sendLimit struct {
	mu       sync.Mutex
	size     int
	ceiling  int
	doubtful bool // a 413 may be forged, see Client.forgeable
	asking   bool // one envelope that does nothing is on its way
}

func (l *sendLimit) init(ceiling int, doubtful bool) {
	l.ceiling, l.doubtful = max(ceiling, minSendSize), doubtful
	l.size = min(firstSendSize, l.ceiling)
}

func (l *sendLimit) current() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// passed is told of an envelope that the host has taken. It returns the size,
// or 0, that the host is to be asked about before data are sent in it.
func (l *sendLimit) passed(size int) (ask int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if size <= l.size/4*3 || l.size == l.ceiling {
		return 0
	}
	if !l.doubtful {
		l.size = min(2*l.size, l.ceiling)
		return 0
	}
	if l.asking {
		return 0
	}
	l.asking = true
	return l.ceiling
}

// asked is told whether the host has taken an envelope of the size that passed
// returned.
func (l *sendLimit) asked(size int, taken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asking = false
	if !taken {
		l.ceiling = max(size/2, min(l.size, l.ceiling))
		return
	}
	l.size = min(size, l.ceiling)
}

// refused is told of one that was too large. It reports whether a smaller one may
// be tried with the same data.
func (l *sendLimit) refused(size int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if size <= minSendSize {
		return false
	}
	l.ceiling = min(l.ceiling, max(size/2, minSendSize))
	l.size = min(l.size, l.ceiling)
	return !l.doubtful
}

// A stdinPump carries a reader to the command. One goroutine reads, another
// sends what has been read meanwhile, so that a Send is on its way while the
// next piece is being read, and what is typed is sent at once.
type stdinPump struct {
	e        *execution
	r        io.Reader // nil: the input comes in messages
	overhead int       // bytes of a Send without data

	mu      sync.Mutex
	cond    *sync.Cond
	buf     []byte // read, not yet sent
	queue   inputQueue
	lean    bool // let go of memory when there is nothing to send
	eof     bool
	err     error // of the reader, not io.EOF
	stopped bool

	crowded bool          // of the sender: more messages waited than there was room for
	stream  wsmv.Send     // what the next Send says
	request wsman.Request // a Send

	ctx    context.Context // of the Sends
	cancel context.CancelFunc
	ended  chan struct{} // closed when nothing is sent any more
}

func newStdinPump(e *execution, r io.Reader) *stdinPump {
	p := &stdinPump{e: e, r: r, ended: make(chan struct{})}
	p.cond = sync.NewCond(&p.mu)
	p.ctx, p.cancel = context.WithCancel(auth.WithPriority(e.ctx, auth.Control))
	return p
}

func (p *stdinPump) begin() {
	p.overhead = p.e.sendOverhead()
	p.stream.Streams = []wsmv.Stream{{Name: wsmv.Stdin, CommandID: p.e.id}}
	p.request = wsman.Request{Action: wsmv.ActionSend, Body: p.stream.Encode}
	if p.r != nil {
		go p.read() // not waited for: the caller's Read may never return
	}
	p.e.client.goTask(p.send)
}

// stop ends the pump because the command has ended. A Send that is under way
// may finish: cutting it off would cost its connection.
func (p *stdinPump) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.cond.Broadcast()
	time.AfterFunc(time.Second, p.cancel)
}

func (p *stdinPump) read() {
	scratch := make([]byte, readSize)
	for {
		n, err := p.r.Read(scratch)
		p.mu.Lock()
		p.buf = append(p.buf, scratch[:n]...)
		if err != nil {
			p.eof = true
			if err != io.EOF {
				p.err = err
			}
		}
		p.cond.Broadcast()
		for len(p.buf) >= p.e.client.send.current() && !p.stopped && err == nil {
			p.cond.Wait()
		}
		stopped := p.stopped
		p.mu.Unlock()
		if err != nil || stopped {
			return
		}
	}
}

// next waits for data or the end of the input. spare is used for what is read
// from now on; sent is to be called when data has been sent.
func (p *stdinPump) next(spare []byte) (data []byte, sent []func(), end, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 && len(p.queue.messages) == 0 && !p.eof && !p.stopped {
		if p.lean {
			p.queue.scratch, p.lean = nil, false
		}
		p.cond.Wait()
	}
	if p.stopped {
		return nil, nil, false, false
	}
	defer p.cond.Broadcast()
	if p.r == nil {
		data, sent = p.queue.take(p.room())
		p.crowded = len(p.queue.messages) > 0
		return data, sent, p.eof && !p.crowded, true
	}
	data, end = p.buf, p.eof
	p.buf = spare[:0]
	if n := p.room(); len(data) > n {
		// As much as one Send holds: a rest would cost an exchange of its own.
		p.buf = append(p.buf, data[n:]...)
		data, end = data[:n], false
	}
	return data, nil, end, true
}

// room is how many bytes of input one Send holds.
func (p *stdinPump) room() int {
	return max((p.e.client.send.current()-p.overhead)/4*3, 1<<10)
}

func (p *stdinPump) send() {
	defer close(p.ended)
	defer p.cancel()
	defer p.refuse()
	var spare []byte
	for {
		data, sent, end, ok := p.next(spare)
		if !ok {
			return
		}
		err := p.sendAll(data, end)
		switch {
		case errors.Is(err, errCommandEnded):
			return
		case p.e.isDone():
			// It has ended, by itself or not. Whether it had this piece before is
			// known when the host has answered; we end a Send only after that.
			if unanswered(err) && p.ctx.Err() == nil {
				p.e.noteInput(err)
			}
			return
		case err != nil:
			p.e.inputFailed(err)
			return
		case end:
			p.mu.Lock()
			err = p.err
			p.mu.Unlock()
			if err != nil {
				p.e.noteInput(fmt.Errorf("winrm: read input: %w", err))
			}
			return
		}
		for _, fn := range sent {
			fn()
		}
		spare = data
	}
}

var errCommandEnded = errors.New("the command has ended")

// sendAll sends data, and with end the end of the input, in as many pieces as
// it takes.
func (p *stdinPump) sendAll(data []byte, end bool) error {
	busy := 0
	var out outage
	for {
		n := min(len(data), p.room())
		last := end && n == len(data)
		err := p.sendOne(data[:n], last)
		status, _ := errors.AsType[*wsman.StatusError](err)
		switch code := faultCode(err); {
		case err == nil:
			size := p.overhead + n/3*4
			if p.crowded {
				size = max(size, p.e.client.send.current()) // it would have been, but for whole messages
			}
			p.ask(p.e.client.send.passed(size))
		case code == wsman.ErrTimedOut:
			// The host may still be handing the bytes to the command. Sent
			// again, they would arrive twice.
		case code == codeBusy && busy < busyTries:
			// It is, and has not taken these.
			busy++
			if !p.sleep(busyDelay) {
				return errCommandEnded
			}
			continue
		case status != nil && status.Status == http.StatusRequestEntityTooLarge:
			// Refused before it was read, if it is the host who says so.
			if p.e.client.send.refused(p.overhead + (n+2)/3*4) {
				continue
			}
			return &InputLostError{Err: err}
		case code == codeUnknownID, isWin32(code, codeBrokenPipe), isWin32(code, codePipeClosing):
			// Nobody reads any more: the command has ended, or wants no more
			// input. As os/exec does, this is left to the command's exit code.
			return errCommandEnded
		case out.endure(p.e.client, err, p.e.done):
			continue // it was not sent
		default:
			return &InputLostError{Err: err}
		}
		busy, out = 0, outage{}
		data = data[n:]
		if len(data) == 0 {
			return nil
		}
	}
}

func (p *stdinPump) sendOne(data []byte, end bool) error {
	s := &p.stream.Streams[0]
	s.Data, s.End = data, end
	return p.e.shell.do(p.ctx, &p.request, nil)
}

// ask finds out whether the host takes an envelope of this size, by one that
// changes nothing.
func (p *stdinPump) ask(size int) {
	if size == 0 {
		return
	}
	resp, err := p.e.client.wsman.Do(p.ctx, &wsman.Request{
		Action:   wsman.ActionGet,
		Resource: wsman.Resource{URI: wsmv.URIShell, Selectors: shellSelector(p.e.shell.id)},
		Header: func(e *wsman.Encoder) {
			e.Start("pad:Padding") // nobody must understand it
			e.Namespace("pad", "urn:winrmkit:padding")
			e.Text(strings.Repeat("=", max(size-p.overhead, 0)))
			e.End()
		},
	})
	if err == nil {
		resp.Close()
	}
	code := faultCode(err) // a fault is sealed: it is the host's
	p.e.client.send.asked(size, err == nil || code != 0 && code != wsman.ErrEnvelopeTooLarge)
}

func (p *stdinPump) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.e.done:
		return false
	}
}

// sendOverhead is the size of a Send of this command without data.
func (e *execution) sendOverhead() int {
	c := e.client
	h := wsman.Header{
		Action: wsmv.ActionSend, To: c.endpoint, ReplyTo: wsman.AddressAnonymous, MessageID: wsman.NewUUID(),
		Resource:         wsman.Resource{URI: wsmv.URICmd, Selectors: shellSelector(e.shell.id)},
		OperationTimeout: c.cfg.OperationTimeout, MaxEnvelopeSize: c.cfg.MaxEnvelopeSize,
		Locale: c.cfg.Locale, DataLocale: c.cfg.Locale, SessionID: c.wsman.SessionID(),
	}
	body := wsmv.Send{Streams: []wsmv.Stream{{Name: wsmv.Stdin, CommandID: e.id, End: true}}}
	enc := wsman.NewEncoder(nil)
	wsman.WriteEnvelope(enc, &h, body.Encode)
	const slack = 256 // for what a later version of the envelope may add
	return enc.Len() + slack
}

// noteInput remembers an error of the input that the command survives.
func (e *execution) noteInput(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.inputErr == nil {
		e.inputErr = err
	}
}

// inputFailed ends the command: what it makes of half its input is not what was
// asked for.
func (e *execution) inputFailed(err error) {
	e.noteInput(err)
	e.kill()
}

package winrm

import "io"

// An inputQueue remembers where messages end in the input of a command. A Send has
// whole messages, or a part of one: when it is lost, so are those and nothing of
// any other.
type inputQueue struct {
	messages []inputMessage
	begun    bool // a part of the first one was taken
}

// An inputMessage is one that was not taken as a whole yet.
type inputMessage struct {
	left int
	sent func() // may be nil
}

// take says how many bytes the next Send has, at most room, and what to call when it
// was sent.
func (q *inputQueue) take(room int) (n int, sent []func()) {
	for len(q.messages) > 0 {
		m := &q.messages[0]
		if m.left > room-n {
			if n == 0 {
				n, q.begun = room, true
				m.left -= room
			}
			break
		}
		n += m.left
		if m.sent != nil {
			sent = append(sent, m.sent)
		}
		q.messages = q.messages[1:]
		if q.begun { // the rest of one goes alone
			q.begun = false
			break
		}
	}
	return n, sent
}

// put gives the command a message, and waits while what has been put is enough for a
// Send. It returns io.ErrClosedPipe when the command takes no more. sent, if not nil,
// is called when the host has taken the message.
func (p *stdinPump) put(message []byte, sent func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) > 0 && len(p.buf)+len(message) > p.e.client.send.current() && !p.stopped {
		p.cond.Wait()
	}
	if p.stopped || p.eof {
		return io.ErrClosedPipe
	}
	p.add(message, sent)
	p.cond.Broadcast()
	return nil
}

// add is put without the wait; p.mu is held, or nobody has p yet.
func (p *stdinPump) add(message []byte, sent func()) {
	if len(message) == 0 {
		return
	}
	p.buf = append(p.buf, message...)
	p.queue.messages = append(p.queue.messages, inputMessage{len(message), sent})
}

// rest says that nothing will be sent for a while.
func (p *stdinPump) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lean = true
	p.cond.Broadcast()
}

// end ends the input.
func (p *stdinPump) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.eof = true
	p.cond.Broadcast()
}

// refuse lets put fail from now on: nothing is sent any more.
func (p *stdinPump) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.cond.Broadcast()
}

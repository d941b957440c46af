package winrm

import (
	"bytes"
	"io"
	"slices"
)

// An inputQueue holds the input of a command that comes in messages. A Send has whole
// messages, or a part of one: when it is lost, so are those and nothing of any other.
type inputQueue struct {
	messages []inputMessage
	size     int    // of what is left of them
	begun    bool   // a part of the first one was taken
	scratch  []byte // for several in one Send
}

// An inputMessage is what was not taken yet of one.
type inputMessage struct {
	data []byte
	sent func() // may be nil
}

// take returns what the next Send has, at most room, and what to call when it was sent.
// It is valid until the next call.
func (q *inputQueue) take(room int) (data []byte, sent []func()) {
	if len(q.messages) == 0 {
		return nil, nil
	}
	if first := &q.messages[0]; len(first.data) > room {
		data, first.data, q.begun = first.data[:room], first.data[room:], true
		q.size -= room
		return data, nil
	}
	n, count := 0, 0
	for _, m := range q.messages {
		if n += len(m.data); n > room || q.begun && count > 0 { // the rest of one goes alone
			break
		}
		count++
	}
	q.begun = false
	data = q.messages[0].data
	if count > 1 {
		data = q.scratch[:0]
		for _, m := range q.messages[:count] {
			data = append(data, m.data...)
		}
		q.scratch = data
	}
	for _, m := range q.messages[:count] {
		q.size -= len(m.data)
		if m.sent != nil {
			sent = append(sent, m.sent)
		}
	}
	q.messages = slices.Delete(q.messages, 0, count)
	return data, sent
}

// put gives the command a copy of a message, and waits while what has been put is enough
// for a Send. It returns io.ErrClosedPipe when the command takes no more. sent, if not
// nil, is called when the host has taken the message.
func (p *stdinPump) put(message []byte, sent func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.queue.size > 0 && p.queue.size+len(message) > p.e.client.send.current() && !p.stopped {
		p.cond.Wait()
	}
	return p.add(bytes.Clone(message), sent)
}

// lend is put without a copy and without a wait: the message must not be changed before
// sent is called.
func (p *stdinPump) lend(message []byte, sent func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.add(message, sent)
}

func (p *stdinPump) add(message []byte, sent func()) error {
	if p.stopped || p.eof {
		return io.ErrClosedPipe
	}
	if len(message) > 0 {
		p.queue.messages = append(p.queue.messages, inputMessage{message, sent})
		p.queue.size += len(message)
		p.cond.Broadcast()
	}
	return nil
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

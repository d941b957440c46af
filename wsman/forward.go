package wsman

import (
	"bytes"
	"context"
)

// Forward sends a message that something else has written, and returns the
// answer as it came, once that is known to be well formed and no fault. It is
// for programs that stand between two others. The errors are those of
// [Client.Do]; a message that is not well formed, or no envelope, is not sent.
//
// The message says itself how long the server may take; the Client's
// OperationTimeout goes for those that do not.
func (c *Client) Forward(ctx context.Context, envelope []byte) ([]byte, error) {
	// The decoder resolves references in place, so it gets a copy.
	d := NewDecoderLimits(bytes.Clone(envelope), Limits{Size: len(envelope) + 1})
	h, err := ReadEnvelope(d)
	if err == nil {
		err = d.Finish()
	}
	if err != nil {
		return nil, err
	}
	if h.OperationTimeout <= 0 {
		h.OperationTimeout = c.cfg.OperationTimeout
	}
	var answer []byte
	x := exchange{
		client: c, action: h.Action, messageID: h.MessageID, wait: h.OperationTimeout + c.cfg.ReceiveMargin,
		copyAnswer: func(data []byte) { answer = bytes.Clone(data) },
	}
	resp, err := x.run(ctx, append(getBuffer(), envelope...))
	if err != nil {
		return nil, err
	}
	defer resp.Close()
	if err := resp.Body(func(*Decoder) error { return nil }); err != nil {
		return nil, err
	}
	return answer, nil
}

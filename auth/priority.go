package auth

import "context"

// A Priority says who gets a connection first when all are in use.
type Priority int

const (
	// Normal is every request that is not marked.
	Normal Priority = iota
	// LongPoll marks requests that the server holds until there is something
	// to say, such as Receive. They never take the last connection.
	LongPoll
	// Control marks requests that are short and urgent, such as Signal, Send
	// and Delete. They go first.
	Control
)

func (p Priority) String() string {
	switch p {
	case LongPoll:
		return "long poll"
	case Control:
		return "control"
	default:
		return "normal"
	}
}

type priorityKey struct{}

// WithPriority marks the requests that carry the context.
func WithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}

// priorityOf returns the mark of ctx.
func priorityOf(ctx context.Context) Priority {
	p, _ := ctx.Value(priorityKey{}).(Priority)
	return p
}

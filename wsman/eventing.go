package wsman

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"time"
)

// DeliveryPull is the one delivery mode of events that a client without a
// listener of its own can use: it asks for them.
const DeliveryPull = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Pull"

// BookmarkEarliest asks for all events that the source still has.
const BookmarkEarliest = "http://schemas.dmtf.org/wbem/wsman/1/wsman/bookmark/earliest"

// SubscribeOptions adjust a subscription.
type SubscribeOptions struct {
	// Filter picks the events. For the event log see [EventQuery].
	Filter *Filter

	// Bookmark is where to begin: [BookmarkEarliest], or the Bookmark of an
	// [Event]. "": with events that happen from now on.
	Bookmark string

	// NoBookmarks leaves bookmarks out of the events.
	NoBookmarks bool

	// Expires is how long the subscription shall live; 0 leaves it to the
	// server.
	Expires time.Duration

	// Heartbeats asks for an answer at least this often, with or without
	// events; 0 for none.
	Heartbeats time.Duration

	// MaxElements is the number of events of one answer. 0: 20.
	MaxElements int

	// OperationTimeout of each request; 0 means the client's.
	OperationTimeout time.Duration
}

// EventQuery is a filter for the Windows event log: the XML of a query list,
// as the event viewer shows it.
//
//	<QueryList><Query Id="0"><Select Path="System">*[System[Level=2]]</Select></Query></QueryList>
func EventQuery(queryList string) *Filter {
	return &Filter{Dialect: DialectEventQuery, Body: func(e *Encoder) { e.Raw([]byte(queryList)) }}
}

// EventLogResource is the event log, its events as XML text with or without
// the message rendered in the client's language.
func EventLogResource(rendered bool) Resource {
	format := "Events"
	if rendered {
		format = "RenderedText"
	}
	return Resource{URI: URIEventLog, Options: []Option{
		{Name: "CDATA", Null: true},
		{Name: "ContentFormat", Value: format},
		{Name: "IgnoreChannelError", Null: true},
	}}
}

// Event is one event of a subscription.
type Event struct {
	// Action tells kinds of events apart; "" if the source does not.
	Action string
	// XML is the event itself: its text if it came as text (event log with
	// option CDATA), the element as it was written otherwise.
	XML string
	// Bookmark is where to go on after this event, or after the answer that it
	// came with. "" if the source sends none.
	Bookmark string
}

// Subscription delivers events of a source. Its owner must call Unsubscribe,
// or leave it to expire on the server.
type Subscription struct {
	client     *Client
	res        Resource
	opts       SubscribeOptions
	context    string
	identifier string
	manager    EndpointReference
	bookmark   string
	done       bool
}

// Subscribe asks a source for events, by pull delivery. See [MS-WSMV] section
// 3.1.4.6.1 and DSP0226 section 10.
func (c *Client) Subscribe(ctx context.Context, r Resource, o *SubscribeOptions) (*Subscription, error) {
	s := &Subscription{client: c, res: r}
	if o != nil {
		s.opts = *o
	}
	if s.opts.MaxElements <= 0 {
		s.opts.MaxElements = 20
	}
	req := &Request{Action: ActionSubscribe, Resource: r, OperationTimeout: s.opts.OperationTimeout, Body: s.encode}
	if err := c.call(ctx, req, s.decode); err != nil {
		return nil, err
	}
	if s.context == "" {
		return nil, &ResponseError{Action: ActionSubscribe, Err: &EnvelopeError{Msg: "it has no enumeration context to pull with"}}
	}
	return s, nil
}

func (s *Subscription) encode(e *Encoder) {
	e.Start("e:Subscribe")
	e.Namespace("e", NSEventing)
	e.Start("e:Delivery")
	e.Attr("Mode", DeliveryPull)
	if s.opts.Heartbeats > 0 {
		e.Element("w:Heartbeats", FormatDuration(s.opts.Heartbeats))
	}
	e.Element("w:MaxElements", strconv.Itoa(s.opts.MaxElements))
	e.Start("w:Locale")
	e.Attr("xml:lang", s.client.cfg.Locale)
	e.End()
	e.Element("w:ContentEncoding", "UTF-8")
	e.End()
	if s.opts.Expires > 0 {
		e.Element("e:Expires", FormatDuration(s.opts.Expires))
	}
	encodeFilter(e, s.opts.Filter)
	if b := s.opts.Bookmark; b != "" {
		e.Start("w:Bookmark")
		if b[0] == '<' {
			e.Raw([]byte(b))
		} else {
			e.Text(b)
		}
		e.End()
	}
	if !s.opts.NoBookmarks {
		e.Empty("w:SendBookmarks")
	}
	e.End()
}

func (s *Subscription) decode(d *Decoder) error {
	for n := range d.Children() {
		if n != (Name{NSEventing, "SubscribeResponse"}) {
			continue
		}
		for n := range d.Children() {
			switch n {
			case Name{NSEnumeration, "EnumerationContext"}:
				s.context, _ = d.Value()
			case Name{NSEventing, "SubscriptionManager"}:
				s.decodeManager(d)
			}
		}
	}
	return nil
}

// decodeManager reads the reference that Unsubscribe goes to: its parameters
// become header blocks (WS-Addressing section 2.3).
func (s *Subscription) decodeManager(d *Decoder) {
	for n := range d.Children() {
		switch n {
		case Name{NSAddressing, "Address"}:
			s.manager.Address, _ = d.Value()
		case Name{NSAddressing, "ReferenceParameters"}, Name{NSAddressing, "ReferenceProperties"}:
			for n := range d.Children() {
				switch n {
				case Name{NSWSMan, "ResourceURI"}:
					s.manager.Resource.URI, _ = d.Value()
				case Name{NSWSMan, "SelectorSet"}:
					s.manager.Resource.Selectors = decodeSelectors(d)
				case Name{NSEventing, "Identifier"}:
					s.identifier, _ = d.Value()
				}
			}
		}
	}
}

// Events asks for events until the loop is left, the context ends or the
// subscription does; only the last of these ends the loop without an error.
// It can be called again to go on.
func (s *Subscription) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for !s.done {
			events, err := s.pull(ctx)
			for _, ev := range events {
				if !yield(ev, nil) {
					return
				}
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
		}
	}
}

// pull fetches one batch. What comes after the event that a loop was left at
// is lost to it: the bookmark of that event tells where to go on.
func (s *Subscription) pull(ctx context.Context) ([]Event, error) {
	for {
		asked := time.Now()
		var events []Event
		var p page
		req := &Request{
			Action: ActionPull, Resource: s.res, OperationTimeout: s.opts.OperationTimeout,
			Body: func(e *Encoder) { encodePull(e, s.context, s.opts.MaxElements) },
		}
		err := s.client.call(ctx, req, func(d *Decoder) error {
			return p.read(d, func(n Name) error {
				ev, err := s.event(d, n)
				if ev.XML != "" {
					events = append(events, ev)
				}
				return err
			})
		})
		if p.context != "" {
			s.context = p.context
		}
		var fault *Fault
		switch {
		case err == nil && p.end:
			s.done = true
			return events, nil
		case err == nil && len(events) > 0:
			return events, nil
		case err == nil && !p.found:
			return nil, &ResponseError{Action: ActionPull, Err: &EnvelopeError{Msg: "it holds no page of events"}}
		case err != nil && !isNothingYet(err):
			s.done = errors.As(err, &fault)
			return nil, err
		}
		if err := pace(ctx, asked); err != nil {
			return nil, err
		}
	}
}

// event reads one item of a batch: a w:Event that wraps the event, a bookmark,
// or the event itself.
func (s *Subscription) event(d *Decoder, n Name) (Event, error) {
	ev := Event{Bookmark: s.bookmark}
	switch n {
	case Name{NSWSMan, "Bookmark"}:
		s.bookmark = d.rawContent()
		return Event{}, d.Err()
	case Name{NSWSMan, "Event"}:
		ev.Action, _ = d.Attr("", "Action")
		if b, ok := d.Attr("", "Bookmark"); ok {
			s.bookmark, ev.Bookmark = b, b
		}
		ev.XML = d.rawContent()
		return ev, d.Err()
	}
	raw, err := d.Raw()
	ev.XML = string(raw)
	return ev, err
}

// rawContent returns the content of the current element: the text if it is
// text, or the first child element as it was written.
func (d *Decoder) rawContent() string {
	depth := len(d.open) - 1
	text, child, err := d.textOrChild()
	if err != nil || child == (Name{}) {
		return text
	}
	raw, _ := d.Raw() // the Decoder keeps the error
	d.leave(depth)
	return string(raw)
}

// Bookmark returns the latest bookmark, for a later subscription that goes on
// where this one ended.
func (s *Subscription) Bookmark() string { return s.bookmark }

// Unsubscribe ends the subscription.
func (s *Subscription) Unsubscribe(ctx context.Context) error {
	s.done = true
	r := s.manager.Resource
	if r.URI == "" {
		r.URI = s.res.URI
	}
	return s.client.call(ctx, &Request{
		Action:   ActionUnsubscribe,
		Resource: r,
		Header: func(e *Encoder) {
			if s.identifier != "" {
				e.Start("e:Identifier")
				e.Namespace("e", NSEventing)
				e.Text(s.identifier)
				e.End()
			}
		},
		Body: func(e *Encoder) {
			e.Start("e:Unsubscribe")
			e.Namespace("e", NSEventing)
			e.End()
		},
	}, nil)
}

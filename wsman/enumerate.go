package wsman

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"strconv"
	"time"
)

// Dialects of filters.
const (
	DialectWQL         = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
	DialectSelector    = "http://schemas.dmtf.org/wbem/wsman/1/wsman/SelectorFilter"
	DialectAssociation = "http://schemas.dmtf.org/wbem/wsman/1/cimbinding/associationFilter"
	DialectEventQuery  = "http://schemas.microsoft.com/win/2004/08/events/eventquery"
)

// nsCIMBinding is the namespace of association filters (DSP0227 section 17).
const nsCIMBinding = "http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd"

// Filter picks among the items of an enumeration, or the events of a
// subscription.
type Filter struct {
	Dialect string
	Body    func(*Encoder) // content of the filter's element
}

// WQL is a query such as "select Name, State from Win32_Service". The resource
// URI then ends in "*".
func WQL(query string) *Filter {
	return &Filter{Dialect: DialectWQL, Body: func(e *Encoder) { e.Text(query) }}
}

// SelectorFilter picks the items that have these values.
func SelectorFilter(selectors ...Selector) *Filter {
	return &Filter{Dialect: DialectSelector, Body: func(e *Encoder) { encodeSelectors(e, selectors) }}
}

// Association asks for what is associated with an instance. See DSP0227
// section 17 and [MS-WSMV] section 2.2.4.2.
type Association struct {
	Object           EndpointReference // the instance to start from
	Links            bool              // return the association instances, not the objects at their other end
	AssociationClass string            // only through this class of associations
	ResultClass      string            // only results of this class
	Role             string            // the property of the association that refers to Object
	ResultRole       string            // the property that refers to the result
	Properties       []string          // only these properties of the results
}

// Filter makes a filter of the association.
func (a Association) Filter() *Filter {
	return &Filter{Dialect: DialectAssociation, Body: func(e *Encoder) {
		name := "b:AssociatedInstances"
		if a.Links {
			name = "b:AssociationInstances"
		}
		e.Start(name)
		e.Namespace("b", nsCIMBinding)
		e.Start("b:Object")
		a.Object.Encode(e)
		e.End()
		text := func(name, s string) {
			if s != "" {
				e.Element(name, s)
			}
		}
		if a.Links {
			text("b:ResultClassName", a.AssociationClass)
			text("b:Role", a.Role)
		} else {
			text("b:AssociationClassName", a.AssociationClass)
			text("b:Role", a.Role)
			text("b:ResultClassName", a.ResultClass)
			text("b:ResultRole", a.ResultRole)
		}
		for _, p := range a.Properties {
			e.Element("b:IncludeResultProperty", p)
		}
		e.End()
	}}
}

// EnumerationMode says what the items of an enumeration are.
type EnumerationMode uint8

const (
	EnumerateObjects      EnumerationMode = iota // objects
	EnumerateEPR                                 // references to objects
	EnumerateObjectAndEPR                        // both
)

// EnumerateOptions adjust an enumeration. The zero value, or nil, gives all
// objects of the resource.
type EnumerateOptions struct {
	Filter *Filter
	Mode   EnumerationMode

	// MaxElements is the number of items of one answer. The server's
	// MaxBatchItems and the envelope's size bound it, too. 0: 32000.
	MaxElements int

	// OperationTimeout of each request; 0 means the client's. A Pull that
	// finds nothing in this time is repeated until the context ends.
	OperationTimeout time.Duration
}

// Item is one result of an enumeration.
type Item struct {
	Class  Name               // element name of the object: the class and its namespace
	Object Row                // nil when references were asked for
	EPR    *EndpointReference // nil when objects were asked for
}

// Enumerate returns the items of a resource. The server is asked for them page
// by page while the loop goes on; leaving the loop early frees the enumeration
// on the server. An error ends the loop.
//
//	for item, err := range c.Enumerate(ctx, r, nil) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(item.Object["Name"])
//	}
//
// An enumeration that the server dropped because the loop took too long over
// an item ends with [ErrContextExpired].
func (c *Client) Enumerate(ctx context.Context, r Resource, o *EnumerateOptions) iter.Seq2[Item, error] {
	return enumerate(ctx, c, r, o, decodeItem)
}

// EnumerateAs is [Client.Enumerate] with the items decoded into a type of the
// caller's by [Decoder.Decode]. For EndpointReference as that type, references
// are asked for.
func EnumerateAs[T any](ctx context.Context, c *Client, r Resource, o *EnumerateOptions) iter.Seq2[T, error] {
	var opts EnumerateOptions
	if o != nil {
		opts = *o
	}
	if reflect.TypeFor[T]() == eprType {
		opts.Mode = EnumerateEPR
	}
	return enumerate(ctx, c, r, &opts, func(d *Decoder, n Name) (item T, err error) {
		if n != (Name{NSWSMan, "Item"}) {
			return item, d.Decode(&item)
		}
		for n := range d.Children() {
			if n.Space != NSAddressing {
				err = d.Decode(&item)
			}
		}
		return item, err
	})
}

// Query runs a WQL query in a WMI namespace such as "root/cimv2" and decodes
// the rows into a type of the caller's.
//
//	type Service struct{ Name, State string }
//	for svc, err := range wsman.Query[Service](ctx, c, "root/cimv2", "select Name, State from Win32_Service") {
func Query[T any](ctx context.Context, c *Client, namespace, wql string) iter.Seq2[T, error] {
	return EnumerateAs[T](ctx, c, Resource{URI: URIWMI + namespace + "/*"}, &EnumerateOptions{Filter: WQL(wql)})
}

// decodeItem reads an item of whatever mode.
func decodeItem(d *Decoder, n Name) (item Item, err error) {
	one := func(n Name) error {
		if n == (Name{NSAddressing, "EndpointReference"}) {
			item.EPR = new(EndpointReference)
			return item.EPR.Decode(d)
		}
		item.Class = n
		item.Object, err = d.row()
		return err
	}
	if n != (Name{NSWSMan, "Item"}) {
		return item, one(n)
	}
	for n := range d.Children() {
		err = errors.Join(err, one(n))
	}
	return item, err
}

const (
	defaultMaxElements = 32000
	releaseTimeout     = 5 * time.Second
	pullPause          = time.Second
)

// enumeration is the state of one loop.
type enumeration[T any] struct {
	client  *Client
	res     Resource
	opts    EnumerateOptions
	decode  func(*Decoder, Name) (T, error)
	context string // of the server; it changes with each page
	done    bool   // the server has forgotten it
}

func enumerate[T any](ctx context.Context, c *Client, r Resource, o *EnumerateOptions, decode func(*Decoder, Name) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		en := &enumeration[T]{client: c, res: r, decode: decode}
		if o != nil {
			en.opts = *o
		}
		if en.opts.MaxElements <= 0 {
			en.opts.MaxElements = defaultMaxElements
		}
		defer en.release(ctx)
		items, err := en.start(ctx)
		for {
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if err == nil && en.done {
				return
			}
			if err == nil {
				items, err = en.pull(ctx)
				continue
			}
			var none T
			yield(none, err)
			return
		}
	}
}

// start sends the Enumerate, which brings the first page (optimized
// enumeration, DSP0226 section 8.2.3).
func (en *enumeration[T]) start(ctx context.Context) ([]T, error) {
	return en.request(ctx, ActionEnumerate, func(e *Encoder) {
		e.Start("n:Enumerate")
		e.Namespace("n", NSEnumeration)
		e.Empty("w:OptimizeEnumeration")
		e.Element("w:MaxElements", strconv.Itoa(en.opts.MaxElements))
		switch en.opts.Mode {
		case EnumerateEPR:
			e.Element("w:EnumerationMode", "EnumerateEPR")
		case EnumerateObjectAndEPR:
			e.Element("w:EnumerationMode", "EnumerateObjectAndEPR")
		}
		encodeFilter(e, en.opts.Filter)
		e.End()
	})
}

func encodeFilter(e *Encoder, f *Filter) {
	if f == nil {
		return
	}
	e.Start("w:Filter")
	if f.Dialect != "" {
		e.Attr("Dialect", f.Dialect)
	}
	if f.Body != nil {
		f.Body(e)
	}
	e.End()
}

// pull fetches the next page. That nothing came within the operation timeout
// is no error; the server keeps the enumeration.
func (en *enumeration[T]) pull(ctx context.Context) ([]T, error) {
	for {
		asked := time.Now()
		items, err := en.request(ctx, ActionPull, func(e *Encoder) { encodePull(e, en.context, en.opts.MaxElements) })
		if err != nil && !isNothingYet(err) {
			return nil, err
		}
		if err == nil && (len(items) > 0 || en.done) {
			return items, nil
		}
		if err := pace(ctx, asked); err != nil {
			return nil, err
		}
	}
}

func encodePull(e *Encoder, context string, maxElements int) {
	e.Start("n:Pull")
	e.Namespace("n", NSEnumeration)
	e.Element("n:EnumerationContext", context)
	if maxElements > 0 {
		e.Element("n:MaxElements", strconv.Itoa(maxElements))
	}
	e.End()
}

// isNothingYet tells the faults that mean: ask again.
func isNothingYet(err error) bool {
	return errors.Is(err, ErrTimedOut) || errors.Is(err, ErrPullTimedOut)
}

// pace keeps a server that answers "nothing yet" at once from being asked
// without end: requests that brought nothing are at least a second apart.
func pace(ctx context.Context, asked time.Time) error {
	wait := pullPause - time.Since(asked)
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// request sends an Enumerate or Pull and reads the page that it brings. A page
// is verified to its end before any of its items is handed on.
func (en *enumeration[T]) request(ctx context.Context, action string, body func(*Encoder)) ([]T, error) {
	var items []T
	req := &Request{Action: action, Resource: en.res, OperationTimeout: en.opts.OperationTimeout, Body: body}
	page := page{}
	err := en.client.call(ctx, req, func(d *Decoder) error {
		return page.read(d, func(n Name) error {
			item, err := en.decode(d, n)
			items = append(items, item)
			return err
		})
	})
	if page.context != "" {
		en.context = page.context
	}
	var fault *Fault
	switch {
	case err == nil && !page.found:
		err = &ResponseError{Action: action, Err: &EnvelopeError{Msg: "it holds no page of items"}}
	case err == nil && page.end:
		en.done = true
	case err == nil && en.context == "":
		err = &ResponseError{Action: action, Err: &EnvelopeError{Msg: "it has neither an enumeration context nor an end"}}
	case errors.As(err, &fault) && !isNothingYet(err):
		en.done = true // the fault ended it
	}
	return items, err
}

// page is what EnumerateResponse and PullResponse have in common.
type page struct {
	found   bool
	context string
	end     bool
}

// read reads the body of an answer; item reads one item. An item that does not
// fit is remembered, and reading goes on for the sake of the context.
func (p *page) read(d *Decoder, item func(Name) error) error {
	var first error
	for n := range d.Children() {
		if n.Space != NSEnumeration || n.Local != "EnumerateResponse" && n.Local != "PullResponse" {
			continue
		}
		p.found = true
		// Items and EndOfSequence are in the namespace of WS-Management in the
		// one answer, and in that of WS-Enumeration in the other.
		for n := range d.Children() {
			switch n.Local {
			case "EnumerationContext":
				p.context, _ = d.Value()
			case "EndOfSequence":
				p.end = true
			case "Items":
				for n := range d.Children() {
					if err := item(n); err != nil && first == nil {
						first = err
					}
				}
			}
		}
	}
	return first
}

// release frees an enumeration that the server still holds.
func (en *enumeration[T]) release(ctx context.Context) {
	if en.done || en.context == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	// Whether it succeeds matters to the server only, and there it expires.
	_ = en.client.call(ctx, &Request{Action: ActionRelease, Resource: en.res, Body: func(e *Encoder) {
		e.Start("n:Release")
		e.Namespace("n", NSEnumeration)
		e.Element("n:EnumerationContext", en.context)
		e.End()
	}}, nil)
}

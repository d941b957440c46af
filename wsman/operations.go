package wsman

import (
	"context"
	"fmt"
)

// Get reads a resource into dst, as [Decoder.Decode] does.
func (c *Client) Get(ctx context.Context, r Resource, dst any) error {
	return c.call(ctx, &Request{Action: ActionGet, Resource: r}, firstChild(dst))
}

// Put replaces a resource. body writes its new state; for the configuration a
// part of it will do. What the server returns, usually the state after the
// change, goes to dst, which may be nil.
func (c *Client) Put(ctx context.Context, r Resource, body func(*Encoder), dst any) error {
	return c.call(ctx, &Request{Action: ActionPut, Resource: r, Body: body}, firstChild(dst))
}

// Create makes an instance of a resource and returns a reference to it.
func (c *Client) Create(ctx context.Context, r Resource, body func(*Encoder)) (*EndpointReference, error) {
	epr := new(EndpointReference)
	found := false
	err := c.call(ctx, &Request{Action: ActionCreate, Resource: r, Body: body}, func(d *Decoder) error {
		for n := range d.Children() {
			if n == (Name{NSTransfer, "ResourceCreated"}) {
				found = true
				_ = epr.Decode(d) // the Decoder keeps the error
			}
		}
		return nil
	})
	if err == nil && !found {
		err = &ResponseError{Action: ActionCreate, Err: &EnvelopeError{Msg: "it does not refer to what was created"}}
	}
	if err != nil {
		return nil, err
	}
	return epr, nil
}

// Delete removes an instance.
func (c *Client) Delete(ctx context.Context, r Resource) error {
	return c.call(ctx, &Request{Action: ActionDelete, Resource: r}, nil)
}

// Invoke calls a method of a CIM or WMI class, or of one of its instances if r
// has selectors. in holds the arguments as [Object] takes them; what the method
// returns, its ReturnValue among it, goes to out.
//
//	var out struct{ ProcessID, ReturnValue uint32 }
//	err := c.Invoke(ctx, wsman.Resource{URI: wsman.URICIMv2 + "Win32_Process"}, "Create",
//		wsman.Row{"CommandLine": "notepad.exe"}, &out)
//
// A method that fails says so in its ReturnValue; that is no error here. See
// [MS-WSMV] section 3.1.4.1.32.
func (c *Client) Invoke(ctx context.Context, r Resource, method string, in, out any) error {
	if !validNCName(method) {
		return &NameError{Name: method}
	}
	return c.call(ctx, &Request{
		Action:   r.URI + "/" + method,
		Resource: r,
		Body:     Object(r.URI, method+"_INPUT", in),
	}, firstChild(out))
}

// GetFragment reads a part of a resource. path is an XPath level 1 expression
// such as "State" (an element, for a dst that takes objects) or "State/text()".
// See DSP0226 section 7.7.
func (c *Client) GetFragment(ctx context.Context, r Resource, path string, dst any) error {
	return c.call(ctx, &Request{Action: ActionGet, Resource: r, Fragment: path}, fragment(dst))
}

// PutFragment replaces a part of a resource. body writes the content of that
// part: text for a path that ends in text(), the element otherwise.
func (c *Client) PutFragment(ctx context.Context, r Resource, path string, body func(*Encoder), dst any) error {
	wrapped := func(e *Encoder) {
		e.Start("w:XmlFragment")
		if body != nil {
			body(e)
		}
		e.End()
	}
	return c.call(ctx, &Request{Action: ActionPut, Resource: r, Fragment: path, Body: wrapped}, fragment(dst))
}

// call sends a request and reads the body of its answer, nil for none.
func (c *Client) call(ctx context.Context, req *Request, read func(*Decoder) error) error {
	resp, err := c.Do(ctx, req)
	if err != nil {
		return err
	}
	defer resp.Close()
	if read == nil {
		read = func(*Decoder) error { return nil }
	}
	return resp.Body(read)
}

// firstChild reads the first child of the body into dst.
func firstChild(dst any) func(*Decoder) error {
	return func(d *Decoder) error {
		found := false
		var err error
		for range d.Children() {
			if !found {
				found = true
				err = d.Decode(dst)
			}
		}
		if err == nil && !found && dst != nil && d.Err() == nil {
			err = &EnvelopeError{Msg: "the answer has an empty body"}
		}
		return err
	}
}

// fragment reads the w:XmlFragment that an answer to a fragment request is.
func fragment(dst any) func(*Decoder) error {
	return func(d *Decoder) error {
		var err error
		for n := range d.Children() {
			if n != (Name{NSWSMan, "XmlFragment"}) {
				err = &EnvelopeError{Msg: fmt.Sprintf("the answer to a fragment request holds %s", n)}
				continue
			}
			err = d.Decode(dst)
		}
		return err
	}
}

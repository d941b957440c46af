package wsman

// Resource names what an operation is about: a resource URI, the selectors
// that pick one instance, and options that adjust the operation.
type Resource struct {
	URI       string
	Selectors []Selector
	Options   []Option
}

// Selector is one key of a resource, such as Name of Win32_Service. Windows
// compares names and values without regard to case.
type Selector struct {
	Name, Value string
	// EPR is the value of a selector that refers to another instance, as in
	// associations; Value is unused then.
	EPR *EndpointReference
}

// Option adjusts an operation. See [MS-WSMV] section 2.2.4.26.
type Option struct {
	Name, Value string
	MustComply  bool   // fail rather than ignore an unknown option
	Type        string // xs type of the value, such as "xs:string"; seldom needed
	Null        bool   // the value is null
}

// Selector returns the value of a selector. Names are compared without regard
// to case.
func (r *Resource) Selector(name string) (string, bool) {
	for i := range r.Selectors {
		if equalFold(r.Selectors[i].Name, name) {
			return r.Selectors[i].Value, true
		}
	}
	return "", false
}

// Option returns the value of an option. Names are compared without regard to
// case.
func (r *Resource) Option(name string) (string, bool) {
	for i := range r.Options {
		if equalFold(r.Options[i].Name, name) {
			return r.Options[i].Value, true
		}
	}
	return "", false
}

// EndpointReference refers to one instance of a resource.
type EndpointReference struct {
	Address  string
	Resource Resource
}

// Encode writes the reference as the content of the element just started.
func (r *EndpointReference) Encode(e *Encoder) {
	address := r.Address
	if address == "" {
		address = AddressAnonymous
	}
	e.Element("a:Address", address)
	e.Start("a:ReferenceParameters")
	e.Element("w:ResourceURI", r.Resource.URI)
	encodeSelectors(e, r.Resource.Selectors)
	e.End()
}

// Decode reads the reference that is the content of the current element,
// perhaps inside an a:EndpointReference of its own, and consumes it.
func (r *EndpointReference) Decode(d *Decoder) error {
	for n := range d.Children() {
		switch n {
		case Name{NSAddressing, "EndpointReference"}:
			_ = r.Decode(d) // the Decoder keeps the error
		case Name{NSAddressing, "Address"}:
			r.Address, _ = d.Value()
		case Name{NSAddressing, "ReferenceParameters"}, Name{NSAddressing, "ReferenceProperties"}:
			for n := range d.Children() {
				switch n {
				case Name{NSWSMan, "ResourceURI"}:
					r.Resource.URI, _ = d.Value()
				case Name{NSWSMan, "SelectorSet"}:
					r.Resource.Selectors = decodeSelectors(d)
				}
			}
		}
	}
	return d.Err()
}

func encodeSelectors(e *Encoder, selectors []Selector) {
	if len(selectors) == 0 {
		return
	}
	e.Start("w:SelectorSet")
	for i := range selectors {
		s := &selectors[i]
		e.Start("w:Selector")
		e.Attr("Name", s.Name)
		if s.EPR != nil {
			e.Start("a:EndpointReference")
			s.EPR.Encode(e)
			e.End()
		} else {
			e.Text(s.Value)
		}
		e.End()
	}
	e.End()
}

func decodeSelectors(d *Decoder) []Selector {
	var list []Selector
	for n := range d.Children() {
		if n != (Name{NSWSMan, "Selector"}) {
			continue
		}
		s := Selector{}
		s.Name, _ = d.Attr("", "Name")
		s.Value, s.EPR = decodeSelectorValue(d)
		list = append(list, s)
	}
	return list
}

// decodeSelectorValue reads a selector's text, or the reference in it.
func decodeSelectorValue(d *Decoder) (value string, epr *EndpointReference) {
	var text []byte
	for {
		switch d.token() {
		case tokenText:
			text = append(text, d.segment()...)
		case tokenStart:
			if d.current().name == (Name{NSAddressing, "EndpointReference"}) {
				epr = new(EndpointReference)
				_ = epr.Decode(d) // the Decoder keeps the error
			} else {
				_ = d.Skip()
			}
		default:
			if epr != nil {
				return "", epr
			}
			return d.intern(text), nil
		}
	}
}

func encodeOptions(e *Encoder, options []Option) {
	if len(options) == 0 {
		return
	}
	e.Start("w:OptionSet")
	e.Attr("s:mustUnderstand", "true")
	for i := range options {
		o := &options[i]
		e.Start("w:Option")
		e.Attr("Name", o.Name)
		if o.MustComply {
			e.Attr("MustComply", "true")
		}
		if o.Type != "" {
			e.Attr("Type", o.Type)
		}
		if o.Null {
			e.Namespace("xsi", NSSchemaInstance)
			e.Attr("xsi:nil", "true")
		} else {
			e.Text(o.Value)
		}
		e.End()
	}
	e.End()
}

func decodeOptions(d *Decoder) []Option {
	var list []Option
	for n := range d.Children() {
		if n != (Name{NSWSMan, "Option"}) {
			continue
		}
		var o Option
		o.Name, _ = d.Attr("", "Name")
		o.MustComply = boolAttr(d, "", "MustComply")
		o.Type, _ = d.Attr("", "Type")
		o.Null = boolAttr(d, NSSchemaInstance, "nil")
		text, _ := d.Text()
		o.Value = d.intern(text)
		list = append(list, o)
	}
	return list
}

// boolAttr reads an xs:boolean. Windows and its clients also write it with a
// capital letter.
func boolAttr(d *Decoder, space, local string) bool {
	v, _ := d.Attr(space, local)
	return isTrue(v)
}

package winrmtest

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/hostconfig"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
	"github.com/winrmkit/winrmkit/wsman"
)

// A row is one item of an enumeration.
type row struct {
	encode    func(*wsman.Encoder)
	uri       string // of its endpoint reference
	selectors []soap.Pair
}

// A filter is what an Enumerate is restricted to.
type filter struct {
	dialect   string
	text      string
	selectors []soap.Pair
}

const (
	dialectWQL      = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
	dialectSelector = "http://schemas.dmtf.org/wbem/wsman/1/wsman/SelectorFilter"

	modeObject    = ""
	modeEPR       = "EnumerateEPR"
	modeObjectEPR = "EnumerateObjectAndEPR"
)

// An enumeration is the state behind an enumeration context.
type enumeration struct {
	owner string
	mode  string
	rows  []row
	used  time.Time
	feed  *subscription // of a subscription; nil for an enumeration
}

// enumerations are all that are alive, by their latest context.
type enumerations struct {
	mu   sync.Mutex
	byID map[string]*enumeration
}

// enumerateBody is n:Enumerate.
type enumerateBody struct {
	optimize bool
	max      int
	mode     string
	filter   *filter
	err      *soap.Fault
}

func (b *enumerateBody) read(d *wsman.Decoder) {
	for name := range d.Children() {
		if name.Local != "Enumerate" {
			continue
		}
		for child := range d.Children() {
			switch child.Local {
			case "OptimizeEnumeration":
				b.optimize = true
			case "MaxElements":
				b.max, b.err = readCount(d, b.err)
			case "EnumerationMode":
				b.mode, _ = d.Value()
			case "Filter":
				b.filter = readFilter(d)
			}
		}
	}
}

func readCount(d *wsman.Decoder, before *soap.Fault) (int, *soap.Fault) {
	text, _ := d.Value()
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, soap.New(soap.SchemaValidation, "MaxElements is no positive number.")
	}
	return int(n), before
}

func readFilter(d *wsman.Decoder) *filter {
	f := &filter{}
	f.dialect, _ = d.Attr("", "Dialect")
	if f.dialect != dialectSelector {
		text, _ := d.Text()
		f.text = strings.TrimSpace(string(text))
		return f
	}
	for child := range d.Children() {
		if child.Local == "SelectorSet" {
			f.selectors = soap.ReadSelectors(d, f.selectors)
		}
	}
	return f
}

// enumerate is Enumerate of any resource.
func (s *Server) enumerate(c *call) *soap.Fault {
	var body enumerateBody
	err := c.req.Body(body.read)
	switch {
	case err != nil:
		return soap.Malformed(err)
	case body.err != nil:
		return body.err
	}
	switch body.mode {
	case modeObject, modeEPR, modeObjectEPR:
	default:
		return soap.New(soap.EnumerationModeUnsupported, "")
	}
	rows, f := s.rows(c, &body)
	if f != nil {
		return f
	}
	en := &enumeration{owner: c.user, mode: body.mode, rows: rows, used: time.Now()}
	c.out.Start("n:EnumerateResponse")
	if !body.optimize {
		c.out.Element("n:EnumerationContext", s.keep(en))
		c.out.End()
		return nil
	}
	return s.page(c, en, body.max, "w:")
}

// rows finds what an Enumerate names.
func (s *Server) rows(c *call, body *enumerateBody) ([]row, *soap.Fault) {
	uri := strings.ToLower(c.req.ResourceURI)
	switch {
	case strings.EqualFold(uri, wsmv.URICommand):
		if body.mode != modeObject {
			return nil, soap.New(soap.ShellCommandsMode, "")
		}
		return s.listCommands(c, body.filter)
	case strings.HasPrefix(uri, strings.ToLower(wsman.URIWMI)), strings.HasPrefix(uri, strings.ToLower(wsman.URICIM)):
		return s.listWMI(c, body)
	case body.filter != nil:
		return nil, soap.New(soap.FilteringNotSupported, "")
	case strings.EqualFold(uri, wsmv.URIShell):
		return s.listShells(c)
	case strings.HasPrefix(uri, wsman.NSConfig):
		suffix := configSuffix(uri)
		if hostconfig.Class(suffix) || suffix == "plugin" {
			return s.listConfig(c, suffix)
		}
	}
	return nil, soap.New(soap.ActionNotSupported, "")
}

// page writes one page of items and the context for the next one. prefix is
// that of Items and EndOfSequence: w: in an EnumerateResponse, n: in a
// PullResponse. The element around is open and is ended.
func (s *Server) page(c *call, en *enumeration, most int, prefix string) *soap.Fault {
	most = min(orDefault(most, 1), int(s.config.Number("MaxBatchItems")))
	room := c.room() - pageOverhead
	n, scratch := 0, wsman.NewEncoder(nil)
	for n < len(en.rows) && n < most {
		scratch.Reset(scratch.Bytes()[:0])
		s.encodeRow(scratch, en.rows[n], en.mode)
		if scratch.Len() > room {
			break
		}
		room -= scratch.Len()
		n++
	}
	if n == 0 && len(en.rows) > 0 {
		return soap.New(soap.MaxEnvelopeSizeExceeded, "")
	}
	items, last := en.rows[:n], n == len(en.rows)
	en.rows = en.rows[n:]
	context := ""
	if !last {
		context = s.keep(en)
	}
	c.out.Element("n:EnumerationContext", context)
	c.out.Start(prefix + "Items")
	for _, r := range items {
		s.encodeRow(c.out, r, en.mode)
	}
	c.out.End()
	if last {
		c.out.Empty(prefix + "EndOfSequence")
	}
	c.out.End()
	return nil
}

// pageOverhead bounds what a page holds beside its items.
const pageOverhead = 512

func (s *Server) encodeRow(e *wsman.Encoder, r row, mode string) {
	switch mode {
	case modeObject:
		r.encode(e)
	case modeEPR:
		s.encodeReference(e, r)
	default:
		e.Start("w:Item")
		r.encode(e)
		s.encodeReference(e, r)
		e.End()
	}
}

func (s *Server) encodeReference(e *wsman.Encoder, r row) {
	e.Start("a:EndpointReference")
	soap.Reference(e, s.URL, r.uri, r.selectors)
	e.End()
}

// keep stores an enumeration under a new context.
func (s *Server) keep(en *enumeration) string {
	id := "uuid:" + soap.NewUUID()
	en.used = time.Now()
	s.enums.mu.Lock()
	defer s.enums.mu.Unlock()
	for old, e := range s.enums.byID {
		if s.expired(e) {
			delete(s.enums.byID, old)
		}
	}
	s.enums.byID[id] = en
	s.countEnumerations()
	return id
}

func (s *Server) countEnumerations() {
	n := len(s.enums.byID)
	s.counters.update(func(st *Stats) { st.Enumerations = n })
}

func (s *Server) expired(en *enumeration) bool {
	return time.Since(en.used) > time.Duration(s.config.Number("Service/EnumerationTimeoutms"))*time.Millisecond
}

// take removes the enumeration of a context: each page has a new one.
func (s *Server) takeEnumeration(id, user string) *enumeration {
	s.enums.mu.Lock()
	defer s.enums.mu.Unlock()
	en := s.enums.byID[strings.TrimSpace(id)]
	if en == nil || !strings.EqualFold(en.owner, user) {
		return nil
	}
	delete(s.enums.byID, strings.TrimSpace(id))
	s.countEnumerations()
	if s.expired(en) {
		return nil
	}
	return en
}

// pull is Pull of an enumeration or of a subscription.
func (s *Server) pull(c *call) *soap.Fault {
	context, most := "", 0
	var fault *soap.Fault
	err := c.req.Body(func(d *wsman.Decoder) {
		for range d.Children() {
			for child := range d.Children() {
				switch child.Local {
				case "EnumerationContext":
					context, _ = d.Value()
				case "MaxElements":
					most, fault = readCount(d, fault)
				}
			}
		}
	})
	switch {
	case err != nil:
		return soap.Malformed(err)
	case fault != nil:
		return fault
	}
	en := s.takeEnumeration(context, c.user)
	if en == nil {
		return soap.New(soap.InvalidEnumerationContext, "")
	}
	if en.feed != nil {
		return s.pullEvents(c, en, context, most)
	}
	c.out.Start("n:PullResponse")
	return s.page(c, en, most, "n:")
}

// release is Release.
func (s *Server) release(c *call) *soap.Fault {
	context := ""
	err := c.req.Body(func(d *wsman.Decoder) {
		for range d.Children() {
			for child := range d.Children() {
				if child.Local == "EnumerationContext" {
					context, _ = d.Value()
				}
			}
		}
	})
	if err != nil {
		return soap.Malformed(err)
	}
	if s.takeEnumeration(context, c.user) == nil {
		return soap.New(soap.InvalidEnumerationContext, "")
	}
	return nil
}

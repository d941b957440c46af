package winrmtest

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
	"github.com/winrmkit/winrmkit/wsman"
)

// A call is one WS-Management request being processed.
type call struct {
	srv  *Server
	conn *conn
	ctx  context.Context //nolint:containedctx // lives as long as the request
	req  *soap.Request
	user string
	out  *wsman.Encoder

	fault *soap.Fault // of the envelope itself; found before anything is done
}

// parse reads the header of an envelope.
func (c *conn) parse(env []byte, x *Exchange) *call {
	p := &call{srv: c.srv, conn: c}
	req, err := soap.Parse(env, int(c.srv.maxEnvelope())+1)
	if err != nil {
		x.Action = ActionInvalid
		p.req = &soap.Request{}
		p.fault = soap.Malformed(err)
		return p
	}
	p.req = req
	x.Action, x.Resource, x.MessageID, x.SessionID = req.Action, req.ResourceURI, req.MessageID, req.SessionID
	if req.Identify {
		x.Action = ActionIdentify
	} else if req.Action == "" {
		x.Action = ActionInvalid
	}
	return p
}

func (p *call) identify() bool { return p.req.Identify }

// answer processes the request.
func (p *call) answer(ctx context.Context, v verdict, x *Exchange) *answer {
	s := p.srv
	p.ctx, p.user = ctx, v.user
	s.counters.update(func(st *Stats) { st.Operations++ })
	defer s.counters.update(func(st *Stats) { st.Operations-- })
	p.out = wsman.NewEncoder(p.conn.env[:0])
	if p.req.Identify {
		s.identify(p, v)
		return p.finish(http.StatusOK)
	}
	if p.fault == nil {
		p.fault = p.req.Check()
	}
	var op operation
	if p.fault == nil {
		op, p.fault = s.route(p)
	}
	if p.fault == nil {
		p.fault = p.checkOptions()
	}
	if p.fault == nil {
		soap.Begin(p.out, p.req.Action+"Response", p.req.MessageID, p.req.ActivityID)
		p.fault = op(p)
	}
	if p.fault == nil {
		soap.End(p.out)
		if err := p.out.Err(); err != nil {
			p.fault = soap.Newf(soap.InvalidParameter, "The answer cannot be written: %v", err)
		} else if p.out.Len() > p.maxAnswer() {
			p.fault = soap.New(soap.MaxEnvelopeSizeExceeded, "")
		}
	}
	if f := p.fault; f != nil {
		x.Code = f.Code
		return s.faultAnswer(f, p.req.MessageID, p.req.ActivityID)
	}
	return p.finish(http.StatusOK)
}

func (p *call) finish(status int) *answer {
	p.conn.env = p.out.Bytes()
	return &answer{status: status, contentType: soap.ContentType, body: p.out.Bytes()}
}

// faultAnswer is the answer that carries a fault.
func (s *Server) faultAnswer(f *soap.Fault, relatesTo, activityID string) *answer {
	e := wsman.NewEncoder(nil)
	soap.Begin(e, f.Action(), relatesTo, activityID)
	f.Encode(e, s.Name)
	soap.End(e)
	return &answer{status: http.StatusInternalServerError, contentType: soap.ContentType, body: e.Bytes()}
}

// An operation does what a request asks for and writes the content of the
// answer's body.
type operation func(*call) *soap.Fault

// route finds the operation for action and resource.
func (s *Server) route(p *call) (operation, *soap.Fault) {
	uri := strings.ToLower(p.req.ResourceURI)
	if s.isLimited(p.user) && !strings.HasPrefix(uri, strings.ToLower(wsmv.URIShell)) {
		return nil, soap.New(soap.AccessDenied, "")
	}
	var ops map[string]operation
	switch {
	case strings.EqualFold(uri, wsmv.URICmd):
		ops = s.cmdShellOps()
	case strings.EqualFold(uri, wsmv.URIShell):
		ops = map[string]operation{wsman.ActionGet: s.getShell, wsman.ActionEnumerate: s.enumerate}
	case strings.EqualFold(uri, wsmv.URICommand):
		ops = map[string]operation{wsman.ActionEnumerate: s.enumerate}
	case uri == wsman.NSConfig || strings.HasPrefix(uri, wsman.NSConfig+"/"):
		ops = s.configOps(configSuffix(uri))
	case strings.HasPrefix(uri, strings.ToLower(wsman.URIWMI)), strings.HasPrefix(uri, strings.ToLower(wsman.URICIM)):
		ops = s.wmiOps(p.req)
	case strings.EqualFold(uri, wsman.URIEventLog):
		ops = map[string]operation{wsman.ActionSubscribe: s.subscribe, wsman.ActionUnsubscribe: s.unsubscribe}
	}
	if ops == nil {
		return nil, soap.Newf(soap.InvalidResourceURI, "The resource URI %q is not known.", p.req.ResourceURI)
	}
	switch p.req.Action {
	case wsman.ActionPull:
		return s.pull, nil
	case wsman.ActionRelease:
		return s.release, nil
	}
	op := ops[p.req.Action]
	switch {
	case op != nil && p.req.Fragment != "" && !s.hasFragments(p.req):
		return nil, soap.New(soap.FragmentNotSupported, "")
	case op != nil:
		return op, nil
	}
	return nil, soap.Newf(soap.ActionNotSupported, "The action %q is not supported by the resource.", p.req.Action)
}

// isLimited reports whether an account is none of an administrator.
func (s *Server) isLimited(user string) bool {
	for _, name := range s.Limited {
		d, u := authserver.SplitName(name)
		if strings.EqualFold(s.accounts.fullName(d, u), user) {
			return true
		}
	}
	return false
}

func (s *Server) cmdShellOps() map[string]operation {
	return map[string]operation{
		wsman.ActionCreate: s.createShell, wsman.ActionDelete: s.removeByRequest,
		wsman.ActionCommand: s.runCommand, wsman.ActionSend: s.send, wsman.ActionReceive: s.receive,
		wsman.ActionSignal: s.signal, wsman.ActionDisconnect: s.disconnect,
		wsman.ActionReconnect: s.reconnect, wsman.ActionConnect: s.connect,
	}
}

// knownOptions are the options that some resource complies with.
var knownOptions = []string{
	wsmv.OptionNoProfile, wsmv.OptionCodepage, wsmv.OptionConsole, wsmv.OptionSkipCmd, wsmv.OptionKeepAlive,
	"protocolversion", "Compression", "CDATA", "ContentFormat", "IgnoreChannelError", "ReadExistingEvents",
}

// checkOptions refuses options that must be complied with and are not known.
func (p *call) checkOptions() *soap.Fault {
	for _, o := range p.req.Options {
		known := false
		for _, k := range knownOptions {
			known = known || strings.EqualFold(k, o.Name)
		}
		if o.MustComply && !known {
			return soap.Newf(soap.OptionsNotSupported, "The option %q is not supported.", o.Name)
		}
	}
	return nil
}

// decode reads the body, which holds rsp:local, with fn.
func (p *call) decode(local string, fn func(*wsman.Decoder) error) *soap.Fault {
	var inner error
	err := p.req.Body(func(d *wsman.Decoder) { inner = wsmv.Find(d, local, fn) })
	if err == nil {
		err = inner
	}
	if err != nil {
		return soap.Malformed(err)
	}
	return nil
}

// noBody reads a body that has to be empty.
func (p *call) noBody() *soap.Fault {
	switch elements, f := p.countBody(); {
	case f != nil:
		return f
	case elements > 0:
		return soap.New(soap.SchemaValidation, "The body has to be empty.")
	}
	return nil
}

// anyBody reads a body whose content does not matter.
func (p *call) anyBody() *soap.Fault {
	_, f := p.countBody()
	return f
}

// countBody reads the body to its end and returns how many elements it has.
func (p *call) countBody() (elements int, f *soap.Fault) {
	err := p.req.Body(func(d *wsman.Decoder) {
		for range d.Children() {
			elements++
		}
	})
	if err != nil {
		return 0, soap.Malformed(err)
	}
	return elements, nil
}

// timeout is OperationTimeout, bounded by the server's MaxTimeoutms.
func (p *call) timeout() time.Duration {
	longest := time.Duration(p.srv.config.Number("MaxTimeoutms")) * time.Millisecond
	if d := p.req.OperationTimeout; d > 0 && d < longest {
		return d
	}
	return longest
}

// hold returns the context of an operation that may be held: it ends after
// OperationTimeout and when the client goes away.
func (p *call) hold() (context.Context, func()) {
	ctx, cancel := context.WithTimeout(p.ctx, p.timeout())
	ctx, stop := p.conn.watch(ctx)
	return ctx, func() { stop(); cancel() }
}

// maxAnswer is how long the answer may be.
func (p *call) maxAnswer() int {
	limit := int(min(p.srv.maxEnvelope(), 1<<30))
	if n := p.req.MaxEnvelopeSize; n > 0 {
		limit = min(limit, n)
	}
	return limit
}

// room is how much of the answer is still free, with its end kept back.
func (p *call) room() int { return p.maxAnswer() - p.out.Len() - 256 }

// identify answers wsmid:Identify. Who has not logged on does not get to know
// the version of the operating system.
func (s *Server) identify(p *call, v verdict) {
	version := "OS: 0.0.0 SP: 0.0 Stack: 3.0"
	if v.user != "" {
		version = "OS: " + osVersion + " SP: 0.0 Stack: 3.0"
	}
	e := p.out
	soap.Begin(e, "", "", "")
	e.Start("wsmid:IdentifyResponse")
	e.Namespace("wsmid", wsman.NSIdentify)
	e.Element("wsmid:ProtocolVersion", wsman.NSWSMan)
	e.Element("wsmid:ProductVendor", "Microsoft Corporation")
	e.Element("wsmid:ProductVersion", version)
	if v.user != "" {
		e.Start("wsmid:SecurityProfiles")
		for _, name := range []string{"http/basic", "http/spnego-kerberos", "https/basic", "https/mutual", "https/spnego-kerberos"} {
			e.Element("wsmid:SecurityProfileName", "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/"+name)
		}
		e.End()
	}
	e.End()
	soap.End(e)
}

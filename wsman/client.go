package wsman

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Config adjusts a [Client]. The zero value is ready to use. It is copied by
// [NewClient].
type Config struct {
	// HTTPClient carries the messages; it authenticates and, where needed,
	// encrypts. Its redirect policy is not used: redirects are never followed.
	// Nil: http.DefaultClient.
	HTTPClient *http.Client

	// OperationTimeout is how long the server may work on a request before it
	// answers with [ErrTimedOut]. The server's MaxTimeoutms caps it. 0: 60 s.
	OperationTimeout time.Duration

	// ReceiveMargin is added to the OperationTimeout: so long after a request
	// is on the wire its answer must have arrived. Less than 15 s, and 0, mean
	// 15 s.
	ReceiveMargin time.Duration

	// MaxEnvelopeSize is the size of answers that is asked for. Windows caps it
	// at its MaxEnvelopeSizekb and refuses less than 8192. 0: 512000.
	MaxEnvelopeSize int

	// MaxResponse is the size of an answer beyond which it is refused, whatever
	// the server thinks of MaxEnvelopeSize. 0: 32 MiB.
	MaxResponse int64

	// Locale is the language of texts, DataLocale that of numbers and dates,
	// both in the form of RFC 5646. "": en-US.
	Locale, DataLocale string

	// SessionID tells the server which requests belong together: shells can be
	// reconnected to only by the session that made them. "": a random one.
	SessionID string

	// AuthScheme is the HTTP authentication scheme by which HTTPClient logs on,
	// such as "Negotiate"; "" when that is not known. No message depends on it:
	// it lets those who change the host's configuration see what they stand on.
	AuthScheme string

	// Trace, if not nil, is told about exchanges.
	Trace *Trace
}

const (
	defaultOperationTimeout = 60 * time.Second
	defaultMaxEnvelopeSize  = 512000
	defaultMaxResponse      = 32 << 20
	minReceiveMargin        = 15 * time.Second
)

// Client speaks WS-Management with one endpoint. It is safe for concurrent
// use and holds no connection of its own: those belong to the HTTP client.
type Client struct {
	endpoint string
	request  *http.Request // what all requests have in common
	cfg      Config
	http     http.Client
	cookie   atomic.Pointer[string] // value of the MS-WSMAN cookie
}

// NewClient returns a Client for the endpoint, such as
// https://server:5986/wsman. It does no I/O. cfg may be nil.
func NewClient(endpoint string, cfg *Config) (*Client, error) {
	u, err := url.Parse(endpoint)
	// The text, and what package url says about it, may hold a password.
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("wsman: the endpoint is not an http or https URL")
	}
	if u.User != nil {
		return nil, errors.New("wsman: the endpoint holds credentials; they belong to the HTTP client")
	}
	c := &Client{endpoint: u.String(), request: &http.Request{
		Method: http.MethodPost, URL: u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}}
	if cfg != nil {
		c.cfg = *cfg
	}
	c.cfg.setDefaults()
	c.http = *c.cfg.HTTPClient
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

func (cfg *Config) setDefaults() {
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = http.DefaultClient
	}
	if cfg.OperationTimeout <= 0 {
		cfg.OperationTimeout = defaultOperationTimeout
	}
	cfg.ReceiveMargin = max(cfg.ReceiveMargin, minReceiveMargin)
	if cfg.MaxEnvelopeSize <= 0 {
		cfg.MaxEnvelopeSize = defaultMaxEnvelopeSize
	}
	if cfg.MaxResponse <= 0 {
		cfg.MaxResponse = defaultMaxResponse
	}
	if cfg.Locale == "" {
		cfg.Locale = "en-US"
	}
	if cfg.DataLocale == "" {
		cfg.DataLocale = cfg.Locale
	}
	if cfg.SessionID == "" {
		cfg.SessionID = NewUUID()
	}
	cfg.SessionID = withUUIDPrefix(cfg.SessionID)
}

// Endpoint returns the URL of the endpoint.
func (c *Client) Endpoint() string { return c.endpoint }

// AuthScheme returns the authentication scheme that the configuration names.
func (c *Client) AuthScheme() string { return c.cfg.AuthScheme }

// SessionID returns the session's id, with its prefix "uuid:".
func (c *Client) SessionID() string { return c.cfg.SessionID }

// OperationTimeout returns the operation timeout of requests that do not set
// their own.
func (c *Client) OperationTimeout() time.Duration { return c.cfg.OperationTimeout }

// MaxEnvelopeSize returns the size of answers that is asked for.
func (c *Client) MaxEnvelopeSize() int { return c.cfg.MaxEnvelopeSize }

// Request is one message to the server.
type Request struct {
	Action   string
	Resource Resource

	// OperationTimeout of this request; 0 means the client's.
	OperationTimeout time.Duration

	// Patience is reckoned with in place of OperationTimeout, if it is longer,
	// for how long the answer may take: a server that does not heed a short
	// OperationTimeout is then not given up for it. 0 is the OperationTimeout.
	Patience time.Duration

	// MessageID of this request, "" for a random one.
	MessageID string

	// OperationID names the operation that the message belongs to ([MS-WSMV]
	// section 2.2.4.25). "" leaves it out.
	OperationID string

	// Fragment asks for, or replaces, a part of the resource: an XPath level 1
	// expression such as "LastError/text()". See [Client.GetFragment].
	Fragment string

	// Header writes further header blocks, nil for none.
	Header func(*Encoder)

	// Body writes the content of the s:Body, nil for an empty one.
	Body func(*Encoder)

	// Sent, if not nil, is called when the whole request is on the wire, by HTTP
	// clients that know net/http/httptrace: before that the server cannot have
	// acted on it.
	Sent func()
}

// DialectXPath1 is the dialect of fragment expressions. Windows knows no other.
const DialectXPath1 = "http://www.w3.org/TR/1999/REC-xpath-19991116"

// header fills in the header of a request.
func (c *Client) header(req *Request) Header {
	h := Header{
		Action:           req.Action,
		To:               c.endpoint,
		ReplyTo:          AddressAnonymous,
		MessageID:        req.MessageID,
		Resource:         req.Resource,
		OperationTimeout: req.OperationTimeout,
		MaxEnvelopeSize:  c.cfg.MaxEnvelopeSize,
		Locale:           c.cfg.Locale,
		DataLocale:       c.cfg.DataLocale,
		SessionID:        c.cfg.SessionID,
		Fragment:         req.Fragment,
		Extra:            req.Header,
	}
	if h.MessageID == "" {
		h.MessageID = NewUUID()
	}
	if req.OperationID != "" {
		h.OperationID = withUUIDPrefix(req.OperationID)
	}
	if h.OperationTimeout == 0 {
		h.OperationTimeout = c.cfg.OperationTimeout
	}
	if h.Fragment != "" {
		h.FragmentDialect = DialectXPath1
	}
	return h
}

// Do sends a request and reads the answer, whole. The error is a [*Fault] if
// the server refused, a [*StatusError] if the answer was not SOAP, a
// [*TimeoutError] if there was none in time, a [*ResponseError] if it could not
// be understood, and otherwise that of the HTTP client.
//
// A Response must be closed.
func (c *Client) Do(ctx context.Context, req *Request) (*Response, error) {
	h := c.header(req)
	e := getEncoder()
	WriteEnvelope(e, &h, req.Body)
	envelope, err := e.Bytes(), e.Err()
	putEncoder(e)
	if err != nil {
		putBuffer(envelope)
		return nil, err
	}
	x := exchange{client: c, action: h.Action, messageID: h.MessageID, sent: req.Sent}
	x.wait = max(h.OperationTimeout, req.Patience) + c.cfg.ReceiveMargin
	return x.run(ctx, envelope)
}

func withUUIDPrefix(id string) string {
	if strings.HasPrefix(id, "uuid:") {
		return id
	}
	return "uuid:" + id
}

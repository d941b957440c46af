package wsman_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

var getShell = &wsman.Request{Action: wsman.ActionGet, Resource: wsman.Resource{URI: wsman.URIShell}}

func TestClientSendsHeaders(t *testing.T) {
	s := newServer(t, answerXML(""))
	c := s.client(t, &wsman.Config{OperationTimeout: 20 * time.Second, Locale: "de-DE", SessionID: "0A0A"})
	for range 2 {
		resp, err := c.Do(t.Context(), &wsman.Request{
			Action: wsman.ActionCommand,
			Resource: wsman.Resource{
				URI: wsman.URICmdShell, Selectors: []wsman.Selector{{Name: "ShellId", Value: "S"}}, Options: []wsman.Option{{Name: "O", Value: "V"}},
			},
			OperationID: "0B0B",
		})
		require.NoError(t, err)
		assert.Equal(t, "A1", resp.Header.ActivityID)
		resp.Close()
		resp.Close() // twice does no harm
	}
	calls := s.seen()
	got := calls[0].Header
	assert.Regexp(t, `^uuid:[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`, got.MessageID)
	assert.NotEqual(t, got.MessageID, calls[1].MessageID)
	got.MessageID = ""
	assert.Equal(t, wsman.Header{
		Action: wsman.ActionCommand, To: s.URL + "/wsman", ReplyTo: wsman.AddressAnonymous, OperationTimeout: 20 * time.Second, MaxEnvelopeSize: 512000,
		Locale: "de-DE", DataLocale: "de-DE", SessionID: "uuid:0A0A", OperationID: "uuid:0B0B",
		Resource: wsman.Resource{
			URI: wsman.URICmdShell, Selectors: []wsman.Selector{{Name: "ShellId", Value: "S"}}, Options: []wsman.Option{{Name: "O", Value: "V"}},
		},
	}, got)
	h := calls[0].HTTP
	assert.Equal(t, "application/soap+xml;charset=UTF-8", h.Get("Content-Type"))
	assert.Equal(t, "identity", h.Get("Accept-Encoding"))
	assert.Equal(t, fmt.Sprint(len(calls[0].Body)), h.Get("Content-Length"))
	assert.Empty(t, h.Get("Transfer-Encoding"))
}

func TestNewClientRefuses(t *testing.T) {
	for _, endpoint := range []string{"", "host", "ftp://host", "http://", "https://u:secret@host/wsman", "http://%zz"} {
		_, err := wsman.NewClient(endpoint, nil)
		require.Error(t, err, endpoint)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestClientFault(t *testing.T) {
	s := newServer(t, refuse(&wsman.Fault{Code: wsman.ErrTimedOut, Subcode: wsman.Name{Space: wsman.NSWSMan, Local: "TimedOut"}, Reason: "r", Message: "m"}))
	_, err := s.client(t, nil).Do(t.Context(), getShell)
	require.ErrorIs(t, err, wsman.ErrTimedOut)
	f, ok := errors.AsType[*wsman.Fault](err)
	require.True(t, ok)
	assert.Equal(t, 500, f.HTTPStatus)
	assert.Equal(t, wsman.ActionGet, f.Action)
	assert.Equal(t, wsman.ActionFault, f.FaultAction)
	assert.Equal(t, "A2", f.ActivityID)
	assert.True(t, f.Timeout())
}

// The body tells a fault, not the HTTP status.
func TestClientFaultWithStatus200(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, c *call) {
		doc := bytes.Replace(load(t, "captured-fault-timedout.xml"), []byte("uuid:9BE5F54A-6B47-487D-9ACD-65201E650446"), []byte(c.MessageID), 1)
		w.Header().Set("Content-Type", wsman.ContentType)
		_, _ = w.Write(doc)
	})
	_, err := s.client(t, nil).Do(t.Context(), getShell)
	require.ErrorIs(t, err, wsman.ErrTimedOut)
}

func TestClientStatusErrors(t *testing.T) {
	soap := map[string]string{"Content-Type": wsman.ContentType}
	html := map[string]string{"Content-Type": "text/html"}
	for _, tt := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   error  // code that the error unwraps to
		text   string // what its text says
	}{
		{"401", 401, map[string]string{"WWW-Authenticate": `Negotiate, Basic realm="a, b", Kerberos`}, "", nil, "schemes offered: Negotiate, Basic, Kerberos"},
		{"403", 403, html, "<html>no</html>", nil, "403 Forbidden"},
		{"404", 404, html, "<h1>Not Found</h1>", wsman.ErrNotFoundStatus, "/wsman"},
		{"413", 413, nil, "", wsman.ErrRequestTooLarge, "MaxEnvelopeSizekb"},
		{"503", 503, map[string]string{"Retry-After": "7"}, "", wsman.ErrServiceUnavailableStatus, "busy"},
		{"500 empty", 500, soap, "", wsman.ErrServerErrorStatus, "500"},
		{"400", 400, html, "bad", wsman.ErrBadRequestStatus, "400"},
		{"418", 418, nil, "", wsman.ErrUnknownHTTPStatus, "418"},
		{"redirect", 302, map[string]string{"Location": "http://evil.example/"}, "", wsman.ErrRedirectStatus, "http://evil.example/"},
		{"307", 307, map[string]string{"Location": "/elsewhere"}, "", wsman.ErrRedirectStatus, "not followed"},
		{"empty 200", 200, soap, "", wsman.ErrNoResponseData, "empty body"},
		{"html 200", 200, html, "<html><style>p{}</style><script>x()</script><body>Sign\x1b[31m in</body></html>", wsman.ErrInvalidContentType, "answer begins: Sign [31m in"},
		{"compressed", 200, map[string]string{"Content-Type": wsman.ContentType, "Content-Encoding": "br"}, "xxxx", wsman.ErrInvalidContentType, `"br"`},
		{"no type, no xml", 200, map[string]string{"Content-Type": ""}, "hello", wsman.ErrInvalidContentType, "hello"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, plain(tt.status, tt.header, tt.body))
			_, err := s.client(t, nil).Do(t.Context(), getShell)
			e, ok := errors.AsType[*wsman.StatusError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, tt.status, e.Status)
			assert.Contains(t, err.Error(), tt.text)
			assert.NotContains(t, err.Error(), "\x1b")
			assert.NotEmpty(t, append([]byte(e.Remedy()), byte(tt.status))) // every one has its say
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
			}
			assert.Len(t, s.seen(), 1, "nothing is followed or repeated")
		})
	}
}

func TestClientAnswersThatAreNotOurs(t *testing.T) {
	good := answerXML("<a/>")
	soap := func(status int, doc string) func(http.ResponseWriter, *http.Request, *call) {
		return plain(status, map[string]string{"Content-Type": wsman.ContentType}, doc)
	}
	for name, step := range map[string]func(http.ResponseWriter, *http.Request, *call){
		"other message": func(w http.ResponseWriter, r *http.Request, c *call) {
			o := *c
			o.MessageID = "uuid:other"
			good(w, r, &o)
		},
		"not xml":  soap(200, "hello"),
		"not soap": soap(200, "<a/>"),
		"doctype":  soap(200, "<!DOCTYPE a><a/>"),
		"no fault 500": func(w http.ResponseWriter, r *http.Request, c *call) {
			w.Header().Set("Content-Type", wsman.ContentType)
			w.WriteHeader(500)
			good(w, r, c)
		},
		"fault of another": func(w http.ResponseWriter, r *http.Request, c *call) {
			o := *c
			o.MessageID = "uuid:other"
			refuse(&wsman.Fault{Code: 5})(w, r, &o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newServer(t, step).client(t, nil).Do(t.Context(), getShell)
			var bad *wsman.ResponseError
			require.ErrorAs(t, err, &bad)
		})
	}
	// Without a:RelatesTo, HTTP pairs them.
	resp, err := newServer(t, func(w http.ResponseWriter, r *http.Request, c *call) { o := *c; o.MessageID = ""; good(w, r, &o) }).client(t, nil).Do(t.Context(), getShell)
	require.NoError(t, err)
	resp.Close()

	var relates *wsman.RelatesToError
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, c *call) {
		o := *c
		o.MessageID = "uuid:other"
		good(w, r, &o)
	})
	_, err = s.client(t, nil).Do(t.Context(), getShell)
	require.ErrorAs(t, err, &relates)
	assert.Equal(t, "uuid:other", relates.Got)
}

// Cut anywhere, an answer is an error: both when the connection ends there and
// when the server says that this is all.
func TestClientTruncatedAnswers(t *testing.T) {
	full := bytes.TrimSpace(load(t, "captured-receive.xml"))
	var cut int
	var honest bool
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request, c *call) {
		doc := bytes.Replace(full, []byte("uuid:AC9A2078-650B-4F5A-8023-6A37A2F06331"), []byte(c.MessageID), 1)
		w.Header().Set("Content-Type", wsman.ContentType)
		if !honest {
			w.Header().Set("Content-Length", fmt.Sprint(len(doc)))
		}
		_, _ = w.Write(doc[:min(cut, len(doc))])
	})
	c := s.client(t, nil)
	receive := func() error {
		resp, err := c.Do(t.Context(), getShell)
		if err != nil {
			return err
		}
		defer resp.Close()
		return resp.Body(func(d *wsman.Decoder) error { return nil })
	}
	// MessageIDs are of the same length, and the whole document passes.
	for _, honest = range []bool{true, false} {
		for cut = 0; cut < len(full); cut += 1 + cut%7 {
			err := receive()
			require.Error(t, err, "cut at %d", cut)
			var status *wsman.StatusError
			require.True(t, errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &status) && cut == 0, "%d: %v", cut, err)
		}
		cut = len(full) + 100
		require.NoError(t, receive())
	}
}

func TestClientResponseLimit(t *testing.T) {
	s := newServer(t, answerXML("<a>"+strings.Repeat("x", 5000)+"</a>"))
	_, err := s.client(t, &wsman.Config{MaxResponse: 4000}).Do(t.Context(), getShell)
	var limit *wsman.LimitError
	require.ErrorAs(t, err, &limit)
	resp, err := s.client(t, &wsman.Config{MaxResponse: 10000}).Do(t.Context(), getShell)
	require.NoError(t, err)
	resp.Close()
}

func TestClientCookie(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, c *call) {
		if r.Header.Get("Cookie") == "" {
			w.Header().Add("Set-Cookie", "other=1; Path=/")
			w.Header().Add("Set-Cookie", "MS-WSMAN=node7; Path=/wsman; HttpOnly")
		}
		answerXML("")(w, r, c)
	})
	c := s.client(t, nil)
	for range 3 {
		resp, err := c.Do(t.Context(), getShell)
		require.NoError(t, err)
		resp.Close()
	}
	calls := s.seen()
	assert.Empty(t, calls[0].HTTP.Get("Cookie"))
	assert.Equal(t, "MS-WSMAN=node7", calls[1].HTTP.Get("Cookie"))
	assert.Equal(t, "MS-WSMAN=node7", calls[2].HTTP.Get("Cookie"))
}

func TestClientTrace(t *testing.T) {
	s := newServer(t, refuse(&wsman.Fault{Code: 5}))
	type key struct{}
	var start wsman.ExchangeStart
	var done wsman.ExchangeDone
	c := s.client(t, &wsman.Config{Trace: &wsman.Trace{
		ExchangeStart: func(ctx context.Context, st wsman.ExchangeStart) context.Context {
			start = st
			return context.WithValue(ctx, key{}, "span")
		},
		ExchangeDone: func(ctx context.Context, d wsman.ExchangeDone) {
			assert.Equal(t, "span", ctx.Value(key{}))
			done = d
		},
	}})
	_, err := c.Do(t.Context(), getShell)
	assert.Equal(t, wsman.ActionGet, start.Action)
	assert.Equal(t, len(s.seen()[0].Body), start.Bytes)
	assert.Equal(t, 500, done.Status)
	assert.Equal(t, err, done.Err)
	assert.Equal(t, start.Bytes, done.Sent)
	assert.Positive(t, done.Received)
	assert.Positive(t, done.Duration)
}

func TestClientContext(t *testing.T) {
	release := make(chan struct{})
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, c *call) { <-release })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.client(t, nil).Do(ctx, getShell)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var late *wsman.TimeoutError
	assert.False(t, errors.As(err, &late), "the caller's time is not the server's")

	cause := errors.New("user went away")
	ctx2, cancel2 := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel2(cause) })
	_, err = s.client(t, nil).Do(ctx2, getShell)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
}

// roundTripper is an HTTP client's transport made of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The time for an answer counts from the moment the request is on the wire.
func TestClientTimeoutCountsFromWroteRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const connecting = 10 * time.Minute
		c, err := wsman.NewClient("http://srv:5985/wsman", &wsman.Config{
			OperationTimeout: 60 * time.Second,
			ReceiveMargin:    time.Second, // too little: 15 s hold
			HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				time.Sleep(connecting)
				httptrace.ContextClientTrace(r.Context()).WroteRequest(httptrace.WroteRequestInfo{})
				<-r.Context().Done()
				return nil, r.Context().Err()
			})},
		})
		require.NoError(t, err)
		start := time.Now()
		_, err = c.Do(t.Context(), getShell)
		var late *wsman.TimeoutError
		require.ErrorAs(t, err, &late)
		assert.True(t, late.Timeout())
		assert.Equal(t, connecting+75*time.Second, time.Since(start))
	})
}

// borrowedBody is the body that our own transport gives: whole, and in place.
type borrowedBody struct {
	io.Reader
	data   []byte
	closed *int
}

func (b *borrowedBody) Bytes() []byte { return b.data }
func (b *borrowedBody) Close() error  { *b.closed++; return nil }

func TestClientBorrowsBytes(t *testing.T) {
	closed := 0
	var sent []byte
	c, err := wsman.NewClient("http://srv:5985/wsman", &wsman.Config{HTTPClient: &http.Client{
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			sent, _ = io.ReadAll(r.Body)
			h, err := wsman.ReadEnvelope(wsman.NewDecoder(bytes.Clone(sent)))
			if err != nil {
				return nil, err
			}
			doc := bytes.Replace(load(t, "captured-receive.xml"), []byte("uuid:AC9A2078-650B-4F5A-8023-6A37A2F06331"), []byte(h.MessageID), 1)
			return &http.Response{
				StatusCode: 200, Header: http.Header{"Content-Type": {wsman.ContentType}}, Request: r,
				Body: &borrowedBody{Reader: strings.NewReader("not this"), data: doc, closed: &closed},
			}, nil
		}),
	}})
	require.NoError(t, err)
	resp, err := c.Do(t.Context(), getShell)
	require.NoError(t, err)
	assert.Zero(t, closed, "the bytes belong to the answer until Close")
	var out []byte
	require.NoError(t, resp.Body(func(d *wsman.Decoder) error {
		for range d.Children() {
			for n := range d.Children() {
				if n.Local == "Stream" {
					p, err := d.Base64()
					if err != nil {
						return err
					}
					out = append(out, p...)
				}
			}
		}
		return nil
	}))
	assert.Equal(t, "hi\n", string(out))
	resp.Close()
	assert.Equal(t, 1, closed)
	require.Error(t, resp.Body(func(*wsman.Decoder) error { return nil }))
}

func TestClientConcurrent(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request, c *call) {
		answer(func(e *wsman.Encoder) { e.Element("v", c.Resource.URI) })(w, r, c)
	})
	c := s.client(t, nil)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for j := range 10 {
				uri := fmt.Sprintf("urn:%d:%d", i, j)
				var got string
				err := c.Get(context.Background(), wsman.Resource{URI: uri}, &got)
				if err != nil || got != uri {
					t.Errorf("%s: %q, %v", uri, got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestClientRefusesBadText(t *testing.T) {
	s := newServer(t, answerXML(""))
	err := s.client(t, nil).Delete(t.Context(), wsman.Resource{URI: "urn:x", Selectors: []wsman.Selector{{Name: "a", Value: "\x00"}}})
	var bad *wsman.CharError
	require.ErrorAs(t, err, &bad)
	assert.Empty(t, s.seen())
}

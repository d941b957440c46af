package wsman_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

// call is one request as the server saw it.
type call struct {
	wsman.Header
	HTTP http.Header
	Body []byte // the whole envelope
}

// server answers from a script: a function for each request, in order; the
// last one stays.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []call
	script []func(w http.ResponseWriter, r *http.Request, c *call)
}

func newServer(t testing.TB, script ...func(http.ResponseWriter, *http.Request, *call)) *server {
	t.Helper()
	s := &server{script: script}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c := call{HTTP: r.Header.Clone(), Body: body}
		h, err := wsman.ReadEnvelope(wsman.NewDecoder(append([]byte(nil), body...)))
		if err != nil {
			t.Errorf("request: %v\n%s", err, body)
		}
		c.Header = h
		s.mu.Lock()
		n := min(len(s.calls), len(s.script)-1)
		s.calls = append(s.calls, c)
		step := s.script[n]
		s.mu.Unlock()
		step(w, r, &c)
	}))
	t.Cleanup(s.Server.Close)
	return s
}

func (s *server) seen() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]call(nil), s.calls...)
}

// client makes a Client of the server whose connections end with the test.
func (s *server) client(t testing.TB, cfg *wsman.Config) *wsman.Client {
	t.Helper()
	var c wsman.Config
	if cfg != nil {
		c = *cfg
	}
	if c.HTTPClient == nil {
		tr := &http.Transport{}
		t.Cleanup(tr.CloseIdleConnections)
		c.HTTPClient = &http.Client{Transport: tr}
	}
	client, err := wsman.NewClient(s.URL+"/wsman", &c)
	require.NoError(t, err)
	return client
}

// answer sends a body as the answer to the request.
func answer(body func(*wsman.Encoder)) func(http.ResponseWriter, *http.Request, *call) {
	return func(w http.ResponseWriter, _ *http.Request, c *call) {
		e := wsman.NewEncoder(nil)
		wsman.WriteEnvelope(e, &wsman.Header{
			Action: c.Action + "Response", To: wsman.AddressAnonymous, MessageID: wsman.NewUUID(), RelatesTo: c.MessageID, ActivityID: "A1",
		}, body)
		w.Header().Set("Content-Type", wsman.ContentType)
		_, _ = w.Write(e.Bytes())
	}
}

// answerXML is answer with the body given as XML.
func answerXML(xml string) func(http.ResponseWriter, *http.Request, *call) {
	return answer(func(e *wsman.Encoder) {
		if xml != "" {
			e.Raw([]byte(xml))
		}
	})
}

// refuse sends a fault.
func refuse(f *wsman.Fault) func(http.ResponseWriter, *http.Request, *call) {
	return func(w http.ResponseWriter, _ *http.Request, c *call) {
		e := wsman.NewEncoder(nil)
		wsman.WriteEnvelope(e, &wsman.Header{Action: f.MessageAction(), To: wsman.AddressAnonymous, RelatesTo: c.MessageID, ActivityID: "A2"}, f.Encode)
		w.Header().Set("Content-Type", wsman.ContentType)
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write(e.Bytes())
	}
}

// plain sends something that is not a message.
func plain(status int, header map[string]string, body string) func(http.ResponseWriter, *http.Request, *call) {
	return func(w http.ResponseWriter, _ *http.Request, _ *call) {
		for k, v := range header {
			if v == "" {
				w.Header()[k] = nil
			} else {
				w.Header().Set(k, v)
			}
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

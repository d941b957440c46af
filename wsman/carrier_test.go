package wsman_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

// lender returns a client of a transport that keeps its requests, as it may until
// their answers are closed, and lends the bytes of the answers. keep gets each
// request with the envelope that it had when it was sent.
func lender(t testing.TB, cfg *wsman.Config, keep func(r *http.Request, envelope []byte)) *wsman.Client {
	t.Helper()
	cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		h, err := wsman.ReadEnvelope(wsman.NewDecoder(bytes.Clone(sent)))
		if err != nil {
			return nil, err
		}
		if trace := httptrace.ContextClientTrace(r.Context()); trace != nil {
			trace.WroteRequest(httptrace.WroteRequestInfo{})
		}
		keep(r, sent)
		doc := bytes.Replace(load(t, "captured-receive.xml"), []byte("uuid:AC9A2078-650B-4F5A-8023-6A37A2F06331"), []byte(h.MessageID), 1)
		return &http.Response{
			StatusCode: 200, Header: http.Header{"Content-Type": {wsman.ContentType}}, Request: r,
			Body: &borrowedBody{Reader: bytes.NewReader(nil), data: doc, closed: new(int)},
		}, nil
	})}
	c, err := wsman.NewClient("http://srv:5985/wsman", cfg)
	require.NoError(t, err)
	return c
}

// What a transport was given stays as it is until the answer is closed: net/http
// promises that. Then it is used again, and nothing of one exchange is in another.
func TestRequestStaysUntilTheAnswerIsClosed(t *testing.T) {
	type kept struct {
		r        *http.Request
		envelope []byte
		header   http.Header
	}
	var mu sync.Mutex
	requests := make(map[*http.Request]kept)
	var last *http.Request
	c := lender(t, &wsman.Config{}, func(r *http.Request, envelope []byte) {
		mu.Lock()
		defer mu.Unlock()
		r.Header["X-Added"] = []string{"by a careless transport"}
		requests[r], last = kept{r, envelope, maps.Clone(r.Header)}, r
	})
	check := func(k kept) {
		t.Helper()
		assert.Equal(t, k.header, k.r.Header)
		whole := k.r.Body.(interface{ Bytes() []byte }).Bytes()
		assert.Equal(t, string(k.envelope), string(whole))
		body, err := k.r.GetBody()
		require.NoError(t, err)
		again, err := io.ReadAll(body)
		require.NoError(t, err)
		assert.Equal(t, string(k.envelope), string(again))
		assert.Equal(t, int64(len(again)), k.r.ContentLength)
	}
	var open []*wsman.Response
	for range 5 {
		resp, err := c.Do(t.Context(), getShell)
		require.NoError(t, err)
		open = append(open, resp)
	}
	require.Len(t, requests, 5)
	for _, k := range requests {
		check(k)
	}
	for _, resp := range open {
		resp.Close()
		resp.Close()
	}
	clear(requests)

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				resp, err := c.Do(t.Context(), getShell)
				if !assert.NoError(t, err) {
					return
				}
				resp.Close()
			}
		})
	}
	wg.Wait()
	assert.Len(t, requests, 400)
	resp, err := c.Do(t.Context(), getShell)
	require.NoError(t, err)
	defer resp.Close()
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []string{wsman.ContentType}, last.Header["Content-Type"])
	assert.Equal(t, []string{"by a careless transport"}, last.Header["X-Added"])
	assert.Len(t, last.Header, 3)
}

// Hooks of the caller are called once for each of his exchanges, and for nobody
// else's.
func TestOuterClientTrace(t *testing.T) {
	c := lender(t, &wsman.Config{}, func(*http.Request, []byte) {})
	do := func(ctx context.Context) {
		resp, err := c.Do(ctx, getShell)
		require.NoError(t, err)
		resp.Close()
	}
	wrote := 0
	traced := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { wrote++ },
	})
	for range 10 {
		do(traced)
		do(t.Context())
	}
	assert.Equal(t, 10, wrote)
}

// The clock of an exchange that is over does not end one that comes later.
func TestClockIsSetAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := false
		c := lender(t, &wsman.Config{OperationTimeout: time.Minute}, func(r *http.Request, _ []byte) {
			if silent {
				<-r.Context().Done()
				return
			}
			time.Sleep(50 * time.Second)
			assert.NoError(t, r.Context().Err())
		})
		for range 5 {
			resp, err := c.Do(t.Context(), getShell)
			require.NoError(t, err)
			resp.Close()
			time.Sleep(time.Hour)
		}
		// An answer that comes as the time runs out is taken, but its carrier is not
		// used again: the clock may still be about to speak.
		silent = true
		start := time.Now()
		resp, err := c.Do(t.Context(), getShell)
		require.NoError(t, err)
		resp.Close()
		assert.Equal(t, 75*time.Second, time.Since(start))
		silent = false
		for range 5 {
			resp, err := c.Do(t.Context(), getShell)
			require.NoError(t, err)
			resp.Close()
		}
	})
}

// Programs test themselves under virtual time, and go on without it: no timer may
// pass from one to the other.
func TestVirtualTimeBetweenExchanges(t *testing.T) {
	c := lender(t, &wsman.Config{}, func(*http.Request, []byte) {})
	do := func(t *testing.T) {
		resp, err := c.Do(t.Context(), getShell)
		require.NoError(t, err)
		resp.Close()
	}
	for range 20 {
		synctest.Test(t, do)
		do(t)
	}
}

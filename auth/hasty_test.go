package auth_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/memconn"
)

// A hasty server answers one message on each connection and closes it a moment
// later, without having said so; what comes meanwhile it does not read.
type hasty struct {
	listener *memconn.Listener
	wait     sync.WaitGroup
	patient  atomic.Bool // it answers one message after the other, as others do

	got []string
}

func newHasty() *hasty {
	h := &hasty{listener: memconn.Listen("hasty.invalid:5985")}
	h.wait.Go(func() {
		for {
			nc, err := h.listener.Accept()
			if err != nil {
				return
			}
			h.serve(nc)
		}
	})
	return h
}

func (h *hasty) serve(nc net.Conn) {
	defer nc.Close()
	br := bufio.NewReader(nc)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		h.got = append(h.got, string(body))
		_, _ = io.WriteString(nc, httpAnswer(200, "", "re: "+string(body)))
		if !h.patient.Load() {
			time.Sleep(5 * time.Millisecond)
			return
		}
	}
}

func (h *hasty) post(tr *auth.Transport, text string) error {
	req, err := http.NewRequest(http.MethodPost, "http://hasty.invalid:5985/wsman", strings.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// One message is lost to such a server, and none is sent twice; then it is given
// the time to close.
func TestHastyServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasty()
		tr, err := auth.NewTransport("http://hasty.invalid:5985/wsman", &auth.TransportConfig{
			Mechanism: auth.Anonymous(), Encryption: auth.EncryptNever, Dial: h.listener.DialContext,
		})
		require.NoError(t, err)
		lost := 0
		var want []string
		for text := range strings.SplitSeq("abcdefghijklmnopqrst", "") {
			err := h.post(tr, text)
			if _, ok := errors.AsType[*auth.ConnectionLostError](err); ok {
				lost++
				continue
			}
			require.NoError(t, err)
			want = append(want, text)
		}
		assert.Equal(t, 1, lost)
		assert.Equal(t, want, h.got)

		// When the server has given up the habit, so does the client.
		h.patient.Store(true)
		began := time.Now()
		for range 100 {
			require.NoError(t, h.post(tr, "x"))
		}
		assert.Less(t, time.Since(began), 500*time.Millisecond, "of the time that the server would have needed")
		_ = tr.Close()
		_ = h.listener.Close()
		h.wait.Wait()
	})
}

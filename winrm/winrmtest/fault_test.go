package winrmtest_test

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

var getConfig = request{action: transfer + "/Get", uri: nsConfig}

func TestFaultCounts(t *testing.T) {
	srv := start(t, nil, func(s *winrmtest.Server) {
		s.Faults = []winrmtest.Fault{{Action: "Get", Resource: "/config", After: 1, Count: 2, Code: 2150859176}}
	})
	c := dial(t, srv)
	c.ok(getConfig)
	c.fault(getConfig, 2150859176)
	c.fault(getConfig, 2150859176)
	c.ok(getConfig)

	srv.AddFaults(winrmtest.Fault{Count: -1, Status: 503, Header: http.Header{"Retry-After": {"5"}}, Body: []byte("<html>busy</html>")})
	for range 3 {
		c.send("POST", "/wsman", getConfig.String())
		resp, body := c.answer()
		assert.Equal(t, 503, resp.StatusCode)
		assert.Equal(t, "5", resp.Header.Get("Retry-After"))
		assert.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
		assert.Equal(t, "<html>busy</html>", body)
	}
	srv.ClearFaults()
	c.ok(getConfig)
}

func TestFaultHook(t *testing.T) {
	srv := start(t, nil, func(s *winrmtest.Server) {
		s.Hook = func(x *winrmtest.Exchange) *winrmtest.Fault {
			if x.Action == winrmtest.ActionLogon {
				return &winrmtest.Fault{Status: 307, Header: http.Header{"Location": {"http://elsewhere/"}}}
			}
			return nil
		}
	})
	c := dial(t, srv)
	c.ok(getConfig)
	c.send("POST", "/wsman", "")
	resp, _ := c.answer()
	assert.Equal(t, 307, resp.StatusCode)
	assert.Equal(t, "http://elsewhere/", resp.Header.Get("Location"))
}

func TestFaultDrops(t *testing.T) {
	for _, tt := range []struct {
		name      string
		fault     winrmtest.Fault
		processed bool
		want      int // bytes of the answer
	}{
		{"before", winrmtest.Fault{Drop: winrmtest.DropBefore}, false, 0},
		{"after", winrmtest.Fault{Drop: winrmtest.DropAfter}, true, 0},
		{"in the header", winrmtest.Fault{Drop: winrmtest.DropAt, At: 5}, true, 5},
		{"in the body", winrmtest.Fault{Drop: winrmtest.DropAt, At: 700}, true, 700},
		{"half-close", winrmtest.Fault{Drop: winrmtest.HalfCloseAt, At: 9}, true, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.fault.Action = "Create"
			srv := start(t, nil, func(s *winrmtest.Server) { s.Faults = []winrmtest.Fault{tt.fault} })
			c := dial(t, srv)
			c.send("POST", "/wsman", request{action: transfer + "/Create", uri: uriCmd, body: "<rsp:Shell/>"}.String())
			got, err := io.ReadAll(c.br)
			if tt.fault.Drop == winrmtest.DropBefore {
				assert.True(t, errors.Is(err, syscall.ECONNRESET), "%v", err)
			} else {
				assert.NoError(t, err)
			}
			assert.Len(t, got, tt.want)
			shells := 0
			if tt.processed {
				shells = 1
			}
			assert.Equal(t, shells, srv.Stats().Shells)
		})
	}
}

func TestFaultDelayAndSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, nil, func(s *winrmtest.Server) {
			s.Faults = []winrmtest.Fault{{Delay: 7 * time.Second}, {Drop: winrmtest.Silence}}
		})
		c := dial(t, srv)
		begun := time.Now()
		c.ok(getConfig)
		assert.Equal(t, 7*time.Second, time.Since(begun))
		c.send("POST", "/wsman", getConfig.String())
		require.NoError(t, c.conn.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err := c.br.ReadByte()
		assert.Error(t, err)
		assert.Equal(t, time.Hour+7*time.Second, time.Since(begun))
	})
}

func TestFaultChangesAnswer(t *testing.T) {
	srv := start(t, nil, func(s *winrmtest.Server) {
		s.Faults = []winrmtest.Fault{
			{Gzip: true, Close: false},
			{Edit: func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), "cfg:Config", "cfg:Other")) }, Close: true},
		}
	})
	c := dial(t, srv)
	c.send("POST", "/wsman", getConfig.String())
	resp, body := c.answer()
	assert.Equal(t, "gzip", resp.Header.Get("Content-Encoding"))
	zr, err := gzip.NewReader(strings.NewReader(body))
	require.NoError(t, err)
	plain, err := io.ReadAll(zr)
	require.NoError(t, err)
	assert.Contains(t, string(plain), "cfg:Config")

	c.send("POST", "/wsman", getConfig.String())
	resp, body = c.answer()
	assert.True(t, resp.Close)
	assert.Contains(t, body, "cfg:Other")
	_, err = c.br.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
}

func TestRecord(t *testing.T) {
	srv := start(t, nil, func(s *winrmtest.Server) { s.Record = true })
	c := dial(t, srv)
	c.ok(getConfig)
	c.fault(request{action: transfer + "/Get", uri: "http://x"}, 2150858811)
	xs := srv.Exchanges()
	require.Len(t, xs, 2)
	assert.Equal(t, getConfig.String(), string(xs[0].Request))
	assert.Equal(t, `WINRMTEST\user`, xs[0].User)
	assert.Equal(t, "Basic", xs[0].Scheme)
	assert.Equal(t, 500, xs[1].Status)
	assert.Equal(t, uint32(2150858811), xs[1].Code)
}

func TestCloseConnections(t *testing.T) {
	srv := start(t, nil)
	c := dial(t, srv)
	c.ok(getConfig)
	srv.CloseConnections()
	_, err := c.br.ReadByte()
	assert.Error(t, err)
	dial(t, srv).ok(getConfig)
}

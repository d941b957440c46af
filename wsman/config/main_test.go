package config_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// newHost starts a host, changed by the functions, and a client of it.
func newHost(t *testing.T, change ...func(*winrmtest.Server)) (*winrmtest.Server, *winrm.Client) {
	t.Helper()
	srv := winrmtest.NewUnstartedServer(nil)
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Negotiate(), winrmtest.CredSSP(winrmtest.CredSSPOptions{})}
	srv.Settings = map[string]string{"Service/Auth/CredSSP": "false"}
	srv.Record = true
	for _, fn := range change {
		fn(srv)
	}
	srv.Start()
	t.Cleanup(srv.Close)
	client := srv.Client()
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return srv, client
}

var bodyOf = regexp.MustCompile(`(?s)<s:Body>(.*)</s:Body>|<s:Body/>`)

// bodies are the contents of the requests with an action that ends in word.
func bodies(t *testing.T, srv *winrmtest.Server, word string) (list []string) {
	t.Helper()
	for _, x := range srv.Exchanges() {
		if !regexp.MustCompile(`/` + word + `$`).MatchString(x.Action) {
			continue
		}
		m := bodyOf.FindSubmatch(x.Request)
		require.NotNil(t, m, "%s", x.Request)
		list = append(list, string(m[1]))
	}
	return list
}

package main_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

func TestCredSSP(t *testing.T) {
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		if p.Delegated == nil || p.Delegated.Password != password {
			return 5
		}
		_, _ = io.WriteString(p.Stdout, "second hop as "+p.Delegated.User)
		return 0
	}))
	srv.Users = map[string]string{user: password}
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.CredSSP(winrmtest.CredSSPOptions{})}
	srv.Start()
	t.Cleanup(srv.Close)
	got := finish(t, command(t, nil, "-r", srv.URL, "-auth", "credssp", "-u", user, "-n", "type", `\\files\a.txt`))
	assert.Equal(t, outcome{stdout: "second hop as " + user}, got)
}

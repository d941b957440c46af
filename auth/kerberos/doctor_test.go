package kerberos_test

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/internal/realmtest"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// last is the step at which the doctor's walk ends.
func last(t *testing.T, name, addr string, mech auth.Mechanism) winrm.Step {
	t.Helper()
	var step winrm.Step
	for step = range winrm.Diagnose(t.Context(), "http://"+name, &winrm.DiagnoseOptions{Config: &winrm.Config{
		Auth: mech,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		},
	}}) {
	}
	return step
}

func assertBroken(t *testing.T, step winrm.Step, id string) {
	t.Helper()
	assert.Equal(t, "logon", step.Name)
	assert.Equal(t, winrm.StepFailed, step.Verdict, "%+v", step)
	require.NotEmpty(t, step.Causes, "%+v", step)
	assert.Equal(t, id, step.Causes[0].ID, "%+v", step)
	assert.NotEmpty(t, step.Causes[0].Remedy)
	assert.True(t, step.Causes[0].Certain)
}

// What a KDC says is what the doctor says.
func TestDoctorKDC(t *testing.T) {
	d := newDomain(t, "HTTP/"+host)
	addr := d.server.Listener.Addr().String()
	healthy := last(t, host, addr, auth.Negotiate(open(t, d.config(d.credentials(secret)))))
	assert.Equal(t, winrm.StepOK, healthy.Verdict, "%+v", healthy)
	assert.Equal(t, "quota", healthy.Name)
	assertBroken(t, last(t, "srv9.example.test", addr, auth.Negotiate(open(t, d.config(d.credentials(secret))))), "kdc-err-s-principal-unknown")
	assertBroken(t, last(t, host, addr, auth.Negotiate(open(t, d.config(d.credentials("wrong"))))), "kdc-err-preauth-failed")

	skewed := newDomain(t, "HTTP/"+host)
	skewed.kdc.Now = func() time.Time { return time.Now().Add(time.Hour) }
	assertBroken(t, last(t, host, skewed.server.Listener.Addr().String(), auth.Negotiate(open(t, skewed.config(skewed.credentials(secret))))), "krb-ap-err-skew")
}

// The same with MIT's KDC.
func TestDoctorMIT(t *testing.T) {
	m := mitRealm(t)
	keytab, err := os.ReadFile(m.Path("server.keytab"))
	require.NoError(t, err)
	mech, err := winrmtest.NegotiateKerberos(keytab)
	require.NoError(t, err)
	s := start(t, mech, false, nil)
	addr := s.Listener.Addr().String()
	alice := func(password string) auth.Mechanism {
		return auth.Negotiate(open(t, &kerberos.Config{ConfigFile: m.Conf, Credentials: auth.Credentials{
			User: "alice@EXAMPLE.TEST", Password: password, Gate: &auth.Gate{},
		}}))
	}
	healthy := last(t, host, addr, alice(oddPassword))
	assert.NotEqual(t, "logon", healthy.Name, "%+v", healthy)
	assertBroken(t, last(t, "srv9.example.test", addr, alice(oddPassword)), "kdc-err-s-principal-unknown")
	assertBroken(t, last(t, host, addr, alice("wrong")), "kdc-err-preauth-failed")
}

// A real KDC whose clock is an hour ahead of ours.
func TestDoctorMITClock(t *testing.T) {
	m := realmtest.StartMIT(t, realmtest.MITConfig{Clock: "+1h", KAdmin: []string{`addprinc -clearpolicy -pw secret alice`}})
	d := newDomain(t)
	mech := open(t, &kerberos.Config{ConfigFile: m.Conf, Credentials: auth.Credentials{User: "alice@EXAMPLE.TEST", Password: "secret", Gate: &auth.Gate{}}})
	step := last(t, host, d.server.Listener.Addr().String(), auth.Negotiate(mech))
	assertBroken(t, step, "krb-ap-err-skew")
	t.Log(step.Evidence)
}

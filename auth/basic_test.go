package auth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/toyauth"
)

func TestBasicNeedsBothSaidByName(t *testing.T) {
	for _, c := range []struct {
		name        string
		mech        func(auth.Credentials) auth.Mechanism
		enc         auth.Encryption
		ok          bool
		credentials bool
	}{
		{"neither", auth.Basic, auth.EncryptAuto, false, true},
		{"messages only", auth.Basic, auth.EncryptNever, false, true},
		{"credentials only", auth.BasicInsecure, auth.EncryptAuto, false, false},
		{"always", auth.BasicInsecure, auth.EncryptAlways, false, false},
		{"both", auth.BasicInsecure, auth.EncryptNever, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, toyauth.TwoLegs)
			s.basic = true
			tr := s.transport(func(cfg *auth.TransportConfig) {
				cfg.Mechanism, cfg.Encryption = c.mech(creds()), c.enc
			})
			err := second(s.post(tr, t.Context(), "x"))
			conns, requests, _ := s.counts()
			if c.ok {
				require.NoError(t, err)
				assert.Equal(t, 1, requests, "no exchange for the logon")
				return
			}
			clear, ok := errors.AsType[*auth.ClearTextError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, c.credentials, clear.Credentials)
			assert.Zero(t, conns)
		})
	}
}

func TestBasicFirstRequestRunsAlone(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	s.basic = true
	bad := creds()
	bad.Password = "wrong"
	tr := s.transport(func(cfg *auth.TransportConfig) {
		cfg.Mechanism, cfg.Encryption = auth.BasicInsecure(bad), auth.EncryptNever
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			e, ok := errors.AsType[*auth.Error](second(s.post(tr, t.Context(), "x")))
			if assert.True(t, ok) {
				assert.True(t, e.Refused)
				assert.Equal(t, []string{"Basic"}, e.Offered)
				assert.Equal(t, "wrong-password", e.Causes[0].ID)
			}
		})
	}
	wg.Wait()
	_, _, failed := s.counts()
	assert.Equal(t, 1, failed)
}

func TestBasicCarriesAnyPassword(t *testing.T) {
	for _, password := range []string{`@ " ' & < > % é 한 😀`, " blanks ", ":", "", "a:b", "\x00\x7f"} {
		s := newServer(t, toyauth.TwoLegs)
		s.intercept = func(*received) string { return httpAnswer(200, "Content-Type: "+soapType+"\r\n", "<ok/>") }
		c := creds()
		c.User, c.Password = `DOM\üser`, password
		tr := s.transport(func(cfg *auth.TransportConfig) {
			cfg.Mechanism, cfg.Encryption = auth.BasicInsecure(c), auth.EncryptNever
		})
		require.NoError(t, second(s.post(tr, t.Context(), "x")))
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.got()[0].authorization, "Basic "))
		require.NoError(t, err)
		assert.Equal(t, `DOM\üser:`+password, string(raw))
	}
}

// A colon would give the server another account's name, with a failed logon for
// it.
func TestBasicNamesThatCannotBeCarried(t *testing.T) {
	for _, name := range []string{"", "a:b", "a:", `DOM:\a`} {
		s := newServer(t, toyauth.TwoLegs)
		c := creds()
		c.User = name
		for _, mech := range []auth.Mechanism{auth.Basic(c), auth.BasicInsecure(c)} {
			_, err := mech.NewSession(auth.Peer{Scheme: "https", Host: host, Port: "5986"})
			require.Error(t, err, "%q", name)
		}
		tr := s.transport(func(cfg *auth.TransportConfig) {
			cfg.Mechanism, cfg.Encryption = auth.BasicInsecure(c), auth.EncryptNever
		})
		require.Error(t, second(s.post(tr, t.Context(), "x")))
		assert.Empty(t, s.got())
	}
}

func TestAnonymousToldWhatIsOffered(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	tr := s.transport(func(cfg *auth.TransportConfig) {
		cfg.Mechanism, cfg.Encryption = auth.Anonymous(), auth.EncryptNever
	})
	e, ok := errors.AsType[*auth.Error](second(s.post(tr, t.Context(), "x")))
	require.True(t, ok)
	assert.Equal(t, []string{"Negotiate", "Toy"}, e.Offered)
	assert.False(t, e.Refused)
	assert.Empty(t, s.got()[0].authorization)
	assert.Equal(t, "logon-wanted", e.Causes[0].ID)
}

// element is a root that encoding/xml takes.
type element[T any] struct{ C T }

func TestCredentialsNeverPrint(t *testing.T) {
	const secret = "s3cr3t-pässwörd"
	c := auth.Credentials{Domain: "CORP", User: "svc", Password: secret, NTHash: []byte(secret)}
	type holder struct {
		C auth.Credentials
		P *auth.Credentials
		S []auth.Credentials
		M map[string]auth.Credentials
		F auth.CertificateFiles
	}
	files := auth.CertificateFiles{Cert: "c.pem", Key: "k.pem", Passphrase: secret}
	h := holder{c, &c, []auth.Credentials{c}, map[string]auth.Credentials{"x": c}, files}
	mechs := []any{auth.Basic(c), auth.BasicInsecure(c), auth.NTLM(c), auth.Negotiate(auth.NTLM(c)), toyauth.New(toyauth.TwoLegs, c), c.Logon()}

	var out []string
	for verb := range strings.SplitSeq("v +v #v s q x X d #x t c U e T o b", " ") {
		for _, v := range append([]any{c, &c, h, &h, files, &files}, mechs...) {
			out = append(out, fmt.Sprintf("%"+verb, v))
		}
	}
	out = append(out, c.String(), c.GoString(), fmt.Sprint(c), fmt.Sprintln(h), files.String(), files.GoString())
	for _, v := range []any{c, &c, h, files, &files} {
		j, err := json.Marshal(v)
		require.NoError(t, err)
		out = append(out, string(j))
	}
	for _, v := range []any{element[auth.Credentials]{c}, element[auth.CertificateFiles]{files}} {
		x, err := xml.Marshal(v)
		require.NoError(t, err)
		out = append(out, string(x))
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "c", c, "p", &c, "h", h, "f", files)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "c", c, "p", &c, "h", h, "f", files, "pf", &files)
	out = append(out, log.String())
	require.Error(t, gob.NewEncoder(&log).Encode(c))
	require.Error(t, gob.NewEncoder(&log).Encode(files))

	hexed := fmt.Sprintf("%x", secret)
	for _, text := range out {
		assert.NotContains(t, text, secret)
		assert.NotContains(t, strings.ToLower(text), hexed)
		assert.NotContains(t, text, "115 51 99 114", "as bytes")
		assert.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	assert.Equal(t, "***", fmt.Sprintf("%x", c))
	assert.Equal(t, "***", fmt.Sprintf("%#v", c))
}

func TestAccount(t *testing.T) {
	for _, c := range []struct{ domain, user, wantDomain, wantUser, name string }{
		{"", "svc", "", "svc", "svc"},
		{"", `CORP\svc`, "CORP", "svc", `CORP\svc`},
		{"CORP", "svc", "CORP", "svc", `CORP\svc`},
		{"", "svc@corp.example", "", "svc@corp.example", "svc@corp.example"},
		{"", `.\admin`, ".", "admin", `.\admin`},
		{"CORP", `a\b`, "CORP", `a\b`, `CORP\a\b`},
	} {
		cred := auth.Credentials{Domain: c.domain, User: c.user}
		domain, user := cred.Account()
		assert.Equal(t, c.wantDomain, domain)
		assert.Equal(t, c.wantUser, user)
		assert.Equal(t, c.name, cred.AccountName())
	}
}

func TestParseChallenges(t *testing.T) {
	type list = []auth.Challenge
	realm := map[string]string{"realm": "WSMAN"}
	for _, c := range []struct {
		in   []string
		want list
	}{
		{[]string{"Negotiate", "Kerberos", `Basic realm="WSMAN"`, "CredSSP"}, list{
			{Scheme: "Negotiate"}, {Scheme: "Kerberos"}, {Scheme: "Basic", Params: realm}, {Scheme: "CredSSP"},
		}},
		{[]string{`Negotiate, Basic realm="WSMAN", CredSSP`}, list{
			{Scheme: "Negotiate"}, {Scheme: "Basic", Params: realm}, {Scheme: "CredSSP"},
		}},
		{[]string{"Negotiate TlRMTVNTUAAC+/=="}, list{{Scheme: "Negotiate", Token68: "TlRMTVNTUAAC+/=="}}},
		{[]string{"Negotiate abc=, CredSSP def"}, list{{Scheme: "Negotiate", Token68: "abc="}, {Scheme: "CredSSP", Token68: "def"}}},
		{[]string{`Digest realm="a, b\"c", qop=auth ,nonce = "x",Basic`}, list{
			{Scheme: "Digest", Params: map[string]string{"realm": `a, b"c`, "qop": "auth", "nonce": "x"}}, {Scheme: "Basic"},
		}},
		{[]string{"", ",, ,", " = ", `"`}, nil},
		{[]string{"CredSSP  "}, list{{Scheme: "CredSSP"}}},
	} {
		assert.Equal(t, c.want, auth.ParseChallenges(c.in), "%q", c.in)
	}
}

func FuzzParseChallenges(f *testing.F) {
	for _, s := range []string{"Negotiate abc==, Basic realm=\"x\"", "Digest a=b,c=\"d\\\"", "x y z,,=", "CredSSP"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all := auth.ParseChallenges([]string{s, s})
		if len(all) > 32 {
			t.Fatalf("%d challenges", len(all))
		}
		for _, c := range all {
			if c.Scheme == "" || strings.ContainsAny(c.Scheme+c.Token68, " ,\"\r\n") {
				t.Fatalf("%q of %q", c, s)
			}
		}
	})
}

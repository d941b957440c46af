package auth_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/ntlm"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

var authorization = regexp.MustCompile(`(?im)^(?:proxy-)?authorization: *(\w+) *([^\r\n]*)`)

// inClear lists what somebody on the wire can read that must not be there: parts
// of messages, the password in any form, its hash. Tokens are looked into.
func inClear(wire string) (found []string) {
	var tokens strings.Builder
	tokens.WriteString(wire)
	for _, m := range authorization.FindAllStringSubmatch(wire, -1) {
		if strings.EqualFold(m[1], "Basic") && !slices.Contains(found, "Basic") {
			found = append(found, "Basic")
		}
		raw, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(m[2]))
		tokens.WriteString("\n" + string(raw))
	}
	hash, err := ntlm.PasswordHash(goodPass)
	if err != nil {
		panic(err)
	}
	var wide []byte
	for _, u := range utf16.Encode([]rune(goodPass)) {
		wide = binary.LittleEndian.AppendUint16(wide, u)
	}
	for name, secret := range map[string]string{
		"envelope": "Envelope", "namespace": "schemas.xmlsoap.org", "command line": secretLine,
		"password": goodPass, "password in UTF-16": string(wide),
		"hash": string(hash[:]), "hash in hex": hex.EncodeToString(hash[:]),
		"password in base64": base64.StdEncoding.EncodeToString([]byte(goodPass))[:12],
		"hash in base64":     base64.StdEncoding.EncodeToString(hash[:])[:20],
	} {
		if strings.Contains(strings.ToLower(tokens.String()), strings.ToLower(secret)) {
			found = append(found, name)
		}
	}
	return found
}

const secretLine = "net user administrator"

// TestSniffer makes sure that the sniffer sees.
func TestSniffer(t *testing.T) {
	r := newRemote(t, func(s *winrmtest.Server) { s.Mechanisms = []winrmtest.Mechanism{winrmtest.Basic()} }, nil)
	var wire recorder
	c := r.client(t, auth.BasicInsecure(creds()), func(cfg *winrm.Config) {
		cfg.Encryption = auth.EncryptNever
		wire.tap(cfg)
	})
	_, err := run(t.Context(), c, secretLine)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"Basic", "envelope", "namespace", "command line", "password"}, inClear(wire.leftTheClient()))
}

// Whatever fails, over http no message and no credential leaves in clear, and
// no failure makes the client try something weaker.
func TestSniffedFailures(t *testing.T) {
	type failure struct {
		change func(*winrmtest.Server)
		edit   func(answer []byte)
		fine   bool // the client gets over it
	}
	failures := map[string]failure{"none": {fine: true}}
	clearAnswer := []byte(`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>`)
	faults := map[string]winrmtest.Fault{
		"200":         {Status: 200},
		"200 in SOAP": {Status: 200, Body: clearAnswer, Header: http.Header{"Content-Type": {soapType}}},
		"307":         {Status: 307, Header: http.Header{"Location": {"http://" + host + ":5985/elsewhere"}}},
		"401":         {Status: 401, Count: -1},
		"403":         {Status: 403},
		"500":         {Status: 500},
		"500 in SOAP": {Status: 500, Body: clearAnswer, Header: http.Header{"Content-Type": {soapType}}},
		"503":         {Status: 503},
		"reset":       {Drop: winrmtest.DropBefore},
		"no answer":   {Drop: winrmtest.DropAfter},
		"half":        {Drop: winrmtest.DropAt, At: 40},
	}
	for name, what := range faults {
		for leg, at := range []winrmtest.Fault{
			{Action: winrmtest.ActionLogon}, {Action: winrmtest.ActionLogon, After: 1}, {Action: "Create"}, {Action: "Command"},
		} {
			fault := what
			fault.Action, fault.After = at.Action, at.After
			failures[fmt.Sprintf("%s to request %d", name, leg+1)] = failure{
				change: func(s *winrmtest.Server) { s.Faults = []winrmtest.Fault{fault} },
				// What became of a lost message is asked for, and then known.
				fine: (name == "no answer" || name == "half") && leg >= 2,
			}
		}
	}
	for name, flags := range map[string]ntlm.Flags{
		"SEAL": ntlm.FlagSeal, "SIGN": ntlm.FlagSign, "128": ntlm.Flag128, "KEY_EXCH": ntlm.FlagKeyExchange,
		"ESS": ntlm.FlagExtendedSession, "all": ntlm.FlagSeal | ntlm.FlagSign | ntlm.Flag128 | ntlm.FlagKeyExchange,
	} {
		failures[name+" not able"] = failure{change: func(s *winrmtest.Server) {
			accept := authserver.Negotiate{Mechs: []authserver.SPNEGOMechanism{authserver.NTLM{Without: flags}}}
			s.Mechanisms = []winrmtest.Mechanism{winrmtest.NewMechanism(accept, "", true, nil)}
		}}
		failures[name+" taken away on the way"] = failure{edit: func(answer []byte) { editChallenge(answer, flags) }}
	}
	failures["Basic offered alone"] = failure{change: func(s *winrmtest.Server) {
		s.Mechanisms = []winrmtest.Mechanism{winrmtest.Basic()}
	}}
	failures["wrong password"] = failure{change: func(s *winrmtest.Server) {
		s.Users = map[string]string{"user": "another"}
		s.Mechanisms = append(winrmtest.DefaultMechanisms(), winrmtest.NTLM())
		s.AllowUnencrypted = true
	}}
	for name, f := range failures {
		for kind, mech := range ntlmKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				r := newRemote(t, f.change, nil)
				wire := recorder{edit: f.edit}
				c := r.client(t, mech(creds()), wire.tap)
				_, err := run(t.Context(), c, secretLine)
				if !f.fine {
					require.Error(t, err)
				} else {
					require.NoError(t, err)
				}
				_ = c.Close()
				assert.NotEmpty(t, wire.leftTheClient())
				assert.Empty(t, inClear(wire.leftTheClient()), "%v", err)
				assert.LessOrEqual(t, len(r.ran()), 1)
				for _, x := range r.Exchanges() {
					assert.True(t, x.Sealed || len(x.Request) == 0, x.Action)
				}
			})
		}
	}
}

var challengeHeader = regexp.MustCompile(`WWW-Authenticate: Negotiate ([A-Za-z0-9+/=]{60,})`)

// editChallenge clears flags in the CHALLENGE message that an answer carries,
// with SPNEGO around it or not.
func editChallenge(answer []byte, flags ntlm.Flags) {
	at := challengeHeader.FindSubmatchIndex(answer)
	if at == nil {
		return
	}
	text := answer[at[2]:at[3]]
	raw, err := base64.StdEncoding.DecodeString(string(text))
	start := strings.Index(string(raw), "NTLMSSP\x00\x02")
	if err != nil || start < 0 {
		return
	}
	field := raw[start+20:]
	binary.LittleEndian.PutUint32(field, binary.LittleEndian.Uint32(field)&^uint32(flags))
	base64.StdEncoding.Encode(text, raw)
}

package delegation

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/directory"
)

func TestPlan(t *testing.T) {
	a, b := mustSID(t, first), mustSID(t, second)
	list := unhex(t, sambaList)
	cases := map[string]struct {
		now    Delegation
		change Change
		actors []sid
		want   []string
	}{
		"nothing asked":       {now: Delegation{Services: []string{"http/a"}, list: list}},
		"add":                 {now: Delegation{Services: []string{"http/a"}}, change: Change{Services: Add("HTTP/A", "cifs/b", "CIFS/B")}, want: []string{"add msDS-AllowedToDelegateTo cifs/b"}},
		"remove":              {now: Delegation{Services: []string{"http/a", "cifs/b"}}, change: Change{Services: Remove("HTTP/A", "x/y")}, want: []string{"delete msDS-AllowedToDelegateTo http/a"}},
		"set":                 {now: Delegation{Services: []string{"http/a", "cifs/b"}}, change: Change{Services: Set("cifs/b", "x/y")}, want: []string{"delete msDS-AllowedToDelegateTo http/a", "add msDS-AllowedToDelegateTo x/y"}},
		"set none":            {now: Delegation{Services: []string{"http/a"}}, change: Change{Services: Set()}, want: []string{"delete msDS-AllowedToDelegateTo http/a"}},
		"transition on":       {now: Delegation{control: 0x1000}, change: Change{ProtocolTransition: new(true)}, want: []string{"replace userAccountControl 0x1001000"}},
		"transition off":      {now: Delegation{control: 0x1081000, ProtocolTransition: true}, change: Change{ProtocolTransition: new(false)}, want: []string{"replace userAccountControl 0x81000"}},
		"transition the same": {now: Delegation{control: 0x1000}, change: Change{ProtocolTransition: new(false)}},
		"actors the same":     {now: Delegation{list: list}, change: Change{Actors: Set(second, first)}, actors: []sid{b, a}},
		"actor there":         {now: Delegation{list: list}, change: Change{Actors: Add(second)}, actors: []sid{b}},
		"actor not there":     {change: Change{Actors: Remove(second)}, actors: []sid{b}},
		"first actor":         {change: Change{Actors: Add(second)}, actors: []sid{b}, want: []string{"replace " + attrActors + " " + second}},
		"one actor less":      {now: Delegation{list: list}, change: Change{Actors: Remove(second)}, actors: []sid{b}, want: []string{"replace " + attrActors + " " + first}},
		"last actors":         {now: Delegation{list: list}, change: Change{Actors: Remove(second, first)}, actors: []sid{b, a}, want: []string{"delete " + attrActors}},
		"no actors":           {now: Delegation{list: list}, change: Change{Actors: Set()}, want: []string{"delete " + attrActors}},
		"no actors of none":   {change: Change{Actors: Set()}},
		"malformed, set":      {now: Delegation{list: []byte("O:BAD:"), Malformed: io.EOF}, change: Change{Actors: Set(first)}, actors: []sid{a}, want: []string{"replace " + attrActors + " " + first}},
		"malformed, set none": {now: Delegation{list: []byte("O:BAD:"), Malformed: io.EOF}, change: Change{Actors: Set()}, want: []string{"delete " + attrActors}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := goal{Change: c.change, actors: c.actors}
			steps, mods, err := g.plan(&c.now)
			require.NoError(t, err)
			var got []string
			for _, s := range steps {
				got = append(got, s.String())
			}
			assert.Equal(t, c.want, got)
			assert.Len(t, mods, len(steps))
		})
	}
	_, _, err := (&goal{Change: Change{Actors: Add(first)}, actors: []sid{a}}).plan(&Delegation{list: []byte("O:BAD:")})
	var bad *DescriptorError
	require.ErrorAs(t, err, &bad)
}

// The attribute is a signed number: the highest bit makes it negative.
func TestSignedControl(t *testing.T) {
	_, mods, err := (&goal{Change: Change{ProtocolTransition: new(true)}}).plan(&Delegation{control: 0x80001000})
	require.NoError(t, err)
	assert.Equal(t, []directory.Change{{Op: directory.Replace, Attribute: attrControl, Values: []string{"-2130702336"}}}, mods)
}

func TestResolve(t *testing.T) {
	known := map[string]sid{"web1$": "w", "svc": "s", "both": "u", "both$": "c"}
	var ambiguous *ActorError
	_, err := resolve(Change{Actors: Add("both")}, known)
	require.ErrorAs(t, err, &ambiguous)
	assert.True(t, ambiguous.Ambiguous)
	g, err := resolve(Change{Actors: Add("WEB1", "web1$", "Svc", "Both$", first)}, known)
	require.NoError(t, err)
	assert.Equal(t, []sid{"w", "s", "c", mustSID(t, first)}, g.actors)
	_, err = resolve(Change{Actors: Remove("nobody")}, known)
	require.ErrorAs(t, err, &ambiguous)
	assert.False(t, ambiguous.Ambiguous)
	for _, bad := range []string{"", "http", "http/", "/host", "http/a/b/c", "http/a b", "http/a@REALM"} {
		_, err := resolve(Change{Services: Set(bad)}, known)
		var wrong *ServiceError
		require.ErrorAs(t, err, &wrong, bad)
	}
	for _, good := range []string{"HTTP/web", "MSSQLSvc/db.corp.example:1433", "ldap/dc1/corp.example"} {
		assert.True(t, validService(good), good)
	}
}

func TestErrors(t *testing.T) {
	steps := []Step{{Op: "add", Attribute: attrServices}}
	refused := modifyError(t.Context(), &directory.ResultError{Code: directory.InsufficientRights, Err: io.EOF}, steps)
	assert.ErrorContains(t, refused, "SeEnableDelegationPrivilege")
	actors := modifyError(t.Context(), &directory.ResultError{Code: directory.InsufficientRights, Err: io.EOF}, []Step{{Attribute: attrActors}})
	assert.NotContains(t, actors.Error(), "SeEnableDelegationPrivilege")
	// Without an answer nobody knows what was done.
	var open *UnverifiedError
	require.ErrorAs(t, modifyError(t.Context(), io.ErrUnexpectedEOF, steps), &open)
	assert.Equal(t, steps, open.Left)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("shift ended")
	cancel(cause)
	require.ErrorIs(t, modifyError(ctx, io.EOF, steps), cause)
	err := error(&AccountError{Account: "web1", Err: ErrNotFound})
	require.ErrorIs(t, err, ErrNotFound)
	assert.Equal(t, "delegation: web1: no such computer account", err.Error())
}

func TestWarnings(t *testing.T) {
	assert.Empty(t, (&Delegation{Account: "a$", Services: []string{"x/y"}, Actors: []Actor{{SID: first, Account: "b$"}}}).Warnings())
	d := Delegation{Account: "a$", Unconstrained: true, ProtocolTransition: true, Services: []string{"x/y"}, Actors: []Actor{{SID: first}}, OtherEntries: 1, Malformed: io.EOF}
	assert.Len(t, d.Warnings(), 5)
}

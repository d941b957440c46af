package config_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman/config"
)

// Descriptors as Windows prints them: the default RootSDDL, that of a session
// configuration, of [MS-DTYP] section 2.5.1 with conditions and attributes.
var descriptors = []string{
	"O:NSG:BAD:P(A;;GA;;;BA)(A;;GR;;;IU)S:P(AU;FA;GA;;;WD)(AU;SA;GXGW;;;WD)",
	"O:NSG:BAD:P(A;;GA;;;BA)S:P(AU;FA;GA;;;WD)(AU;SA;GWGX;;;WD)",
	"O:NSG:BAD:P(D;;GA;;;NU)(A;;GA;;;BA)(A;;GA;;;RM)S:P(AU;FA;GA;;;WD)(AU;SA;GXGW;;;WD)",
	"O:BAG:SYD:PAI(A;OICI;FA;;;S-1-5-21-1004336348-1177238915-682003330-512)(A;CIIOID;0x1301bf;;;CO)",
	`D:(XA;;FX;;;S-1-1-0;(@User.Title=="PM (x) \ ;y" && (@User.Division=="Finance" || @User.Division == "Sales")))`,
	`S:(RA;;;;;WD;("Secrecy",TU,0,3))`,
	"O:AOG:DAD:(OA;;CR;ab721a53-1e2f-11d0-9819-00aa0040529b;bf967aba-0de6-11d0-a285-00aa003049e2;PS)S:NO_ACCESS_CONTROL",
	"D:", "", "S:P", "G:BAO:NS",
}

func TestSDDLRoundTrip(t *testing.T) {
	for _, text := range descriptors {
		d, err := config.ParseSDDL(text)
		require.NoError(t, err, text)
		assert.Equal(t, text, d.String())
	}
	d, err := config.ParseSDDL(descriptors[0])
	require.NoError(t, err)
	assert.Equal(t, "NS", d.Owner)
	assert.Equal(t, "BA", d.Group)
	assert.Equal(t, "P", d.DACL.Flags)
	assert.Equal(t, config.ACE{Type: "A", Rights: "GR", SID: "IU"}, d.DACL.ACEs[1])
	assert.Equal(t, config.ACE{Type: "AU", Flags: "SA", Rights: "GXGW", SID: "WD"}, d.SACL.ACEs[1])
	d, err = config.ParseSDDL(descriptors[4])
	require.NoError(t, err)
	assert.Equal(t, `;(@User.Title=="PM (x) \ ;y" && (@User.Division=="Finance" || @User.Division == "Sales"))`, d.DACL.ACEs[0].Extra)
}

func TestSDDLGrant(t *testing.T) {
	d, err := config.ParseSDDL(descriptors[0])
	require.NoError(t, err)
	const group = "S-1-5-21-1-2-3-1104"
	grant := func(d *config.SDDL, sid, rights string) bool {
		t.Helper()
		changed, err := d.Grant(sid, rights)
		require.NoError(t, err)
		return changed
	}
	assert.True(t, grant(d, group, config.GenericExecute+config.GenericRead))
	want := "O:NSG:BAD:P(A;;GA;;;BA)(A;;GR;;;IU)(A;;GXGR;;;" + group + ")S:P(AU;FA;GA;;;WD)(AU;SA;GXGW;;;WD)"
	assert.Equal(t, want, d.String())
	assert.False(t, grant(d, group, config.GenericRead), "it may already")
	assert.False(t, grant(d, "BA", config.GenericWrite), "GA holds all")
	assert.True(t, d.Revoke(group))
	assert.Equal(t, descriptors[0], d.String())
	assert.False(t, d.Revoke(group))

	d, err = config.ParseSDDL("D:(A;ID;GA;;;BA)")
	require.NoError(t, err)
	grant(d, "RM", config.GenericAll)
	assert.Equal(t, "D:(A;;GA;;;RM)(A;ID;GA;;;BA)", d.String(), "inherited entries stay last")
	assert.False(t, d.Revoke("BA"), "an inherited entry is not ours")

	empty := &config.SDDL{Owner: "NS"}
	grant(empty, "BA", config.GenericAll)
	assert.Equal(t, "O:NSD:(A;;GA;;;BA)", empty.String())

	// One and the same, however it is written.
	d, err = config.ParseSDDL("D:(A;;0xA0000000;;;S-1-5-32-580)(A;OICI;FA;;;S-1-5-21-1-2-3-512)(A;IO;GA;;;IU)")
	require.NoError(t, err)
	assert.False(t, grant(d, "RM", "GXGR"))
	assert.False(t, grant(d, "DA", "RC"))
	assert.True(t, grant(d, "IU", "GR"), "an entry for what inherits only allows nothing here")
	assert.True(t, d.Revoke("rm"))
	assert.True(t, d.Revoke("S-1-5-4"))
	assert.Equal(t, "D:(A;OICI;FA;;;S-1-5-21-1-2-3-512)", d.String())

	// What is no SID, or no rights, does not get in.
	for _, bad := range [][2]string{{"XX", "GA"}, {"BA)(A;;GA;;;WD", "GA"}, {"S-1-5-x", "GA"}, {"S-1", "GA"}, {"", "GA"}, {"BA", ""}, {"BA", "GAG"}, {"BA", "GA;;;WD)(A;;"}, {"BA", "0xfffffffff"}} {
		_, err := d.Grant(bad[0], bad[1])
		e, ok := errors.AsType[*config.SDDLError](err)
		require.True(t, ok, "%q: %v", bad, err)
		assert.NotEmpty(t, e.Error())
	}
	assert.Equal(t, "D:(A;OICI;FA;;;S-1-5-21-1-2-3-512)", d.String())
}

// A host that prints what it was given in its own way has taken it.
func TestSDDLReadBack(t *testing.T) {
	for _, pair := range [][2]string{
		{"O:NSG:BAD:P(A;;GXGR;;;S-1-5-32-580)", "O:NSG:BAD:P(A;;GRGX;;;RM)"},
		{"O:S-1-5-20G:S-1-5-32-544D:P(A;;0x10000000;;;S-1-5-21-1-2-3-512)", "O:NSG:BAD:P(A;;GA;;;DA)"},
	} {
		srv, client := newHost(t, func(s *winrmtest.Server) {
			s.Faults = []winrmtest.Fault{{Action: "Get", Count: -1, Edit: func(b []byte) []byte {
				return bytes.ReplaceAll(b, []byte(pair[0]), []byte(pair[1]))
			}}}
		})
		require.NoError(t, config.SetService(t.Context(), client.WSMan(), config.Service{RootSDDL: config.Text(pair[0])}))
		require.NoError(t, config.SetService(t.Context(), client.WSMan(), config.Service{RootSDDL: config.Text(pair[0])}))
		assert.Equal(t, 1, srv.Stats().Exchanges["Put"], "the second time there is nothing to do")
	}
	srv, client := newHost(t, func(s *winrmtest.Server) {
		s.Faults = []winrmtest.Fault{{Action: "Get", After: 1, Edit: func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("GR;;;RM"), []byte("GR;;;RD"))
		}}}
	})
	err := config.SetService(t.Context(), client.WSMan(), config.Service{RootSDDL: config.Text("D:(A;;GR;;;RM)")})
	_, ok := errors.AsType[*config.NotAppliedError](err)
	assert.True(t, ok, "%v", err)
	assert.Equal(t, 1, srv.Stats().Exchanges["Put"])
}

func TestSDDLErrors(t *testing.T) {
	for _, text := range []string{"X:", "O", "D:(A;;GA;;;BA", "D:(A;;GA)", "O:BAO:BA", "D:P)x", "(A;;GA;;;BA)"} {
		_, err := config.ParseSDDL(text)
		require.Error(t, err, text)
	}
}

// The right to use WinRM for a group, end to end.
func TestGrantOnHost(t *testing.T) {
	srv, client := newHost(t)
	ctx, c := t.Context(), client.WSMan()
	service, err := config.GetService(ctx, c)
	require.NoError(t, err)
	d, err := config.ParseSDDL(service.RootSDDL.V)
	require.NoError(t, err)
	changed, err := d.Grant("S-1-5-32-580", config.GenericAll)
	require.NoError(t, err)
	require.True(t, changed)
	require.NoError(t, config.SetService(ctx, c, config.Service{RootSDDL: config.Text(d.String())}))
	assert.Contains(t, srv.Setting("Service/RootSDDL"), "(A;;GA;;;S-1-5-32-580)")
}

func FuzzSDDL(f *testing.F) {
	for _, text := range descriptors {
		f.Add(text)
	}
	f.Add("D:((((((")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := config.ParseSDDL(text)
		if err != nil {
			return
		}
		if got := d.String(); got != text {
			t.Fatalf("%q prints as %q", text, got)
		}
		if _, err := d.Grant("S-1-5-32-580", config.GenericAll); err != nil {
			t.Fatal(err)
		}
		again, err := config.ParseSDDL(d.String())
		if err != nil || again.String() != d.String() {
			t.Fatalf("%q after a grant does not parse: %v", d.String(), err)
		}
	})
}

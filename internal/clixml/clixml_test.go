package clixml_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/clixml"
)

// The cases of published decoders (ansible-core's tests of its _parse_clixml)
// and of [MS-PSRP] section 2.2.5.3.2.
var escapes = []struct{ escaped, plain string }{
	{"_x0041_", "A"},
	{"_x263A_", "☺"},
	{"_x0000_", "\x00"},
	{"before_x000D__x000A_after", "before\r\nafter"},
	{"_xD83D__xDE00_", "😀"},
	{"_xd83d__xde80_", "🚀"},
	{"_x005F_x0041_", "_x0041_"},
	{"_x005F_x005F_x005F_x0041_", "_x005F_x0041_"},
	{"_xGGGG_ _x041_ _x12345_", "_xGGGG_ _x041_ _x12345_"},
	{"_xD83D_", "\uFFFD"},
	{"_xDE00_", "\uFFFD"},
	{"_xD83D__x0041_", "\uFFFDA"},
	{"_xD83D__xD83D__xDE00_", "\uFFFD😀"},
	{"_X000a_", "\n"},
	{"__x000A_", "_\n"},
	{"_x000A", "_x000A"},
	{"snake_case_x", "snake_case_x"},
	{"", ""},
}

func TestUnescape(t *testing.T) {
	for _, c := range escapes {
		assert.Equal(t, c.plain, clixml.Unescape(c.escaped), c.escaped)
	}
}

// What PowerShell's EncodeString writes.
func TestEscape(t *testing.T) {
	for plain, want := range map[string]string{
		"a\r\nb": "a_x000D__x000A_b", "😀": "_xD83D__xDE00_", "_x0020_": "_x005F_x0020_",
		"_X": "_x005F_X", "a_b": "a_b", "\x7f\u009f": "_x007F__x009F_", "": "", "_": "_",
	} {
		assert.Equal(t, want, clixml.Escape(plain), plain)
	}
}

// messages returns the CLIXML of the PSRP messages in a recorded stream.
func messages(t *testing.T, fragments []byte) [][]byte {
	t.Helper()
	var out [][]byte
	for len(fragments) > 0 {
		require.GreaterOrEqual(t, len(fragments), 21)
		n := int(binary.BigEndian.Uint32(fragments[17:]))
		require.Equal(t, byte(3), fragments[16], "whole messages only")
		out = append(out, bytes.TrimPrefix(fragments[21+40:21+n], []byte("\xef\xbb\xbf")))
		fragments = fragments[21+n:]
	}
	return out
}

func corpus(t testing.TB) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/psrp.txt")
	require.NoError(t, err)
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			out[name] = value
		}
	}
	return out
}

func object(t *testing.T, v any) *clixml.Object {
	t.Helper()
	o, ok := v.(*clixml.Object)
	require.True(t, ok, "%T", v)
	return o
}

func TestRecordedMessages(t *testing.T) {
	vectors := corpus(t)
	get := func(name string) []any {
		raw, err := base64.StdEncoding.DecodeString(vectors[name])
		require.NoError(t, err)
		var out []any
		for _, m := range messages(t, raw) {
			v, err := clixml.Unmarshal(m)
			require.NoError(t, err, "%s", m)
			out = append(out, v)
		}
		return out
	}

	create := get("create_creationxml_b64")
	require.Len(t, create, 2)
	capability := object(t, create[0])
	assert.Equal(t, clixml.Version("2.3"), capability.Get("protocolversion"))
	assert.Equal(t, clixml.Version("1.1.0.1"), capability.Get("serializationVERSION"), "names have no case")
	pool := object(t, create[1])
	assert.Equal(t, int32(1), pool.Get("MinRunspaces"))
	thread := object(t, pool.Get("PSThreadOptions"))
	assert.Equal(t, "System.Management.Automation.Runspaces.PSThreadOptions", thread.Types[0])
	assert.Equal(t, "Default", thread.ToString)
	assert.Equal(t, int32(0), thread.Value)
	assert.Equal(t, true, object(t, pool.Get("HostInfo")).Get("_isHostNull"))
	assert.Nil(t, pool.Get("ApplicationArguments"))
	assert.Len(t, pool.Properties, 6)

	data := object(t, get("server_stream1_b64")[0])
	private := object(t, data.Get("ApplicationPrivateData"))
	assert.True(t, private.Is("System.Collections.Hashtable"))
	require.Len(t, private.Entries, 1)
	assert.Equal(t, "PSVersionTable", private.Entries[0].Key)
	table := object(t, private.Entries[0].Value)
	assert.Equal(t, private.Types, table.Types, "TNRef")
	require.Len(t, table.Entries, 8)
	assert.Equal(t, clixml.Entry{Key: "PSVersion", Value: clixml.Version("5.1.14393.2248")}, table.Entries[0])
	versions := object(t, table.Entries[2].Value)
	assert.Equal(t, []any{
		clixml.Version("1.0"), clixml.Version("2.0"), clixml.Version("3.0"),
		clixml.Version("4.0"), clixml.Version("5.0"), clixml.Version("5.1.14393.2248"),
	}, versions.Items)

	assert.Equal(t, int32(2), object(t, get("server_stream2_b64")[0]).Get("RunspaceState"))
	assert.Equal(t, "", get("connect_connectxml_b64")[1], "<S />")
	assert.Equal(t, int32(1), object(t, get("connect_response_b64")[1]).Get("MaxRunspaces"))
	assert.Len(t, get("server_stream0_b64"), 1)

	raw, err := hex.DecodeString(vectors["input_message_hex"])
	require.NoError(t, err)
	v, err := clixml.Unmarshal(raw[40:])
	require.NoError(t, err)
	assert.Equal(t, "hello", v)
}

func TestPrimitives(t *testing.T) {
	for xml, want := range map[string]any{
		"<S>a_x000D_b</S>": "a\rb", "<S> keep </S>": " keep ", "<C>97</C>": clixml.Char('a'), "<B>true</B>": true,
		"<By>255</By>": uint8(255), "<SB>-128</SB>": int8(-128), "<U16>65535</U16>": uint16(65535),
		"<I16>-32768</I16>": int16(-32768), "<U32>4294967295</U32>": uint32(4294967295),
		"<I32>-2147483648</I32>": int32(-2147483648), "<U64>18446744073709551615</U64>": uint64(18446744073709551615),
		"<I64>-9223372036854775808</I64>": int64(-9223372036854775808), "<Sg>12.5</Sg>": float32(12.5),
		"<Db>1E-300</Db>": 1e-300, "<D>79228162514264337593543950335</D>": clixml.Decimal("79228162514264337593543950335"),
		"<BA>AQIDBA==</BA>": []byte{1, 2, 3, 4}, "<G>792e5b37-4505-47ef-b7d2-8711bb7affa8</G>": clixml.GUID("792e5b37-4505-47ef-b7d2-8711bb7affa8"),
		"<URI>http://www.microsoft.com/</URI>": clixml.URI("http://www.microsoft.com/"), "<Version>6.2.1.3</Version>": clixml.Version("6.2.1.3"),
		"<XD>&lt;name&gt;Content&lt;/name&gt;</XD>": clixml.XML("<name>Content</name>"), "<SBK>get-command -type cmdlet</SBK>": clixml.ScriptBlock("get-command -type cmdlet"),
		"<TS>PT9.0269026S</TS>": clixml.Duration("PT9.0269026S"), "<Nil/>": nil, "<SS>AAEC</SS>": clixml.SecureString("AAEC"),
		"<DT>2008-04-11T10:42:32.2731993-07:00</DT>": time.Date(2008, 4, 11, 10, 42, 32, 273199300, time.FixedZone("", -7*3600)),
	} {
		v, err := clixml.Unmarshal([]byte(xml))
		require.NoError(t, err, xml)
		if at, ok := want.(time.Time); ok {
			assert.True(t, at.Equal(v.(time.Time)), xml)
			continue
		}
		assert.Equal(t, want, v, xml)
	}
	for _, bad := range []string{"<I32>x</I32>", "<By>256</By>", "<B>maybe</B>", "<BA>*</BA>", "<Q>1</Q>", "<S>a", "", "<Obj><I32>1", "<DT>now</DT>"} {
		_, err := clixml.Unmarshal([]byte(bad))
		assert.Error(t, err, bad)
	}
}

// Nested objects, references to objects and types, stacks and queues.
func TestNestedObjects(t *testing.T) {
	v, err := clixml.Unmarshal([]byte(`<Obj RefId="0"><TN RefId="0"><T>A</T><T>System.Object</T></TN><ToString>a_x000A_</ToString>` +
		`<Props><S N="Name_x000A_">x</S><Obj N="Inner" RefId="1"><TNRef RefId="0"/><LST><I32>1</I32><Nil/><Ref RefId="1"/></LST></Obj></Props>` +
		`<MS><Ref N="Again" RefId="1"/><Obj N="Q" RefId="2"><QUE><S>a</S><S>b</S></QUE></Obj></MS></Obj>`))
	require.NoError(t, err)
	o := object(t, v)
	assert.Equal(t, "a\n", o.ToString)
	assert.Equal(t, "x", o.Get("Name\n"))
	inner := object(t, o.Get("inner"))
	assert.Equal(t, []string{"A", "System.Object"}, inner.Types)
	assert.Same(t, inner, inner.Items[2].(*clixml.Object))
	assert.Same(t, inner, o.Get("Again").(*clixml.Object))
	assert.Equal(t, []any{"a", "b"}, object(t, o.Get("Q")).Items)
}

// collected is what a Decoder hands on, in a form that does not depend on how
// the text was cut.
type collected struct{ bytes.Buffer }

func (c *collected) decode(pieces ...[]byte) string {
	d := clixml.NewDecoder(func(r *clixml.Record) {
		if p := clixml.AsProgress(r.Value); p != nil {
			fmt.Fprintf(c, "{%s: %s %d%% completed=%v}", r.Stream, p.Activity, p.Percent, p.Completed)
			return
		}
		fmt.Fprintf(c, "{%s: %s}", r.Stream, clixml.Text(r.Value))
	}, func(p []byte) { c.Write(p) })
	for _, p := range pieces {
		_, _ = d.Write(p)
	}
	_ = d.Close()
	return c.String()
}

const head = "#< CLIXML\r\n<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">"

var streams = map[string]struct{ in, want string }{
	"plain":           {"just text\r\n < 3 # x\r\n", "just text\r\n < 3 # x\r\n"},
	"error":           {head + `<S S="Error">bad_x000D__x000A_</S></Objs>`, "{error: bad\r\n}"},
	"empty":           {head + "</Objs>", ""},
	"streams":         {head + `<S S="warning">w</S><S S="Verbose">v</S><S S="debug">d</S></Objs>`, "{warning: w}{verbose: v}{debug: d}"},
	"repeated":        {head + `<S S="Error">1</S></Objs>` + head + `<S S="Error">2</S></Objs>tail`, "{error: 1}{error: 2}tail"},
	"text around":     {"before\r\n" + head + `<S S="Error">1</S></Objs>after`, "before\r\n{error: 1}after"},
	"text inside":     {head + `<S S="Error">1</S>native < 5 > "x"` + "\r\n" + `<S S="Error">2</S></Objs>`, "{error: 1}native < 5 > \"x\"\r\n{error: 2}"},
	"block in block":  {head + `<S S="Error">1</S>` + head + `<S S="Error">2</S></Objs><S S="Error">3</S></Objs>x`, "{error: 1}{error: 2}{error: 3}x"},
	"block in text":   {head + `<S S="Error">#&lt; CLIXML_x000D__x000A_</S><S S="Error">&lt;Objs Version="1.1.0.1"&gt;&lt;S S="warning"&gt;deep&lt;/S&gt;&lt;/Objs&gt;</S><S S="Error">on</S></Objs>`, "{warning: deep}{error: on}"},
	"no end":          {head + `<S S="Error">1</S><S S="Err`, `{error: 1}<S S="Err`},
	"whitespace":      {head + "\r\n  <S S=\"Error\">1</S>\r\n</Objs>", "{error: 1}"},
	"header alone":    {"#< CLIXML\r\n", ""},
	"about a header":  {"#< CLIXML is a format", "#< CLIXML is a format"},
	"not decodable":   {head + `<I32>x</I32><S S="Error">2</S></Objs>`, "<I32>x</I32>{error: 2}"},
	"not well formed": {head + `<S S="Error">a<b></S><S S="Error">2</S></Objs>`, `<S S="Error">a<b></S>{error: 2}`},
	"entities":        {head + `<S S="Error">&lt;a&gt; &amp;lt; &quot;&apos;&#x41;</S></Objs>`, "{error: <a> &lt; \"'A}"},
	"attribute":       {head + `<S S="Error" N="a>b">1</S></Objs>`, "{error: 1}"},
	"object":          {head + `<Obj S="information" RefId="0"><TN RefId="0"><T>System.Management.Automation.InformationRecord</T></TN><ToString>hola</ToString></Obj></Objs>`, "{information: hola}"},
	"utf-8":           {head + `<S S="Error">Préparation ☺</S></Objs>`, "{error: Préparation ☺}"},
}

func TestStreams(t *testing.T) {
	for name, c := range streams {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, new(collected).decode([]byte(c.in)))
			for i := range len(c.in) {
				require.Equal(t, c.want, new(collected).decode([]byte(c.in[:i]), []byte(c.in[i:])), "cut at %d", i)
			}
			single := make([][]byte, len(c.in))
			for i := range len(c.in) {
				single[i] = []byte{c.in[i]}
			}
			assert.Equal(t, c.want, new(collected).decode(single...), "byte by byte")
		})
	}
}

// What powershell.exe wrote on hosts of others, from public issues and tests.
func TestPublicSamples(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile("testdata/" + name)
		require.NoError(t, err)
		return new(collected).decode(data)
	}
	loading := "Loading Active Directory module for Windows PowerShell with default drive 'AD:'"
	assert.Equal(t, "{progress: "+loading+" 0% completed=false}{progress: "+loading+" 25% completed=false}{progress: "+loading+
		" 50% completed=false}{progress: "+loading+" -1% completed=true}", read("progress.clixml"))
	assert.Equal(t, "\nSuccess Restart Needed Exit Code      Feature Result\nTrue    No             Success        {Common HTTP Features}\n"+
		"{progress: Module werden für erstmalige Verwendung vorbereitet. -1% completed=true}", read("mixed.clixml"))
	assert.Contains(t, read("notfound.clixml"), "{error: fake : The term 'fake' is not recognized as the name of a cmdlet. Check \r\n}"+
		"{error: the spelling of the name, or if a path was included.\r\n}{error: At line:1 char:1\r\n}")
	assert.Contains(t, read("constrained.clixml"), "{error: + [math]::Pow(2,10)\r\n}")
}

// An element without end, or with too much in it, is text, and costs time in
// proportion to its length.
func TestHostile(t *testing.T) {
	start := time.Now()
	for _, unit := range []string{"<A>", "<A", "<", "<S S='", "#< CLI", "<Objs Version='1'>", "<Obj RefId='1'><LST><Ref RefId='1'/></LST></Obj>"} {
		long := head + strings.Repeat(unit, 6<<20/len(unit))
		total := 0
		d := clixml.NewDecoder(func(*clixml.Record) { total++ }, func(p []byte) { total += len(p) })
		for piece := range strings.SplitSeq(long, "\x00") {
			for len(piece) > 0 {
				n := min(len(piece), 100_000)
				_, _ = d.Write([]byte(piece[:n]))
				piece = piece[n:]
			}
		}
		_ = d.Close()
		assert.Positive(t, total+1)
	}
	assert.Less(t, time.Since(start), 20*time.Second)
}

func TestErrorRecord(t *testing.T) {
	// The properties of [MS-PSRP] section 2.2.3.15 and its example.
	v, err := clixml.Unmarshal([]byte(`<Obj RefId="0"><TN RefId="0"><T>System.Management.Automation.ErrorRecord</T><T>System.Object</T></TN>` +
		`<ToString>The term 'foo' is not recognized.</ToString><MS><Obj N="Exception" RefId="1"><TN RefId="1"><T>System.Management.Automation.CommandNotFoundException</T></TN>` +
		`<Props><S N="Message">The term 'foo' is not recognized.</S></Props></Obj><S N="TargetObject">foo</S>` +
		`<S N="FullyQualifiedErrorId">CommandNotFoundException</S><Nil N="InvocationInfo"/><I32 N="ErrorCategory_Category">13</I32>` +
		`<S N="ErrorCategory_Activity"></S><S N="ErrorCategory_Reason">CommandNotFoundException</S><S N="ErrorCategory_TargetName">foo</S>` +
		`<S N="ErrorCategory_TargetType">String</S><S N="ErrorCategory_Message">ObjectNotFound: (foo:String) [], CommandNotFoundException</S><B N="SerializeExtendedInfo">false</B></MS></Obj>`))
	require.NoError(t, err)
	assert.Equal(t, &clixml.Error{
		Message: "The term 'foo' is not recognized.", ID: "CommandNotFoundException", Category: "ObjectNotFound",
		Reason: "CommandNotFoundException", TargetName: "foo", TargetType: "String",
	}, clixml.AsError(v))
	assert.Nil(t, clixml.AsError("text"))
}

func FuzzDecoder(f *testing.F) {
	for _, c := range streams {
		f.Add([]byte(c.in), 7)
	}
	files, _ := os.ReadDir("testdata")
	for _, e := range files {
		if data, err := os.ReadFile("testdata/" + e.Name()); err == nil {
			f.Add(data, 100)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		whole := new(collected).decode(bytes.Clone(in))
		if cut < 0 || cut > len(in) {
			cut = len(in) / 2
		}
		if parts := new(collected).decode(bytes.Clone(in[:cut]), bytes.Clone(in[cut:])); parts != whole {
			t.Fatalf("whole %q, cut at %d %q", whole, cut, parts)
		}
	})
}

func FuzzEscape(f *testing.F) {
	for _, c := range escapes {
		f.Add(c.plain)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		if got := clixml.Unescape(clixml.Escape(s)); got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

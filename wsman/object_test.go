package wsman_test

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

const instance = `<p:Win32_X xmlns:p="urn:x" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common" ` +
	`xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xsi:type="p:Win32_X_Type">` +
	`<p:Name>a &amp; b</p:Name><p:Size>18446744073709551615</p:Size><p:Delta> -5 </p:Delta><p:Load>0.5</p:Load><p:Started>TRUE</p:Started>` +
	`<p:Roles>one</p:Roles><p:Roles>two</p:Roles><p:Codes>1</p:Codes><p:Codes>255</p:Codes><p:None xsi:nil="true"/><p:Gone xsi:nil="true"/>` +
	`<p:InstallDate><cim:Datetime>2019-05-01T12:00:00.5+02:00</cim:Datetime></p:InstallDate><p:Dmtf>20190501120000.500000+120</p:Dmtf>` +
	`<p:Up><cim:Interval>P1DT2H</cim:Interval></p:Up><p:UpDmtf>00000001020000.000000:000</p:UpDmtf>` +
	`<p:Owner><p:Name>inner</p:Name><p:Size>3</p:Size></p:Owner><p:Address>10.0.0.1</p:Address><p:Maybe>7</p:Maybe>` +
	`<p:Ref><a:Address>x</a:Address><a:ReferenceParameters><w:ResourceURI>urn:r</w:ResourceURI><w:SelectorSet><w:Selector Name="K">v</w:Selector></w:SelectorSet></a:ReferenceParameters></p:Ref>` +
	`<p:Unknown><p:Deep/></p:Unknown></p:Win32_X>`

var instanceRef = wsman.EndpointReference{Address: "x", Resource: wsman.Resource{URI: "urn:r", Selectors: []wsman.Selector{{Name: "K", Value: "v"}}}}

// Base is embedded, its fields count as those of the outer struct.
type Base struct {
	Name string
	Size uint64
}

func decodeInto(doc string, v any) error {
	d := wsman.NewDecoder([]byte(doc))
	if _, err := d.Root(); err != nil {
		return err
	}
	if err := d.Decode(v); err != nil {
		return err
	}
	return d.Finish()
}

func TestDecodeStruct(t *testing.T) {
	var got struct {
		Base
		DELTA       int8
		Load        float64
		Started     bool
		Roles       []string
		Codes       []byte
		None        *string
		Gone        int
		InstallDate time.Time
		Dmtf        *time.Time
		Up, UpDmtf  time.Duration
		Person      Base `wsman:"Owner"`
		Address     netip.Addr
		Maybe       *uint16
		Ref         wsman.EndpointReference
		Any         any `wsman:"Size2"`
	}
	got.Gone = 9
	require.NoError(t, decodeInto(instance, &got))
	at := time.Date(2019, 5, 1, 10, 0, 0, 5e8, time.UTC)
	assert.Equal(t, "a & b", got.Name)
	assert.Equal(t, uint64(math.MaxUint64), got.Size)
	assert.Equal(t, int8(-5), got.DELTA)
	assert.InDelta(t, 0.5, got.Load, 0)
	assert.True(t, got.Started)
	assert.Equal(t, []string{"one", "two"}, got.Roles)
	assert.Equal(t, []byte{1, 255}, got.Codes)
	assert.Nil(t, got.None)
	assert.Equal(t, 9, got.Gone, "a null leaves the field as it is")
	assert.True(t, at.Equal(got.InstallDate), got.InstallDate)
	assert.True(t, at.Equal(*got.Dmtf), got.Dmtf)
	assert.Equal(t, 26*time.Hour, got.Up)
	assert.Equal(t, 26*time.Hour, got.UpDmtf)
	assert.Equal(t, Base{"inner", 3}, got.Person)
	assert.Equal(t, netip.MustParseAddr("10.0.0.1"), got.Address)
	assert.Equal(t, uint16(7), *got.Maybe)
	assert.Equal(t, instanceRef, got.Ref)
}

func TestDecodeRow(t *testing.T) {
	var row wsman.Row
	require.NoError(t, decodeInto(instance, &row))
	assert.Equal(t, "a & b", row["Name"])
	assert.Equal(t, []any{"one", "two"}, row["Roles"])
	none, there := row["None"]
	assert.True(t, there)
	assert.Nil(t, none)
	assert.Equal(t, wsman.Row{"Name": "inner", "Size": "3"}, row["Owner"])
	assert.Equal(t, wsman.Row{"Deep": ""}, row["Unknown"])
	assert.Equal(t, &instanceRef, row["Ref"])
	assert.Equal(t, 26*time.Hour, row["Up"])
	assert.IsType(t, time.Time{}, row["InstallDate"])

	var m map[string]any
	require.NoError(t, decodeInto(instance, &m))
	assert.Equal(t, map[string]any(row)["Owner"], m["Owner"])

	called := false
	require.NoError(t, decodeInto(instance, func(d *wsman.Decoder) error { called = true; return nil }))
	assert.True(t, called)
	require.NoError(t, decodeInto(instance, nil))
	require.Error(t, decodeInto(instance, 5))
}

func TestDecodeErrors(t *testing.T) {
	for field, v := range map[string]any{
		"Size": &struct{ Size int64 }{}, "Name": &struct{ Name int }{}, "Load": &struct{ Load bool }{}, "Owner": &struct{ Owner string }{},
		"Delta": &struct{ Delta uint }{}, "Codes": &struct{ Codes []int8 }{}, "Roles": &struct{ Roles []time.Time }{}, "Address": &struct{ Address chan int }{},
	} {
		err := decodeInto(instance, v)
		var bad *wsman.DecodeError
		require.ErrorAs(t, err, &bad, field)
		assert.NotEmpty(t, bad.Error())
	}
}

func TestObjectRoundTrip(t *testing.T) {
	type inner struct{ A string }
	type object struct {
		Name    string
		N       int `wsman:"Number"`
		Skip    string
		When    time.Time
		For     time.Duration
		List    []string
		Nothing *int
		In      *inner
		Ref     *wsman.EndpointReference
		Addr    netip.Addr
		F       float32
		Empty   string `wsman:",omitempty"`
	}
	want := object{
		Name: "a<b", N: -3, When: time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC), For: 90 * time.Second, List: []string{"x", "y"},
		In: &inner{"deep"}, Ref: &instanceRef, Addr: netip.MustParseAddr("::1"), F: 1.5,
	}
	encode := func(v any) string {
		e := wsman.NewEncoder(nil)
		e.Start("a:r")
		e.Namespace("a", wsman.NSAddressing)
		e.Namespace("w", wsman.NSWSMan)
		wsman.Object("urn:c", "C", v)(e)
		e.End()
		require.NoError(t, e.Err())
		return string(e.Bytes())
	}
	doc := encode(&want)
	assert.NotContains(t, doc, "Empty")
	assert.Contains(t, doc, "<c:Skip/>")
	var got struct{ C object }
	require.NoError(t, decodeInto(doc, &got))
	assert.Equal(t, want, got.C)

	assert.Contains(t, encode(wsman.Row{"B": 1, "A": []any{"x", 2}, "N": nil}), `<c:A>x</c:A><c:A>2</c:A><c:B>1</c:B></c:C>`)
	assert.Contains(t, encode(nil), `<c:C xmlns:c="urn:c"/>`)
	e := wsman.NewEncoder(nil)
	wsman.Object("urn:c", "C", 5)(e)
	require.Error(t, e.Err())
	e = wsman.NewEncoder(nil)
	wsman.Object("urn:c", "C", wsman.Row{"a><b": 1})(e)
	require.Error(t, e.Err())
}

func TestDurations(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"PT60S": time.Minute, "PT60.000S": time.Minute, "P0DT2H0M0.5S": 2*time.Hour + 500*time.Millisecond, "PT2147483.647S": 2147483647 * time.Millisecond,
		"P1Y2M3D": (365 + 60 + 3) * 24 * time.Hour, "-PT1S": -time.Second, "PT0S": 0, "P0DT0H0M0S": 0, "PT1H": time.Hour, "PT1M": time.Minute, "PT0.000000001S": 1, "PT0.0000000019S": 1,
	} {
		got, err := wsman.ParseDuration(s)
		require.NoError(t, err, s)
		assert.Equal(t, want, got, s)
	}
	for _, s := range []string{
		"", "P", "PT", "T1S", "1S", "PT1", "PT-1S", "P1S", "PT1D", "PT1S1M", "PT1S1S", "P1.5D", "PT1.S", "PT.5S", "PT1.2.3S", "PT1,5S", "PT99999999999S", "P300Y", "P1DT", "PT1S ", "--PT1S", "P-1D", "PT1E3S",
		"PT9223372036S9S", "P292YT99999999H",
	} {
		_, err := wsman.ParseDuration(s)
		var bad *wsman.DurationError
		assert.ErrorAs(t, err, &bad, s)
	}
	assert.Equal(t, "PT60.000S", wsman.FormatDuration(time.Minute))
	assert.Equal(t, "PT0.001S", wsman.FormatDuration(1400*time.Microsecond))
	assert.Equal(t, "-PT1.500S", wsman.FormatDuration(-1500*time.Millisecond))
}

func TestDatetimes(t *testing.T) {
	utc := func(y, mo, d, h, mi, s, us int) time.Time {
		return time.Date(y, time.Month(mo), d, h, mi, s, us*1000, time.UTC)
	}
	for s, want := range map[string]time.Time{
		"2019-05-01T12:00:00Z": utc(2019, 5, 1, 12, 0, 0, 0), "2019-05-01T12:00:00.123456+01:00": utc(2019, 5, 1, 11, 0, 0, 123456), "2019-05-01T12:00:00": utc(2019, 5, 1, 12, 0, 0, 0),
		"2019-05-01": utc(2019, 5, 1, 0, 0, 0, 0), "2019-05-01Z": utc(2019, 5, 1, 0, 0, 0, 0),
		// DSP0004 section 5.2.4 has this one: Monday, January 25, 1998, 13:30:15 EST
		"19980125133015.0000000-300": {}, "19980125133015.000000-300": utc(1998, 1, 25, 18, 30, 15, 0), "20190501******.******+***": utc(2019, 5, 1, 0, 0, 0, 0), "16010101000000.000000+000": utc(1601, 1, 1, 0, 0, 0, 0),
	} {
		got, err := wsman.ParseDatetime(s)
		if want.IsZero() {
			require.Error(t, err, s)
			continue
		}
		require.NoError(t, err, s)
		assert.True(t, want.Equal(got), "%s: %v", s, got)
	}
	for _, s := range []string{"", "x", "20191301000000.000000+000", "20190230000000.000000+000", "20190101250000.000000+000", "2019010100000a.000000+000", "00000001020000.000000:000", "20190101000000.00000x+000"} {
		_, err := wsman.ParseDatetime(s)
		var bad *wsman.DatetimeError
		assert.ErrorAs(t, err, &bad, s)
	}
	d, err := wsman.ParseInterval("00000001132312.000000:000") // DSP0004 section 5.2.4
	require.NoError(t, err)
	assert.Equal(t, 24*time.Hour+13*time.Hour+23*time.Minute+12*time.Second, d)
	_, err = wsman.ParseInterval("99999999999999.999999:000")
	require.Error(t, err)
	assert.Equal(t, "2019-05-01T12:00:00.5Z", wsman.FormatDatetime(utc(2019, 5, 1, 12, 0, 0, 500000)))
}

func FuzzParseDuration(f *testing.F) {
	f.Add("P1Y2M3DT4H5M6.7S")
	f.Add("-PT0.5S")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := wsman.ParseDuration(s)
		if err != nil {
			return
		}
		if d < 0 != strings.HasPrefix(s, "-") && d != 0 {
			t.Fatalf("%q has the wrong sign: %v", s, d)
		}
		again, err := wsman.ParseDuration(wsman.FormatDuration(d))
		if diff := (again - d).Abs(); err != nil && d.Abs() < math.MaxInt64/2 || err == nil && diff > time.Millisecond {
			t.Fatalf("%q: %v, written and read again %v, %v", s, d, again, err)
		}
	})
}

func FuzzParseDatetime(f *testing.F) {
	f.Add("19980125133015.000000-300")
	f.Add("00000001132312.000000:000")
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = wsman.ParseDatetime(s)
		if d, err := wsman.ParseInterval(s); err == nil && d < 0 && !strings.HasPrefix(strings.TrimSpace(s), "-") {
			t.Fatalf("%q is negative: %v", s, d)
		}
	})
}

// FuzzDecode reads hostile objects into everything that Decode knows.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(instance))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range []any{new(wsman.Row), new(any), new(wsman.EndpointReference), new(struct {
			Base
			Owner   *Base
			Roles   []string
			Ref     []*wsman.EndpointReference
			Up      *time.Duration
			Unknown map[string]any
		})} {
			d := wsman.NewDecoder(append([]byte(nil), data...))
			if _, err := d.Root(); err != nil {
				return
			}
			_ = d.Decode(v)
			_ = d.Finish()
		}
	})
}

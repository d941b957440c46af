package wmi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/wmi"
)

func TestQuery(t *testing.T) {
	in := &wmi.Instance{Class: "C", Props: []wmi.Property{
		{Name: "Name", Value: "WinRM"}, {Name: "Size", Value: 90}, {Name: "None", Value: nil}, {Name: "On", Value: true},
	}}
	for where, want := range map[string]bool{
		"": true, "where Name='winrm'": true, `where Name = "x"`: false, "where Size > 100": false, "where Size < 100": true,
		"where Size >= 90 and Size <= 90": true, "where Size <> 90 or Name like 'w%m'": true, "where not Name like 'w_n'": true,
		"where Name like '[u-x]inr[^a]'": true, "where Name like '%%%'": true, "where None is null": true,
		"where None is not null": false, "where None = 'x'": false, "where On = TRUE": true, "where NoSuch = 1": false,
		"where (Size = 1 or Size = 90) and On = true": true, "where __CLASS = 'c'": true, `where Name = 'Win\RM'`: true,
	} {
		q, err := wmi.Parse("SELECT * FROM C " + where)
		require.NoError(t, err, where)
		assert.Equal(t, want, q.Matches(in), where)
	}
	for _, bad := range []string{
		"", "select", "select *", "select * from", "select from C", "select * from C where", "select * from C where a", "select * from C where a =",
		"select * from C where (a=1", "select * from C where a='x", "select * from C extra", "select a, from C", "select * from C where a ~ 1",
		"select * from C where " + strings.Repeat("(", 1000),
	} {
		_, err := wmi.Parse(bad)
		var qe *wmi.QueryError
		assert.ErrorAs(t, err, &qe, bad)
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("select a, b from C where x like '%a%' and not (y = 1)", "aaa")
	f.Add("select * from C where x like '%a%a%a%a%a%a%a%a%b'", strings.Repeat("a", 200))
	f.Fuzz(func(t *testing.T, query, value string) {
		begun := time.Now()
		q, err := wmi.Parse(query)
		if err != nil {
			return
		}
		q.Matches(&wmi.Instance{Class: "C", Props: []wmi.Property{{Name: "x", Value: value}}})
		if d := time.Since(begun); d > 2*time.Second {
			t.Fatalf("took %v", d)
		}
	})
}

package wsman

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// FormatDuration writes a duration as xs:duration in seconds, as WS-Management
// clients do: PT60.000S. Precision is a millisecond.
func FormatDuration(d time.Duration) string { return string(appendDuration(nil, d)) }

func appendDuration(dst []byte, d time.Duration) []byte {
	if d < 0 {
		dst, d = append(dst, '-'), -max(d, -math.MaxInt64)
	}
	ms := d.Round(time.Millisecond).Milliseconds()
	dst = strconv.AppendInt(append(dst, "PT"...), ms/1000, 10)
	rest := ms % 1000
	return append(dst, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10), 'S')
}

// DurationError says that a text is not an xs:duration that fits into a
// [time.Duration].
type DurationError struct{ Text string }

func (e *DurationError) Error() string {
	return fmt.Sprintf("wsman: %.40q is not a duration, or out of range", e.Text)
}

// ParseDuration reads an xs:duration such as P0DT2H0M0.5S. A year counts as
// 365 days and a month as 30, because a Go duration has no calendar.
func ParseDuration(s string) (time.Duration, error) {
	bad := &DurationError{Text: s}
	rest, negative := strings.CutPrefix(s, "-")
	rest, ok := strings.CutPrefix(rest, "P")
	date, clock, hasClock := strings.Cut(rest, "T")
	if !ok || date == "" && clock == "" || hasClock && clock == "" {
		return 0, bad
	}
	const day = 24 * time.Hour
	total := time.Duration(0)
	for _, part := range []struct {
		text  string
		units string
		sizes []time.Duration
	}{
		{date, "YMD", []time.Duration{365 * day, 30 * day, day}},
		{clock, "HMS", []time.Duration{time.Hour, time.Minute, time.Second}},
	} {
		units := part.units
		for text := part.text; text != ""; {
			i := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
			if i <= 0 {
				return 0, bad
			}
			at := strings.IndexByte(units, text[i])
			if at < 0 {
				return 0, bad
			}
			units = units[at+1:] // each unit once, in order
			n, ok := scale(text[:i], part.sizes[strings.IndexByte(part.units, text[i])], text[i] == 'S')
			if !ok || total > math.MaxInt64-n {
				return 0, bad
			}
			total += n
			text = text[i+1:]
		}
	}
	if negative {
		total = -total
	}
	return total, nil
}

// scale multiplies a decimal number with a unit; only seconds have a fraction.
func scale(number string, unit time.Duration, fraction bool) (time.Duration, bool) {
	whole, frac, dot := strings.Cut(number, ".")
	if dot && (!fraction || frac == "") || strings.Contains(frac, ".") {
		return 0, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > math.MaxInt64/int64(unit)-1 {
		return 0, false
	}
	d := time.Duration(n) * unit
	for i, size := 0, unit/10; i < len(frac) && size > 0; i, size = i+1, size/10 {
		d += time.Duration(frac[i]-'0') * size
	}
	return d, true
}

package wsman

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// DatetimeError says that a text is not a point in time, or an interval, in a
// form that WMI uses.
type DatetimeError struct{ Text string }

func (e *DatetimeError) Error() string {
	return fmt.Sprintf("wsman: %.40q is not a CIM datetime", e.Text)
}

// ParseDatetime reads a point in time: xs:dateTime or xs:date as cim:Datetime
// and cim:Date hold them, or the DMTF form yyyymmddHHMMSS.mmmmmmsUUU of
// DSP0004, section 5.2.4, with asterisks for what is unknown. Without a time
// zone it is UTC.
func ParseDatetime(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if len(s) == len("yyyymmddHHMMSS.mmmmmmsUUU") && s[14] == '.' {
		return parseDMTF(s)
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02Z07:00", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &DatetimeError{Text: s}
}

func parseDMTF(s string) (time.Time, error) {
	bad := &DatetimeError{Text: s}
	if s[21] != '+' && s[21] != '-' {
		return time.Time{}, bad // ':' marks an interval
	}
	ok := true
	field := func(from, to, unknown int) int {
		text := s[from:to]
		if strings.Trim(text, "*") == "" {
			return unknown
		}
		n, err := strconv.ParseUint(text, 10, 31)
		ok = ok && err == nil
		return int(n)
	}
	micros := s[15:21]
	if i := strings.IndexByte(micros, '*'); i >= 0 && strings.Trim(micros[i:], "*") == "" {
		micros = micros[:i] + strings.Repeat("0", len(micros)-i)
	}
	us, err := strconv.ParseUint(micros, 10, 31)
	ok = ok && err == nil
	offset := field(22, 25, 0)
	if s[21] == '-' {
		offset = -offset
	}
	year, month, day := field(0, 4, 1), field(4, 6, 1), field(6, 8, 1)
	hour, minute, second := field(8, 10, 0), field(10, 12, 0), field(12, 14, 0)
	if !ok || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, bad
	}
	zone := time.UTC
	if offset != 0 {
		zone = time.FixedZone("", offset*60)
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, int(us)*1000, zone)
	if t.Day() != day && second < 60 {
		return time.Time{}, bad // February 30
	}
	return t, nil
}

// ParseInterval reads an interval: xs:duration as cim:Interval holds it, or
// the DMTF form ddddddddHHMMSS.mmmmmm:000.
func ParseInterval(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if len(s) != len("ddddddddHHMMSS.mmmmmm:000") || s[14] != '.' || s[21] != ':' {
		return ParseDuration(s)
	}
	total := time.Duration(0)
	for _, f := range []struct {
		from, to int
		unit     time.Duration
	}{{0, 8, 24 * time.Hour}, {8, 10, time.Hour}, {10, 12, time.Minute}, {12, 14, time.Second}, {15, 21, time.Microsecond}} {
		n, err := strconv.ParseUint(strings.ReplaceAll(s[f.from:f.to], "*", "0"), 10, 31)
		if err != nil || n > uint64((1<<62)/f.unit) {
			return 0, &DatetimeError{Text: s}
		}
		total += time.Duration(n) * f.unit
	}
	if total < 0 {
		return 0, &DatetimeError{Text: s}
	}
	return total, nil
}

// FormatDatetime writes a point in time as cim:Datetime holds it.
func FormatDatetime(t time.Time) string { return t.Format("2006-01-02T15:04:05.999999Z07:00") }

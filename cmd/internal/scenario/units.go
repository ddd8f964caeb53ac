package scenario

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Bytes is a number of bytes as in s2n-netbench's flags: an integer with an optional K, Ki, M, Mi, G, Gi, T
// or Ti and an optional B, or b for bits. It is a pflag.Value.
type Bytes uint64

var prefixes = []struct {
	name   string
	factor uint64
}{{"ki", 1 << 10}, {"mi", 1 << 20}, {"gi", 1 << 30}, {"ti", 1 << 40}, {"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {"t", 1e12}, {"", 1}}

// ParseBytes parses a number of bytes. A number of bits is rounded to whole bytes.
func ParseBytes(s string) (Bytes, error) {
	s = strings.TrimSpace(s)
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseUint(s[:digits], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of bytes: use for example 1000, 10KB, 4KiB or 8Mb (bits)", s)
	}
	unit := strings.TrimSpace(s[digits:])
	isBits := strings.HasSuffix(unit, "b")
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "B")
	for _, p := range prefixes {
		if strings.ToLower(unit) != p.name {
			continue
		}
		high, low := bits.Mul64(n, p.factor)
		if high != 0 {
			return 0, fmt.Errorf("%s exceeds 2^64-1 bytes", s)
		}
		if isBits {
			low = low/8 + min(1, low%8)
		}
		return Bytes(low), nil
	}
	return 0, fmt.Errorf("%q: %q is not a unit of bytes", s, s[digits:])
}

// String formats the number in decimal units, with two digits after the point unless it is whole: 1KB,
// 1.50KB.
func (b Bytes) String() string {
	for i := len(prefixes) - 2; i >= 4; i-- {
		p := prefixes[i]
		if uint64(b) < p.factor {
			continue
		}
		unit := strings.ToUpper(p.name) + "B"
		if uint64(b)%p.factor == 0 {
			return strconv.FormatUint(uint64(b)/p.factor, 10) + unit
		}
		return strconv.FormatFloat(float64(b)/float64(p.factor), 'f', 2, 64) + unit
	}
	return strconv.FormatUint(uint64(b), 10) + "B"
}

// Set parses s.
func (b *Bytes) Set(s string) (err error) {
	*b, err = ParseBytes(s)
	return err
}

// Type returns the type's name for usage texts.
func (*Bytes) Type() string { return "BYTES" }

// ByteList is a comma-separated list of Bytes.
type ByteList []Bytes

// Set parses s and replaces the list.
func (l *ByteList) Set(s string) error {
	var out ByteList
	for part := range strings.SplitSeq(s, ",") {
		b, err := ParseBytes(part)
		if err != nil {
			return err
		}
		out = append(out, b)
	}
	*l = out
	return nil
}

func (l ByteList) String() string {
	names := make([]string, len(l))
	for i, b := range l {
		names[i] = b.String()
	}
	return strings.Join(names, ",")
}

// Type returns the type's name for usage texts.
func (*ByteList) Type() string { return "BYTES,…" }

// Time is a duration in the format of Rust's humantime: 1s42ms, 15s, 2min. It is a pflag.Value.
type Time time.Duration

var timeUnits = map[string]time.Duration{
	"nanos": 1, "nsec": 1, "ns": 1, "usec": time.Microsecond, "us": time.Microsecond, "µs": time.Microsecond,
	"millis": time.Millisecond, "msec": time.Millisecond, "ms": time.Millisecond,
	"seconds": time.Second, "second": time.Second, "secs": time.Second, "sec": time.Second, "s": time.Second,
	"minutes": time.Minute, "minute": time.Minute, "mins": time.Minute, "min": time.Minute, "m": time.Minute,
	"hours": time.Hour, "hour": time.Hour, "hrs": time.Hour, "hr": time.Hour, "h": time.Hour,
	"days": day, "day": day, "d": day, "weeks": 7 * day, "week": 7 * day, "wk": 7 * day, "w": 7 * day,
	"months": 2_630_016 * time.Second, "month": 2_630_016 * time.Second, "M": 2_630_016 * time.Second,
	"years": 31_557_600 * time.Second, "year": 31_557_600 * time.Second, "yr": 31_557_600 * time.Second, "y": 31_557_600 * time.Second,
}

const day = 24 * time.Hour

// ParseTime parses a time: one or more integers, each with its unit.
func ParseTime(s string) (time.Duration, error) {
	rest := strings.TrimSpace(s)
	if rest == "0" {
		return 0, nil
	}
	var sum time.Duration
	if rest == "" {
		return 0, errors.New("empty time: use for example 15s or 1s42ms")
	}
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time: use for example 15s or 1s42ms", s)
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		end := strings.IndexAny(rest, "0123456789 ")
		if end < 0 {
			end = len(rest)
		}
		unit, ok := timeUnits[rest[:end]]
		if !ok {
			return 0, fmt.Errorf("%q: %q is not a unit of time", s, rest[:end])
		}
		if n > math.MaxInt64/int64(unit) || sum > math.MaxInt64-time.Duration(n)*unit {
			return 0, fmt.Errorf("%s is too long", s)
		}
		sum += time.Duration(n) * unit
		rest = strings.TrimLeft(rest[end:], " ")
	}
	return sum, nil
}

func (t Time) String() string { return time.Duration(t).String() }

// Set parses s.
func (t *Time) Set(s string) error {
	d, err := ParseTime(s)
	*t = Time(d)
	return err
}

// Type returns the type's name for usage texts.
func (*Time) Type() string { return "TIME" }

// Rate is a number of bytes in each period: 10MBps, 42MB/50ms, or NONE. It is a pflag.Value.
type Rate struct {
	Bytes  Bytes
	Period time.Duration // 0 means no rate
}

// Set parses s.
func (r *Rate) Set(s string) error {
	if strings.EqualFold(s, "none") {
		*r = Rate{}
		return nil
	}
	bytes, period, ok := strings.Cut(s, "/")
	out := Rate{Period: time.Second}
	var err error
	if ok {
		if out.Period, err = ParseTime(period); err != nil {
			return err
		}
	} else if bytes, ok = strings.CutSuffix(s, "ps"); !ok {
		return fmt.Errorf("%q is not a rate: use for example 10MBps, 42MB/50ms or NONE", s)
	}
	if out.Bytes, err = ParseBytes(bytes); err != nil {
		return err
	}
	// The file format counts in milliseconds.
	if out.Bytes == 0 || out.Period < time.Millisecond {
		return fmt.Errorf("%q is not a rate: it needs more than 0 bytes and a period of at least 1 ms", s)
	}
	*r = out
	return nil
}

func (r Rate) String() string {
	switch r.Period {
	case 0:
		return "NONE"
	case time.Second:
		return r.Bytes.String() + "ps"
	}
	return r.Bytes.String() + "/" + r.Period.String()
}

// Type returns the type's name for usage texts.
func (*Rate) Type() string { return "RATE" }

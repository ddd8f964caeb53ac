// Package monotime represents time in the transport: nanoseconds on a monotonic clock with an arbitrary
// origin. A value has 8 bytes where time.Time has 24, and a simulator can make its own values. The package
// has no clock; callers pass the time as an argument.
package monotime

import "time"

// Time is a point in time in nanoseconds. The zero value means never.
type Time int64

// Add returns t+d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the duration t-u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Before reports whether t is earlier than u.
func (t Time) Before(u Time) bool { return t < u }

// After reports whether t is later than u.
func (t Time) After(u Time) bool { return t > u }

// IsZero reports whether t is zero, which means never.
func (t Time) IsZero() bool { return t == 0 }

// Min returns the earlier of two times. The zero value counts as never.
func Min(a, b Time) Time {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

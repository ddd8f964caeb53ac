// Package monotime is time as the transport counts it: nanoseconds on a monotonic clock whose
// beginning means nothing. A value is 8 bytes where time.Time has 24, and a simulator makes its own.
// There is no clock here: whoever has one passes the time in.
package monotime

import "time"

// Time is a point in time in nanoseconds. The zero value means never.
type Time int64

// Add returns the time d later.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the duration from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Before reports whether t is earlier than u.
func (t Time) Before(u Time) bool { return t < u }

// After reports whether t is later than u.
func (t Time) After(u Time) bool { return t > u }

// IsZero reports whether t is never.
func (t Time) IsZero() bool { return t == 0 }

// Min returns the earlier of two times, where the zero value is never.
func Min(a, b Time) Time {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

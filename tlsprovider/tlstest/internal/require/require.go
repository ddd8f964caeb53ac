// Package require contains the assertions of the conformance suite. Like those of testify's package of the same name,
// they stop the test. The suite has its own because other modules import it, which should not depend on testify.
//
// The last arguments of every function are an optional message: a format and its operands.
package require

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

// fail stops the test with a description of the failure and the caller's message.
func fail(t testing.TB, msg []any, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	if len(msg) > 0 {
		text += "\n" + fmt.Sprintf(fmt.Sprint(msg[0]), msg[1:]...)
	}
	t.Fatal(text)
}

// equal reports whether two values are deeply equal. Byte slices are equal if their bytes are.
func equal(a, b any) bool {
	x, ok := a.([]byte)
	if y, both := b.([]byte); ok && both {
		return bytes.Equal(x, y) && (x == nil) == (y == nil)
	}
	return reflect.DeepEqual(a, b)
}

// Equal requires got to equal want deeply.
func Equal(t testing.TB, want, got any, msg ...any) {
	t.Helper()
	if !equal(want, got) {
		fail(t, msg, "not equal:\nwant %s\ngot  %s", show(want), show(got))
	}
}

// NotEqual requires the two values to differ.
func NotEqual(t testing.TB, a, b any, msg ...any) {
	t.Helper()
	if equal(a, b) {
		fail(t, msg, "both are %s", show(a))
	}
}

// show formats a value on one line and truncates a long one.
func show(v any) string {
	s := fmt.Sprintf("%#v", v)
	if b, ok := v.([]byte); ok {
		s = fmt.Sprintf("%x", b)
	}
	const most = 1000
	if len(s) > most {
		return fmt.Sprintf("%s… (%d characters)", s[:most], len(s))
	}
	return s
}

// NoError requires err to be nil.
func NoError(t testing.TB, err error, msg ...any) {
	t.Helper()
	if err != nil {
		fail(t, msg, "unexpected error: %v", err)
	}
}

// Error requires err not to be nil.
func Error(t testing.TB, err error, msg ...any) {
	t.Helper()
	if err == nil {
		fail(t, msg, "no error")
	}
}

// ErrorIs requires errors.Is(err, target).
func ErrorIs(t testing.TB, err, target error, msg ...any) {
	t.Helper()
	if !errors.Is(err, target) {
		fail(t, msg, "the error is %v, want %v", err, target)
	}
}

// ErrorAs requires errors.As(err, target).
func ErrorAs(t testing.TB, err error, target any, msg ...any) {
	t.Helper()
	if !errors.As(err, target) {
		fail(t, msg, "the error is a %T (%v), want a %v", err, err, reflect.TypeOf(target).Elem())
	}
}

// ErrorContains requires an error whose text contains part.
func ErrorContains(t testing.TB, err error, part string, msg ...any) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		fail(t, msg, "the error is %v, want one that contains %q", err, part)
	}
}

// True requires ok.
func True(t testing.TB, ok bool, msg ...any) {
	t.Helper()
	if !ok {
		fail(t, msg, "false, want true")
	}
}

// False requires not ok.
func False(t testing.TB, ok bool, msg ...any) {
	t.Helper()
	if ok {
		fail(t, msg, "true, want false")
	}
}

// isNil reports whether v is nil or holds a nil pointer, slice, map, channel, function or interface.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Chan, reflect.Func, reflect.Interface:
		return r.IsNil()
	}
	return false
}

// Nil requires v to be nil.
func Nil(t testing.TB, v any, msg ...any) {
	t.Helper()
	if !isNil(v) {
		fail(t, msg, "%s, want nil", show(v))
	}
}

// NotNil requires v not to be nil.
func NotNil(t testing.TB, v any, msg ...any) {
	t.Helper()
	if isNil(v) {
		fail(t, msg, "nil")
	}
}

// Zero requires v to be the zero value of its type.
func Zero(t testing.TB, v any, msg ...any) {
	t.Helper()
	if v != nil && !reflect.ValueOf(v).IsZero() {
		fail(t, msg, "%s, want the zero value", show(v))
	}
}

// NotZero requires v not to be the zero value of its type.
func NotZero(t testing.TB, v any, msg ...any) {
	t.Helper()
	if v == nil || reflect.ValueOf(v).IsZero() {
		fail(t, msg, "the zero value of %T", v)
	}
}

// isEmpty reports whether v is the zero value, or a slice, map, channel or string without elements.
func isEmpty(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Slice, reflect.Map, reflect.Chan, reflect.String, reflect.Array:
		return r.Len() == 0
	default:
		return r.IsZero()
	}
}

// Empty requires v to be empty: see isEmpty.
func Empty(t testing.TB, v any, msg ...any) {
	t.Helper()
	if !isEmpty(v) {
		fail(t, msg, "%s, want nothing", show(v))
	}
}

// NotEmpty requires v not to be empty: see isEmpty.
func NotEmpty(t testing.TB, v any, msg ...any) {
	t.Helper()
	if isEmpty(v) {
		fail(t, msg, "%s is empty", show(v))
	}
}

// Len requires v to have n elements.
func Len(t testing.TB, v any, n int, msg ...any) {
	t.Helper()
	if got := reflect.ValueOf(v).Len(); got != n {
		fail(t, msg, "%d elements, want %d", got, n)
	}
}

// contains reports whether a string contains a substring, or a slice an element.
func contains(t testing.TB, in, part any) bool {
	t.Helper()
	if s, ok := in.(string); ok {
		return strings.Contains(s, part.(string))
	}
	list := reflect.ValueOf(in)
	for i := range list.Len() {
		if equal(list.Index(i).Interface(), part) {
			return true
		}
	}
	return false
}

// Contains requires in, a string or a slice, to contain part.
func Contains(t testing.TB, in, part any, msg ...any) {
	t.Helper()
	if !contains(t, in, part) {
		fail(t, msg, "%s does not contain %s", show(in), show(part))
	}
}

// NotContains requires in, a string or a slice, not to contain part.
func NotContains(t testing.TB, in, part any, msg ...any) {
	t.Helper()
	if contains(t, in, part) {
		fail(t, msg, "%s contains %s", show(in), show(part))
	}
}

// ElementsMatch requires two slices of strings to hold the same elements in any order.
func ElementsMatch(t testing.TB, want, got []string, msg ...any) {
	t.Helper()
	count := make(map[string]int)
	for _, s := range want {
		count[s]++
	}
	for _, s := range got {
		count[s]--
	}
	for s, n := range count {
		if n != 0 {
			fail(t, msg, "%q occurs %d times more in one of the two", s, max(n, -n))
		}
	}
}

type ordered interface {
	~int | ~int64 | ~uint32 | ~uint64 | ~float64
}

// Greater requires a > b.
func Greater[T ordered](t testing.TB, a, b T, msg ...any) {
	t.Helper()
	if a <= b {
		fail(t, msg, "%v, want more than %v", a, b)
	}
}

// GreaterOrEqual requires a >= b.
func GreaterOrEqual[T ordered](t testing.TB, a, b T, msg ...any) {
	t.Helper()
	if a < b {
		fail(t, msg, "%v, want at least %v", a, b)
	}
}

// LessOrEqual requires a <= b.
func LessOrEqual[T ordered](t testing.TB, a, b T, msg ...any) {
	t.Helper()
	if a > b {
		fail(t, msg, "%v, want at most %v", a, b)
	}
}

// InDelta requires a and b to differ by at most delta.
func InDelta[T ordered](t testing.TB, a, b T, delta float64, msg ...any) {
	t.Helper()
	if math.Abs(float64(a)-float64(b)) > delta {
		fail(t, msg, "%v and %v differ by more than %v", a, b, delta)
	}
}

// Panics requires f to panic.
func Panics(t testing.TB, f func(), msg ...any) {
	t.Helper()
	defer func() {
		if recover() == nil {
			fail(t, msg, "no panic")
		}
	}()
	f()
}

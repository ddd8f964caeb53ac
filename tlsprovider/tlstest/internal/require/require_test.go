package require

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
)

// recorder is a testing.TB that records a failure and stops its goroutine, as a real one does.
type recorder struct {
	testing.TB
	text string
}

func (*recorder) Helper() {}

func (r *recorder) Fatal(args ...any) {
	r.text = fmt.Sprint(args...)
	runtime.Goexit()
}

// failure returns the report of an assertion, or "" if the assertion is true.
func failure(assert func(testing.TB)) string {
	r := new(recorder)
	done := make(chan struct{})
	go func() {
		defer close(done)
		assert(r)
	}()
	<-done
	return r.text
}

// TestAssertions runs each assertion with values for which it is true and with values for which it is false.
func TestAssertions(t *testing.T) {
	wrapped := fmt.Errorf("read: %w", io.EOF)
	var asked *fs
	for _, tt := range []struct {
		name        string
		holds, does func(testing.TB) // holds, does not
	}{
		{"Equal", func(t testing.TB) { Equal(t, []int{1}, []int{1}) }, func(t testing.TB) { Equal(t, 1, int64(1)) }},
		{"Equal bytes", func(t testing.TB) { Equal(t, []byte("a"), []byte("a")) }, func(t testing.TB) { Equal(t, []byte("a"), []byte("b")) }},
		{"Equal nil", func(t testing.TB) { Equal(t, []byte{}, []byte{}) }, func(t testing.TB) { Equal(t, []byte(nil), []byte{}) }},
		{"NotEqual", func(t testing.TB) { NotEqual(t, 1, 2) }, func(t testing.TB) { NotEqual(t, "a", "a") }},
		{"NoError", func(t testing.TB) { NoError(t, nil) }, func(t testing.TB) { NoError(t, io.EOF) }},
		{"Error", func(t testing.TB) { Error(t, io.EOF) }, func(t testing.TB) { Error(t, nil) }},
		{"ErrorIs", func(t testing.TB) { ErrorIs(t, wrapped, io.EOF) }, func(t testing.TB) { ErrorIs(t, io.EOF, io.ErrNoProgress) }},
		{"ErrorAs", func(t testing.TB) { ErrorAs(t, fmt.Errorf("x: %w", &fs{}), &asked) }, func(t testing.TB) { ErrorAs(t, io.EOF, &asked) }},
		{"ErrorContains", func(t testing.TB) { ErrorContains(t, wrapped, "read") }, func(t testing.TB) { ErrorContains(t, wrapped, "write") }},
		{"ErrorContains nil", func(t testing.TB) { ErrorContains(t, wrapped, "") }, func(t testing.TB) { ErrorContains(t, nil, "") }},
		{"True", func(t testing.TB) { True(t, true) }, func(t testing.TB) { True(t, false) }},
		{"False", func(t testing.TB) { False(t, false) }, func(t testing.TB) { False(t, true) }},
		{"Nil", func(t testing.TB) { Nil(t, []int(nil)) }, func(t testing.TB) { Nil(t, 0) }},
		{"NotNil", func(t testing.TB) { NotNil(t, new(int)) }, func(t testing.TB) { NotNil(t, (*int)(nil)) }},
		{"Zero", func(t testing.TB) { Zero(t, 0) }, func(t testing.TB) { Zero(t, []int{}) }},
		{"NotZero", func(t testing.TB) { NotZero(t, 1) }, func(t testing.TB) { NotZero(t, "") }},
		{"Empty", func(t testing.TB) { Empty(t, []int{}) }, func(t testing.TB) { Empty(t, map[int]int{1: 1}) }},
		{"NotEmpty", func(t testing.TB) { NotEmpty(t, "a") }, func(t testing.TB) { NotEmpty(t, []int(nil)) }},
		{"Len", func(t testing.TB) { Len(t, "ab", 2) }, func(t testing.TB) { Len(t, []int{1}, 2) }},
		{"Contains", func(t testing.TB) { Contains(t, []int{1, 2}, 2) }, func(t testing.TB) { Contains(t, "abc", "d") }},
		{"NotContains", func(t testing.TB) { NotContains(t, "abc", "d") }, func(t testing.TB) { NotContains(t, []int{1, 2}, 2) }},
		{
			"ElementsMatch", func(t testing.TB) { ElementsMatch(t, []string{"a", "b"}, []string{"b", "a"}) },
			func(t testing.TB) { ElementsMatch(t, []string{"a", "a"}, []string{"a"}) },
		},
		{"Greater", func(t testing.TB) { Greater(t, 2, 1) }, func(t testing.TB) { Greater(t, 1, 1) }},
		{"GreaterOrEqual", func(t testing.TB) { GreaterOrEqual(t, 1, 1) }, func(t testing.TB) { GreaterOrEqual(t, 0, 1) }},
		{"LessOrEqual", func(t testing.TB) { LessOrEqual(t, 1, 1) }, func(t testing.TB) { LessOrEqual(t, 2, 1) }},
		{"InDelta", func(t testing.TB) { InDelta(t, 1, 3, 2) }, func(t testing.TB) { InDelta(t, 1, 4, 2) }},
		{"Panics", func(t testing.TB) { Panics(t, func() { panic(1) }) }, func(t testing.TB) { Panics(t, func() {}) }},
	} {
		if text := failure(tt.holds); text != "" {
			t.Errorf("%s fails where it holds: %s", tt.name, text)
		}
		if failure(tt.does) == "" {
			t.Errorf("%s passes where it does not hold", tt.name)
		}
	}
}

type fs struct{}

func (*fs) Error() string { return "fs" }

// TestMessage checks that a failure ends with the caller's message.
func TestMessage(t *testing.T) {
	got := failure(func(t testing.TB) { NoError(t, errors.New("refused"), "at %d", 7) })
	if want := "unexpected error: refused\nat 7"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

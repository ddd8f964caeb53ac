package sf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDictionary(t *testing.T) {
	parse := func(s string) (map[string]Value, bool) {
		m := map[string]Value{}
		ok := Dictionary(s, func(key string, v Value) { m[key] = v })
		return m, ok
	}
	for s, want := range map[string]map[string]Value{
		"":                        {},
		"  ":                      {},
		"u=3":                     {"u": {Integer, 3}},
		"u=5, i":                  {"u": {Integer, 5}, "i": {Boolean, 1}},
		" u=-1\t,\ti=?0  ":        {"u": {Integer, -1}, "i": {Boolean, 0}},
		"u=1, u=2":                {"u": {Integer, 2}},
		"u=1;a=2;b;c=\"x\", i;q":  {"u": {Integer, 1}, "i": {Boolean, 1}},
		"u=1.5":                   {"u": {}},
		"*a.b-c_1=tok/en:x":       {"*a.b-c_1": {}},
		`s="a\"\\b"`:              {"s": {}},
		"b=:aGk=:":                {"b": {}},
		"l=(1 2;x \"y\" ), u=7":   {"l": {}, "u": {Integer, 7}},
		"l=(), n=999999999999999": {"l": {}, "n": {Integer, 999_999_999_999_999}},
	} {
		got, ok := parse(s)
		require.True(t, ok, "%q", s)
		require.Equal(t, want, got, "%q", s)
	}
	for _, s := range []string{
		"u=", "u=3,", ",", "U=1", "1=2", "u=3 i", "u=1,,i", "u=?2", "u=1234567890123456", "u=1.", "u=1.1234", "u=-", `s="a`, `s="\a"`,
		"s=\"\x7f\"", "b=:a", "l=(1", "l=(1,2)", "u=1;", "u=1;A", "u=1;a=", "=1", "u==1", "u=(1)2", "u=@1", "u=:%:",
	} {
		_, ok := parse(s)
		require.False(t, ok, "%q", s)
	}
}

func FuzzDictionary(f *testing.F) {
	f.Add("u=5, i")
	f.Add(`a=(1 "x";y);z=?0`)
	f.Fuzz(func(t *testing.T, s string) {
		Dictionary(s, func(key string, v Value) {
			if key == "" || v.Kind == Boolean && v.Int != 0 && v.Int != 1 {
				t.Fatalf("member %q: %+v of %q", key, v, s)
			}
		})
	})
}

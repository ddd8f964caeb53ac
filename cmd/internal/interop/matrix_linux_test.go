package interop

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMatrix(t *testing.T) {
	cases := []Case{{Name: "handshake", Abbr: "H"}, {Name: "ecn", Abbr: "E"}, {Name: "v2", Abbr: "V2"}}
	results := []Result{
		{Case: cases[1], Client: "b", Server: "a", Unsupported: true},
		{Case: cases[0], Client: "b", Server: "a"},
		{Case: cases[0], Client: "a", Server: "b", Err: errors.New("two\nlines")},
	}
	var b strings.Builder
	require.Equal(t, 1, WriteMatrix(&b, cases, results))
	require.Equal(t, `
client   server   H    E    V2   
a        b        FAIL           
b        a        ok   -         

1 passed, 1 not supported (-), 1 failed
`, b.String())
	require.Equal(t, "FAILED: two; lines", results[2].Outcome())
}

// Only an endpoint that is known not to support a case may say so: otherwise the case has failed.
func TestUnsupportedBy(t *testing.T) {
	for err, want := range map[error]bool{
		nil:                                false,
		errors.New("other"):                false,
		&exitError{end: server, status: 1}: false,
		&exitError{end: server, status: exitUnsupported}: true,
	} {
		end, ok := unsupportedBy(err)
		require.Equal(t, want, ok)
		if ok {
			require.Equal(t, server, end)
		}
	}
}

func TestCasesHaveNames(t *testing.T) {
	abbrs := make(map[string]bool)
	for _, c := range Cases() {
		c = c.withDefaults()
		require.NotEmpty(t, c.client)
		require.NotEmpty(t, c.server)
		require.NotEmpty(t, c.files, c.Name)
		require.False(t, abbrs[c.Abbr], c.Abbr)
		abbrs[c.Abbr] = true
	}
}

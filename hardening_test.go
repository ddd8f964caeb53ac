package pqquic

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// testDirs are the directories of the packages that docs/hardening.md names.
var testDirs = map[string]string{
	"quic": "quic", "core": "quic/internal/core", "sim": "quic/internal/sim", "streams": "quic/internal/streams",
	"recovery": "quic/internal/recovery", "wire": "quic/internal/wire", "udp": "quic/internal/udp",
	"varint": "internal/varint",
	"native": "tlsprovider/native", "s2n": "tlsprovider/s2n",
}

var namedTest = regexp.MustCompile("`(\\w+)\\.((?:Test|Fuzz)\\w+)`")

// The page has every attack, and every test that it names exists.
func TestHardeningPage(t *testing.T) {
	page, err := os.ReadFile("docs/hardening.md")
	require.NoError(t, err)
	rows := make(map[string]string)
	for line := range strings.SplitSeq(string(page), "\n") {
		if cells := strings.SplitN(line, " | ", 2); len(cells) == 2 && strings.HasPrefix(line, "| ") {
			rows[strings.TrimPrefix(cells[0], "| ")] = cells[1]
		}
	}
	functions := make(map[string]map[string]bool)
	for name, dir := range testDirs {
		functions[name] = identifiers(t, dir+"/*_test.go")
	}
	without := 0
	for _, part := range []struct {
		letter string
		n      int
	}{{"A", 17}, {"B", 24}, {"C", 8}} {
		for i := range part.n {
			id := fmt.Sprint(part.letter, i+1)
			row, ok := rows[id]
			require.True(t, ok, "the page has no row %s", id)
			if strings.Contains(row, "| none: ") {
				without++
			}
			tests := namedTest.FindAllStringSubmatch(row, -1)
			require.NotEmpty(t, tests, id)
			for _, m := range tests {
				require.NotNil(t, functions[m[1]], "%s names the unknown package %s", id, m[1])
				require.True(t, functions[m[1]][m[2]], "%s names %s.%s, which does not exist", id, m[1], m[2])
			}
		}
	}
	require.LessOrEqual(t, without, 5)
}

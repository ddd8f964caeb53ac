package pqquic

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// testDirs are the directories of the packages that docs/hardening.md and docs/features.md name.
var testDirs = map[string]string{
	"quic": "quic", "core": "quic/internal/core", "sim": "quic/internal/sim", "streams": "quic/internal/streams",
	"recovery": "quic/internal/recovery", "wire": "quic/internal/wire", "udp": "quic/internal/udp",
	"varint": "internal/varint",
	"native": "tlsprovider/native", "s2n": "tlsprovider/s2n", "tlsprovider": "tlsprovider",
	"eventlog": "quic/internal/eventlog", "debug": "quic/debug", "http3": "http3", "interop": "interop",
	"promquic": "metrics/promquic", "checks": "scripts/checks",
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
	functions := testFunctions(t)
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

// testFunctions returns the functions of the tests of each package of testDirs.
func testFunctions(t *testing.T) map[string]map[string]bool {
	functions := make(map[string]map[string]bool)
	for name, dir := range testDirs {
		functions[name] = identifiers(t, dir+"/*_test.go")
	}
	return functions
}

// Each feature has a test or a command that shows it, and every test exists.
func TestFeaturesPage(t *testing.T) {
	page, err := os.ReadFile("docs/features.md")
	require.NoError(t, err)
	functions, rows := testFunctions(t), 0
	for line := range strings.SplitSeq(string(page), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.Trim(cells[3], "- ") == "" || strings.TrimSpace(cells[3]) == "test" {
			continue
		}
		rows++
		tests := namedTest.FindAllStringSubmatch(cells[3], -1)
		require.True(t, len(tests) > 0 || strings.Contains(cells[3], "`make "), cells[1])
		for _, m := range tests {
			require.NotNil(t, functions[m[1]], "%s names the unknown package %s", cells[1], m[1])
			require.True(t, functions[m[1]][m[2]], "%s names %s.%s, which does not exist", cells[1], m[1], m[2])
		}
	}
	require.Greater(t, rows, 50)
}

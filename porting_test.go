package pqquic

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// portingPages are the pages for those who come from quic-go, the files of the code that compiles them, and their rows, at least.
var portingPages = []struct {
	page, files string
	rows        int
}{
	{"docs/porting-from-quic-go.md", "quic/example_porting*_test.go quic/netconn/*_test.go", 60},
	{"docs/http3.md", "http3/example_porting*_test.go", 10},
}

// member matches the last name of a qualified one, such as quic.Dial, conn.Stats or Config.TLS.
var member = regexp.MustCompile(`\b\w+\.([A-Z]\w*)`)

// replaced are names of quic-go in the right column, or in the left one beside "the same names", that have another name
// here.
var replaced = []string{
	"ErrorCode", "ErrorMessage", "ApplicationErrorErrorCode", "NoViablePathError", "NegotiatedProtocol",
	"CurveID", "DidResume",
}

// codeNames returns the exported names in the code spans of a cell: members, and names that stand alone if alone is set.
func codeNames(cell string, alone bool) (names []string) {
	for _, span := range mdCode.FindAllString(cell, -1) {
		found := member.FindAllStringSubmatch(span, -1)
		for _, m := range found {
			names = append(names, m[1])
		}
		if bare := strings.Trim(span, "`"); alone && len(found) == 0 && ast.IsExported(bare) && token.IsIdentifier(bare) {
			names = append(names, bare)
		}
	}
	return names
}

// neededNames returns the names of a row of the page of which there must be compiled code. It returns false for a row that
// says that there is no counterpart.
func neededNames(row string) (names []string, ok bool) {
	cells := strings.Split(strings.Trim(row, "| "), " | ")
	right := cells[len(cells)-1]
	names = codeNames(right, true)
	if strings.HasPrefix(right, "the same") {
		names = append(names, codeNames(strings.Join(cells[:len(cells)-1], " "), true)...)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(replaced, name) })
	absent := strings.HasPrefix(right, "not yet") || strings.HasPrefix(right, "no counterpart")
	return names, !absent
}

// identifiers returns all identifiers in test files, which are compiled with the tests of their package.
func identifiers(t *testing.T, patterns ...string) map[string]bool {
	var files []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found)
		files = append(files, found...)
	}
	out := make(map[string]bool)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				out[id.Name] = true
			}
			return true
		})
	}
	return out
}

// Each row of the pages for those who come from quic-go has compiled code, with the names that it recommends.
func TestPortingPageIsCompiled(t *testing.T) {
	for _, p := range portingPages {
		t.Run(p.page, func(t *testing.T) {
			page, err := os.ReadFile(p.page)
			require.NoError(t, err)
			compiled := identifiers(t, strings.Fields(p.files)...)
			rows := 0
			for line := range strings.SplitSeq(string(page), "\n") {
				if !strings.HasPrefix(line, "| ") || line == "| quic-go | pqquic |" {
					continue
				}
				rows++
				names, ok := neededNames(line)
				if ok && len(names) == 0 {
					t.Errorf("no name to compile in the row %s", line)
				}
				slices.Sort(names)
				for _, name := range slices.Compact(names) {
					if !compiled[name] {
						t.Errorf("%s is not in %s: %.60s", name, p.files, line)
					}
				}
			}
			require.Greater(t, rows, p.rows)
		})
	}
}

func TestNeededNames(t *testing.T) {
	for row, want := range map[string][]string{
		"| `DialAddr` | `quic.Dial(ctx, \"udp\", addr, &quic.Config{TLS: cfg})` |": {"Dial", "Config"},
		"| `Conn.Context`, `Conn.LocalAddr` | the same names |":                    {"Context", "LocalAddr"},
		"| `A` | not yet: see `Config.Qlog` |":                                     {"Qlog"},
		"| `StreamID`, `StreamErrorCode` | error codes are uint64 |":               nil,
	} {
		names, ok := neededNames(row)
		require.Equal(t, want, names)
		require.Equal(t, !strings.Contains(row, "not yet"), ok)
	}
}

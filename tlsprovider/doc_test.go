package tlsprovider

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPackageDocSortsEveryName checks that the package documentation links to each type and function in one
// of its two sections, because go doc lists the names for programs and for providers on the same page.
func TestPackageDocSortsEveryName(t *testing.T) {
	fset := token.NewFileSet()
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	var files []*ast.File
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			f, err := parser.ParseFile(fset, e.Name(), nil, parser.ParseComments)
			require.NoError(t, err)
			files = append(files, f)
		}
	}
	pkg, err := doc.NewFromFiles(fset, files, "github.com/pqquic/pqquic/tlsprovider")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(pkg.Doc, "# For programs")
	require.True(t, ok)
	programs, providers, ok := strings.Cut(rest, "# For providers")
	require.True(t, ok)
	providers, _, ok = strings.Cut(providers, "# Concurrency")
	require.True(t, ok)

	var names []string
	for _, f := range pkg.Funcs {
		names = append(names, f.Name)
	}
	for _, typ := range pkg.Types {
		names = append(names, typ.Name)
		for _, f := range typ.Funcs {
			names = append(names, f.Name)
		}
	}
	for _, v := range slices.Concat(pkg.Consts, pkg.Vars) {
		names = append(names, v.Names...)
	}
	require.Greater(t, len(names), 40)
	for _, name := range names {
		link := "[" + name + "]"
		inPrograms, inProviders := strings.Contains(programs, link), strings.Contains(providers, link)
		require.True(t, inPrograms != inProviders, "%s: in the section for programs: %v, for providers: %v", name,
			inPrograms, inProviders)
	}
}

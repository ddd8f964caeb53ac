package pqquic_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/pqquic/pqquic/"

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// layer is a package's height: imports point down. Tests of a package are held to the same.
func layer(path string) int {
	path = strings.TrimPrefix(path, module)
	switch {
	case strings.HasPrefix(path, "examples/"):
		return 5
	case path == "quic":
		return 4
	case strings.HasPrefix(path, "quic/internal/"):
		return 3
	case path == "tlsprovider/native", path == "tlsprovider/s2n", strings.HasPrefix(path, "tlsprovider/tlstest"):
		return 2
	case strings.HasPrefix(path, "cgo/"):
		return 1
	}
	return 0 // tlsprovider and what it needs
}

// violations lists the imports of p that do not point down.
func violations(p *pkg) (out []string) {
	internal := strings.HasPrefix(p.ImportPath, module+"quic/internal/")
	for _, imp := range p.Imports {
		switch {
		case imp == "C" && !strings.HasPrefix(p.ImportPath, module+"cgo/"):
			out = append(out, p.ImportPath+" has import \"C\"")
		case !strings.HasPrefix(imp, module):
		case layer(imp) > layer(p.ImportPath),
			strings.HasPrefix(imp, module+"cgo/") && layer(p.ImportPath) > 2,
			p.ImportPath == module+"quic" && imp == module+"tlsprovider/s2n",
			internal && layer(imp) == 2:
			out = append(out, p.ImportPath+" imports "+imp)
		}
	}
	for _, imp := range append(p.TestImports, p.XTestImports...) {
		if imp == "C" || strings.HasPrefix(imp, module) && layer(imp) > max(layer(p.ImportPath), 2) {
			out = append(out, "a test of "+p.ImportPath+" imports "+imp)
		}
	}
	return out
}

func list(t *testing.T, env []string, args ...string) []*pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var pkgs []*pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := d.Decode(p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// TestImportsPointDown checks every platform, with and without cgo, and each build tag.
func TestImportsPointDown(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		for _, cgo := range []string{"0", "1"} {
			for _, tags := range []string{"", "pqquic_fips", "pqquic_fips4", "pqquic_asan"} {
				pkgs := list(t, []string{"GOOS=" + goos, "CGO_ENABLED=" + cgo}, "-tags", tags, "./...")
				require.Greater(t, len(pkgs), 10)
				for _, p := range pkgs {
					require.Empty(t, violations(p), "GOOS=%s CGO_ENABLED=%s tags=%s", goos, cgo, tags)
				}
			}
		}
	}
}

// TestImportsPlanted: each kind of violation is found.
func TestImportsPlanted(t *testing.T) {
	for _, p := range []pkg{
		{ImportPath: module + "quic/internal/core", Imports: []string{"C"}},
		{ImportPath: module + "quic/internal/core", Imports: []string{module + "tlsprovider/native"}},
		{ImportPath: module + "quic/internal/core", Imports: []string{module + "quic"}},
		{ImportPath: module + "quic", Imports: []string{module + "tlsprovider/s2n"}},
		{ImportPath: module + "quic", Imports: []string{module + "cgo/s2n"}},
		{ImportPath: module + "tlsprovider", Imports: []string{module + "tlsprovider/native"}},
		{ImportPath: module + "tlsprovider", TestImports: []string{module + "quic"}},
	} {
		require.NotEmpty(t, violations(&p), "%+v", p)
	}
}

// TestRequirementsAreFew: a library's requirements are its users' too.
func TestRequirementsAreFew(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	require.NoError(t, err)
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	require.NoError(t, json.Unmarshal(out, &mod))
	for _, r := range mod.Require {
		if !r.Indirect {
			require.Contains(t, []string{"golang.org/x/sys", "golang.org/x/crypto", "github.com/stretchr/testify"}, r.Path)
		}
	}
}

// TestFilesStaySmall: 600 lines for code, 900 for tests.
func TestFilesStaySmall(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (path == "build" || path == ".git") {
			return filepath.SkipDir
		}
		limit := 600
		if strings.HasSuffix(path, "_test.go") {
			limit = 900
		}
		if strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".c") {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			require.LessOrEqual(t, bytes.Count(b, []byte("\n")), limit, path)
		}
		return nil
	})
	require.NoError(t, err)
}

package pqquic_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/pqquic/pqquic/"

// pkg is the part of `go list -json` that the tests look at.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// layer returns the layer of a package. A package and its tests may import only packages of lower layers.
func layer(path string) int {
	path = strings.TrimPrefix(path, module)
	switch {
	case strings.HasPrefix(path, "examples/"), path == "quic/debug", path == "quic/netconn", path == "http3":
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

// cryptographic reports whether a package of the standard library may be imported only by providers. Comparison
// in constant time is allowed everywhere.
func cryptographic(imp string) bool {
	return imp == "crypto" || imp != "crypto/subtle" && strings.HasPrefix(imp, "crypto/") ||
		strings.HasPrefix(imp, "golang.org/x/crypto") || imp == "math/rand"
}

// impure reports whether a package is not allowed in the core, because it has sockets, locks, goroutines or system
// calls.
func impure(imp string) bool {
	return slices.Contains([]string{"net", "os", "sync", "sync/atomic", "syscall", "runtime", "context", "log",
		"log/slog", "math/rand/v2", "unsafe"}, imp) || strings.HasPrefix(imp, "golang.org/x/")
}

// violations returns the imports of p that are not allowed.
func violations(p *pkg) (out []string) {
	internal := strings.HasPrefix(p.ImportPath, module+"quic/internal/")
	transport := internal || p.ImportPath == module+"quic"
	for _, imp := range p.Imports {
		switch {
		case imp == "C" && !strings.HasPrefix(p.ImportPath, module+"cgo/"):
			out = append(out, p.ImportPath+" has import \"C\"")
		case strings.HasPrefix(imp, "github.com/stretchr/testify"): // only tests use it
			out = append(out, p.ImportPath+" imports "+imp)
		case transport && cryptographic(imp), p.ImportPath == module+"quic/internal/core" && impure(imp),
			p.ImportPath == module+"internal/qpack" && impure(imp) && imp != "golang.org/x/net/http2/hpack":
			out = append(out, p.ImportPath+" imports "+imp)
		case !strings.HasPrefix(imp, module):
		case layer(imp) > layer(p.ImportPath),
			strings.HasPrefix(imp, module+"cgo/") && layer(p.ImportPath) > 2,
			p.ImportPath == module+"quic" && imp == module+"tlsprovider/s2n",
			strings.HasPrefix(imp, module+"tlsprovider/tlstest") && !strings.HasPrefix(p.ImportPath, module+"tlsprovider/tlstest"),
			imp == module+"internal/testcert", imp == module+"internal/leaktest",
			layer(imp) == 2 && layer(p.ImportPath) == 2 && !strings.HasPrefix(imp, p.ImportPath+"/"),
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

// TestImportsPointDown checks the imports on every platform, with and without cgo, and with each build tag.
func TestImportsPointDown(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		for _, cgo := range []string{"0", "1"} {
			for _, tags := range []string{"", "pqquic_fips", "pqquic_fips4", "pqquic_fips,pqquic_report", "pqquic_asan", "pqquic_openssl", "pqquic_historic", "race", "asan", "interactive"} {
				pkgs := list(t, []string{"GOOS=" + goos, "CGO_ENABLED=" + cgo}, "-tags", tags, "./...")
				require.Greater(t, len(pkgs), 10)
				for _, p := range pkgs {
					require.Empty(t, violations(p), "GOOS=%s CGO_ENABLED=%s tags=%s", goos, cgo, tags)
				}
			}
		}
	}
}

// TestImportsPlanted checks that each kind of violation is found.
func TestImportsPlanted(t *testing.T) {
	for _, p := range []pkg{
		{ImportPath: module + "quic/internal/core", Imports: []string{"C"}},
		{ImportPath: module + "quic/internal/core", Imports: []string{module + "tlsprovider/native"}},
		{ImportPath: module + "quic/internal/core", Imports: []string{module + "quic"}},
		{ImportPath: module + "quic", Imports: []string{module + "tlsprovider/s2n"}},
		{ImportPath: module + "quic", Imports: []string{module + "quic/debug"}},
		{ImportPath: module + "quic", Imports: []string{module + "http3"}},
		{ImportPath: module + "internal/qpack", Imports: []string{module + "quic"}},
		{ImportPath: module + "http3/internal/frame", Imports: []string{module + "http3"}},
		{ImportPath: module + "quic/qlog", Imports: []string{module + "quic/internal/core"}},
		{ImportPath: module + "quic", Imports: []string{module + "cgo/s2n"}},
		{ImportPath: module + "tlsprovider", Imports: []string{module + "tlsprovider/native"}},
		{ImportPath: module + "tlsprovider/native", Imports: []string{module + "tlsprovider/s2n"}},
		{ImportPath: module + "tlsprovider/native", Imports: []string{module + "tlsprovider/tlstest/fake"}},
		{ImportPath: module + "quic", Imports: []string{module + "tlsprovider/tlstest/fake"}},
		{ImportPath: module + "examples/echo", Imports: []string{module + "cgo/awslc"}},
		{ImportPath: module + "examples/echo", Imports: []string{module + "internal/testcert"}},
		{ImportPath: module + "quic", Imports: []string{module + "internal/leaktest"}},
		{ImportPath: module + "tlsprovider/tlstest", Imports: []string{"github.com/stretchr/testify/require"}},
		{ImportPath: module + "cgo/s2n", Imports: []string{module + "tlsprovider"}, TestImports: []string{module + "quic"}},
		{ImportPath: module + "quic", Imports: []string{"crypto/tls"}},
		{ImportPath: module + "quic/internal/wire", Imports: []string{"golang.org/x/crypto/chacha20poly1305"}},
		{ImportPath: module + "quic/internal/core", Imports: []string{"sync"}},
		{ImportPath: module + "quic/internal/core", Imports: []string{"net"}},
		{ImportPath: module + "internal/qpack", Imports: []string{"sync"}},
		{ImportPath: module + "tlsprovider", TestImports: []string{module + "quic"}},
		{ImportPath: module + "quic/internal/core", XTestImports: []string{"C"}},
	} {
		require.NotEmpty(t, violations(&p), "%+v", p)
	}
}

// TestImportsPlantedInTree checks that the listing covers every platform, both values of CGO_ENABLED, each
// tag and the tests. An overlay adds a file that violates the rules.
func TestImportsPlantedInTree(t *testing.T) {
	for _, c := range []struct{ file, constraint, text, goos, cgo, tags string }{
		{"quic/planted.go", "!cgo", `import _ "github.com/pqquic/pqquic/cgo/s2n"`, "linux", "0", ""},
		{"quic/planted.go", "cgo", `import "C"`, "linux", "1", ""},
		{"quic/internal/core/planted.go", "darwin", `import _ "crypto/aes"`, "darwin", "0", ""},
		{"tlsprovider/planted.go", "windows", `import _ "github.com/pqquic/pqquic/quic"`, "windows", "0", ""},
		{"quic/planted.go", "pqquic_fips", `import _ "github.com/pqquic/pqquic/tlsprovider/s2n"`, "linux", "1", "pqquic_fips"},
		{"quic/planted.go", "pqquic_fips4", `import _ "github.com/pqquic/pqquic/tlsprovider/s2n"`, "linux", "1", "pqquic_fips4"},
		{"tlsprovider/planted_test.go", "linux", `import _ "github.com/pqquic/pqquic/quic"`, "linux", "0", ""},
	} {
		dir := t.TempDir()
		name := path.Base(path.Dir(c.file))
		source, overlay := filepath.Join(dir, "planted.go"), filepath.Join(dir, "overlay.json")
		require.NoError(t, os.WriteFile(source, []byte("//go:build "+c.constraint+"\n\npackage "+name+"\n\n"+c.text+"\n"), 0o600))
		at, err := filepath.Abs(c.file)
		require.NoError(t, err)
		b, err := json.Marshal(map[string]any{"Replace": map[string]string{at: source}})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(overlay, b, 0o600))
		var found []string
		for _, p := range list(t, []string{"GOOS=" + c.goos, "CGO_ENABLED=" + c.cgo}, "-overlay", overlay, "-tags", c.tags, "./...") {
			found = append(found, violations(p)...)
		}
		require.NotEmpty(t, found, "%+v", c)
	}
}

// TestRequirementsAreFew checks the list of modules that every user has to download.
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
			require.Contains(t, []string{"golang.org/x/sys", "golang.org/x/crypto", "golang.org/x/net", "github.com/stretchr/testify"}, r.Path)
		}
	}
}

// TestFilesStaySmall checks that files have at most 600 lines of code, or 900 of tests.
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

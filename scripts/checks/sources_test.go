//go:build checks

package checks

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A pinned crate is one line of third_party/pins.
type pinned struct{ variant, crate, version, sum, tree string }

func pins(t *testing.T) (out []pinned) {
	t.Helper()
	text, err := os.ReadFile("../../third_party/pins")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); !strings.HasPrefix(line, "#") {
			require.Len(t, f, 5, line)
			out = append(out, pinned{f[0], f[1], f[2], f[3], f[4]})
		}
	}
	return out
}

// TestTreesOfPinnedCrates checks that the source tree hashes in third_party/pins are those of the crates with the
// pinned checksums. cargo keeps downloaded crates. Those of default and fips must be there.
func TestTreesOfPinnedCrates(t *testing.T) {
	t.Parallel()
	home := os.Getenv("CARGO_HOME")
	if home == "" {
		dir, err := os.UserHomeDir()
		require.NoError(t, err)
		home = filepath.Join(dir, ".cargo")
	}
	for _, p := range pins(t) {
		name := p.crate + "-" + p.version
		found, err := filepath.Glob(filepath.Join(home, "registry/cache/*", name+".crate"))
		require.NoError(t, err)
		if p.variant != "default" && p.variant != "fips" && (len(found) == 0 || os.Getenv("PQQUIC_CHECK_FIPS4") == "") {
			continue // only make test-all builds the others; another test may be downloading one
		}
		require.NotEmpty(t, found, "cargo has no %s", name)
		crate, err := os.ReadFile(found[0])
		require.NoError(t, err)
		sum := sha256.Sum256(crate)
		require.Equal(t, p.sum, hex.EncodeToString(sum[:]), name)
		require.Equal(t, p.tree, treeOf(t, name, crate), name)
	}
}

// treeOf computes the hash of scripts/unpack --tree from the crate.
func treeOf(t *testing.T, name string, crate []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(crate))
	require.NoError(t, err)
	sums := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		file, base := strings.TrimPrefix(h.Name, name+"/"), path.Base(h.Name)
		top, _, _ := strings.Cut(file, "/")
		if top != "lib" && top != "aws-lc" || strings.HasPrefix(base, ".git") || path.Ext(base) == ".orig" || path.Ext(base) == ".rej" {
			continue
		}
		sum := sha256.New()
		_, err = io.Copy(sum, r)
		require.NoError(t, err)
		sums[file] = hex.EncodeToString(sum.Sum(nil))
	}
	files := make([]string, 0, len(sums))
	for f := range sums {
		files = append(files, f)
	}
	slices.Sort(files)
	tree := sha256.New()
	for _, f := range files {
		fmt.Fprintf(tree, "%s  %s\n", sums[f], f)
	}
	return hex.EncodeToString(tree.Sum(nil))
}

// TestObjectsAreHardened checks that our objects are compiled with the stack protector and with checked string
// functions, and contain no path of the machine that built them. It needs a built default variant.
func TestObjectsAreHardened(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	objects, err := filepath.Glob(filepath.Join(root, "build/out", runtime.GOOS+"_"+runtime.GOARCH,
		"default/cmake/CMakeFiles/shim.dir/cgo/c/*.o"))
	require.NoError(t, err)
	require.NotEmpty(t, objects, "build the default variant first")
	undefined := map[string]bool{}
	for _, name := range objects {
		f, err := elf.Open(name)
		require.NoError(t, err)
		symbols, err := f.Symbols()
		require.NoError(t, err)
		for _, s := range symbols {
			if s.Section == elf.SHN_UNDEF {
				undefined[s.Name] = true
			}
		}
		for _, section := range f.Sections {
			if b, err := section.Data(); err == nil && section.Type != elf.SHT_NOBITS {
				require.NotContains(t, string(b), root, "%s, %s", name, section.Name)
			}
		}
		require.NoError(t, f.Close())
	}
	require.True(t, undefined["__stack_chk_fail"], "no function has the stack protector")
	require.True(t, undefined["__snprintf_chk"] || undefined["__memcpy_chk"], "no call is checked")
}

// TestGoEnvironmentOfFIPSBuild checks that a developer's settings for Go do not reach the Go programs of a FIPS
// module's build. A script in place of go records the environment of its first call, by AWS-LC's configuration.
func TestGoEnvironmentOfFIPSBuild(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := t.TempDir()
	realGo, err := exec.LookPath("go")
	require.NoError(t, err)
	script := fmt.Sprintf("#!/bin/sh\nenv >'%s/env'\nexec '%s' \"$@\"\n", dir, realGo)
	require.NoError(t, os.WriteFile(dir+"/go", []byte(script), 0o755))
	source := map[string]string{}
	for _, p := range pins(t) {
		if p.variant == "fips" {
			source[p.crate] = filepath.Join(root, "build/out/src", p.crate+"-"+p.version)
		}
	}
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "cmake", args...)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "GOFLAGS=-nonesuch", "GOTOOLCHAIN=go1.1",
			"GOWORK=/nonesuch", "GOENV=/nonesuch", "GOEXPERIMENT=nonesuch", "GOFIPS140=nonesuch", "GOOS=plan9")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	run("-S", root, "-B", dir+"/build", "-G", "Ninja", "-DVARIANT=fips", "-DS2N_TLS_SOURCE_DIR="+source["s2n-tls-sys"]+"/lib",
		"-DAWS_LC_SOURCE_DIR="+source["aws-lc-fips-sys"]+"/aws-lc")
	run("--build", dir+"/build", "--target", "awslc-prefix/src/awslc-stamp/awslc-configure")
	env, err := os.ReadFile(dir + "/env")
	require.NoError(t, err, "go was not called")
	got := map[string]string{}
	for line := range strings.Lines(string(env)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), "="); strings.HasPrefix(name, "GO") {
			got[name] = value
		}
	}
	for name, want := range map[string]string{"GOENV": "off", "GOWORK": "off", "GOFLAGS": "-buildvcs=false",
		"GOTOOLCHAIN": "local", "GOPROXY": "off"} {
		require.Equal(t, want, got[name], name)
	}
	for _, name := range []string{"GOOS", "GOARCH", "GOEXPERIMENT", "GOFIPS140", "GODEBUG"} {
		require.NotContains(t, got, name)
	}
}

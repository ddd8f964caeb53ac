//go:build checks

package checks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// envOf returns the variables that scripts/env prints in a tree, evaluated by a shell.
func (s *shell) envOf(tree string, variant string) []string {
	s.t.Helper()
	out := s.run("sh", "-c", `eval "$("$0"/scripts/env "$1")" && printf '%s\n%s' "$CGO_CFLAGS" "$CGO_LDFLAGS"`, tree, variant)
	cflags, ldflags, ok := strings.Cut(out, "\n")
	require.True(s.t, ok, out)
	return []string{"CGO_CFLAGS=" + cflags, "CGO_LDFLAGS=" + ldflags}
}

// TestLinkModes checks that the FIPS module's self-test, which hashes the program's own bytes, passes in every link
// mode, and that a program refuses to start with the library of another variant.
func TestLinkModes(t *testing.T) {
	t.Parallel()
	variants := []string{"fips"}
	if os.Getenv("PQQUIC_CHECK_FIPS4") != "" {
		variants = append(variants, "fips4")
	}
	for _, v := range variants {
		built(t, v)
		tags := "-tags=pqquic_" + v
		for _, mode := range []struct{ name, flags string }{
			{"plain", tags},
			{"stripped", tags + " '-ldflags=-s -w'"},
			{"PIE", tags + " -buildmode=pie"},
			{"race", tags + " -race"},
			// A static glibc has no usable getaddrinfo, so netgo selects Go's own resolver.
			{"static", tags + ",netgo,osusergo -ldflags=-extldflags=-static"},
		} {
			t.Run(v+" "+mode.name, func(t *testing.T) {
				p := in(t, root, "GOFLAGS="+mode.flags).buildPair()
				if mode.name == "stripped" {
					p.run("strip", p.server, p.client)
				}
				require.True(t, p.connect().FIPS)
			})
		}
		t.Run(v+" tag, default library", func(t *testing.T) {
			built(t, "default")
			tree, bin := filepath.Join(t.TempDir(), "tree"), t.TempDir()
			copyTree(t, tree)
			s := in(t, tree)
			s = s.with(s.envOf(root, "default")...)
			s.run("go", "build", "-tags", "pqquic_"+v, "-o", bin, "./examples/post-quantum/pq_client")
			s.mustFail("requires AWS-LC's FIPS module", bin+"/pq_client", "--provider", "s2n", "--connect", "127.0.0.1:9")
		})
	}
}

// TestTwoOpenSSLs builds a program with a second cgo package that uses the system's OpenSSL. Each package must use
// its own library.
func TestTwoOpenSSLs(t *testing.T) {
	t.Parallel()
	built(t, "default")
	work := t.TempDir()
	copyTree(t, work+"/tree")
	user := work + "/user"
	write(t, user+"/go.mod", `module example.test/user

go 1.26.0

require github.com/pqquic/pqquic v0.0.0

replace github.com/pqquic/pqquic => ../tree
`)
	write(t, user+"/go.sum", read(t, root+"/go.sum"))
	write(t, user+"/main.go", read(t, "testdata/user.go.txt"))
	write(t, user+"/system/openssl.go", read(t, "testdata/openssl.go.txt"))
	write(t, user+"/second.go", "package main\n\nimport \"example.test/user/system\"\n\nfunc init() { system.Check() }\n")
	s := in(t, user)
	s.run("go", "mod", "tidy")
	s = s.with(s.envOf(root, "default")...)
	s.run("go", "build", "-o", "user", ".")
	out := s.run("./user", "s2n")
	require.Contains(t, out, "group X25519MLKEM768 provider s2n")
	require.Contains(t, out, "system: OpenSSL 3")
	// The symbols of AWS-LC are local, so the linker must use the system's library for the other package.
	require.Contains(t, s.run("ldd", "user"), "libcrypto", "the second package does not use the system's library")
	for line := range strings.Lines(s.run("nm", "user")) {
		f := strings.Fields(line)
		if len(f) != 3 || f[1] != "T" && f[1] != "D" {
			continue
		}
		for _, prefix := range []string{"EVP_", "SSL_", "CRYPTO_", "s2n_"} {
			require.False(t, strings.HasPrefix(f[2], prefix), "%s is global", f[2])
		}
	}
}

// TestSpaces builds in a checkout whose path contains spaces. s2n-tls cannot be built there, and the error must
// say so. Libraries in such folders can be linked, also with scripts/env.
func TestSpaces(t *testing.T) {
	t.Parallel()
	cmake := built(t, "default")
	work := t.TempDir()
	tree, installation := work+"/a tree", work+"/an installation"
	copyTree(t, tree)
	for _, lib := range []string{"awslc", "s2n"} {
		for _, dir := range []string{"include", "lib"} {
			copyDir(t, filepath.Join(cmake, lib, dir), filepath.Join(installation, dir))
		}
	}
	s := in(t, tree)
	s.mustFail("do not support spaces in paths", "scripts/build")
	s.with("AWS_LC_DIR="+installation, "S2N_TLS_DIR="+installation).run("scripts/build")
	for _, args := range [][]string{{"./cgo/..."}, {"./tlsprovider/s2n", "-run", "TestKeys|TestWithCryptoTLS"}} {
		s.with("PQQUIC_REQUIRE_LINKED=1").run(append([]string{"go", "test", "-vet=off", "-short", "-count=1"}, args...)...)
	}
	s.with("AWS_LC_DIR="+installation, "S2N_TLS_DIR="+installation).run("make", "ctest")
	linked, err := filepath.Glob(tree + "/cgo/*/zlinked_default_*.go")
	require.NoError(t, err)
	for _, f := range linked {
		require.NoError(t, os.Remove(f))
	}
	require.Equal(t, "X25519MLKEM768", s.with(s.envOf(tree, "default")...).buildPair().connect().Group)
}

// TestNothingBuilt checks that everything compiles without the C library, and that the errors explain how to build
// it.
func TestNothingBuilt(t *testing.T) {
	t.Parallel()
	tree := t.TempDir() + "/tree"
	copyTree(t, tree)
	for _, cgo := range []string{"0", "1"} {
		s := in(t, tree, "CGO_ENABLED="+cgo)
		s.run("go", "build", "./...") // scripts/test tests all of it without cgo
		s.run("go", "test", "-vet=off", "-short", "./quic/internal/wire", "./tlsprovider/native")
		s.run("go", "build", "-o", "pq_client", "./examples/post-quantum/pq_client")
		s.mustFail("make build", "./pq_client", "--provider", "s2n")
		for _, tag := range []string{"pqquic_fips", "pqquic_fips4", "pqquic_openssl", "pqquic_historic", "pqquic_s2n"} {
			// With these tags the compiler reports a missing library.
			out, err := s.try("go", "build", "-tags", tag, "./examples/post-quantum/pq_client")
			require.Error(t, err, "CGO_ENABLED=%s -tags %s", cgo, tag)
			want := "make build"
			if cgo == "0" {
				want = "CGO_ENABLED"
			}
			require.Contains(t, out, want, "CGO_ENABLED=%s -tags %s", cgo, tag)
		}
	}
}

// TestCopiedCheckout builds in a checkout that was copied with its build folder, as `cp -r` and container images do.
// CMake's cache in the copy contains the path of the original.
func TestCopiedCheckout(t *testing.T) {
	t.Parallel()
	c := newBuildTree(t)
	original := outDir(root, "default")
	require.NoError(t, os.MkdirAll(filepath.Dir(c.out), 0o755))
	out, err := exec.Command("cp", "-a", original, c.out).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Remove(c.out+"/libpqquic.a"))
	c.mustPrint("another folder", "scripts/build")
	c.with("PQQUIC_REQUIRE_LINKED=1").run("go", "test", "-vet=off", "-count=1", "./cgo/awslc", "-run", "TestLibrary")
	require.NotContains(t, c.envOf(c.dir, "default")[1], root)
	require.NotContains(t, read(t, c.out+"/cmake/libraries.txt"), original+"/cmake/s2n", "the original's s2n-tls is linked")
}

//go:build checks

package checks

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A buildTree is a copy of the repository in which the default variant is built with the AWS-LC of the repository's
// own build.
type buildTree struct {
	*shell
	out string
}

func newBuildTree(t *testing.T) *buildTree {
	awslc := built(t, "default") + "/awslc"
	tree := filepath.Join(t.TempDir(), "tree")
	copyTree(t, tree)
	return &buildTree{in(t, tree, "AWS_LC_DIR="+awslc), outDir(tree, "default")}
}

func (b *buildTree) build(args ...string) {
	b.t.Helper()
	b.run(append([]string{"scripts/build"}, args...)...)
}

// archive returns the hash of the archive.
func (b *buildTree) archive() [32]byte {
	return sha256.Sum256([]byte(read(b.t, b.out+"/libpqquic.a")))
}

// linked returns the hash of the archive and of the Go file that links it.
func (b *buildTree) linked() [32]byte {
	return sha256.Sum256([]byte(read(b.t, b.out+"/libpqquic.a") + read(b.t, b.dir+"/cgo/s2n/zlinked_default_"+platform+".go")))
}

// goBuildID returns an ID that changes if Go would compile or link the provider again.
func (b *buildTree) goBuildID() string {
	return b.run("go", "list", "-export", "-f", "{{.BuildID}}", "./tlsprovider/s2n")
}

// compiledSince returns the number of object files of our C that are newer than mark.
func (b *buildTree) compiledSince(mark time.Time) (n int) {
	require.NoError(b.t, filepath.WalkDir(b.out+"/cmake/CMakeFiles/shim.dir", func(path string, d fs.DirEntry, err error) error {
		require.NoError(b.t, err)
		if info, err := d.Info(); err == nil && filepath.Ext(path) == ".o" && info.ModTime().After(mark) {
			n++
		}
		return nil
	}))
	return n
}

// mark returns the current time of the file system's clock. Files that are written later are newer.
func (b *buildTree) mark() time.Time {
	b.t.Helper()
	name := filepath.Join(b.t.TempDir(), "mark")
	write(b.t, name, "")
	info, err := os.Stat(name)
	require.NoError(b.t, err)
	return info.ModTime()
}

// s2nSources returns the name of the pinned s2n-tls's folder below build/out/src.
func s2nSources(t *testing.T) string {
	for _, p := range pins(t) {
		if p.variant == "default" && p.crate == "s2n-tls-sys" {
			return p.crate + "-" + p.version
		}
	}
	require.Fail(t, "third_party/pins has no s2n-tls-sys")
	return ""
}

// TestRebuild checks that a build compiles nothing if nothing has changed, and that the build and Go detect a changed
// file, option or source.
func TestRebuild(t *testing.T) {
	t.Parallel()
	b := newBuildTree(t)
	b.build()
	first, id, mark := b.linked(), b.goBuildID(), b.mark()
	b.build()
	require.Zero(t, b.compiledSince(mark), "compiled with nothing changed")
	for _, f := range []string{b.out + "/libpqquic.a", b.dir + "/cgo/s2n/zlinked_default_" + platform + ".go"} {
		info, err := os.Stat(f)
		require.NoError(t, err)
		require.False(t, info.ModTime().After(mark), "%s was written with nothing changed", f)
	}
	require.Equal(t, id, b.goBuildID(), "Go builds again with nothing changed")

	file := b.dir + "/cgo/c/pqq_hkdf.c"
	write(t, file, read(t, file)+"\nint pqq_changed(void); int pqq_changed(void) { return 1; }\n")
	mark = b.mark()
	b.build()
	require.Equal(t, 1, b.compiledSince(mark), "one file changed")
	require.NotEqual(t, first, b.linked())
	require.NotEqual(t, id, b.goBuildID(), "Go does not detect the changed archive")

	mark = b.mark()
	for _, c := range []struct{ file, old, new string }{
		{"cgo/c/internal.h", "#define PQQ_MAX_SECRET PQQ_MAX_HASH", "#define PQQ_MAX_SECRET 64"},
		{"cgo/c/include/pqquic.h", "#define PQQ_VERSION_2 0x6b3343cfu", "#define PQQ_VERSION_2 0x6b3343d0u"},
		{"build/Policies.cmake", "cipher_preferences_cloudfront_tls_1_2_2019", "cipher_preferences_20190801"},
	} {
		was, id := b.linked(), b.goBuildID()
		saved := read(t, b.dir+"/"+c.file)
		edit(t, b.dir+"/"+c.file, c.old, c.new)
		b.build()
		require.NotEqual(t, was, b.linked(), "a change of %s is not detected", c.file)
		require.NotEqual(t, id, b.goBuildID(), "Go does not detect a change of %s", c.file)
		require.Greater(t, b.compiledSince(mark), 5, "few files were compiled for %s", c.file)
		if strings.HasPrefix(c.file, "build/") {
			write(t, b.dir+"/"+c.file, saved)
		}
	}
	b.rebuildSources()
	b.rebuildOptions()
}

// rebuildSources builds with other sources of s2n-tls and then with the pinned ones again. All files have the date of
// files in crates, so that objects of the other sources look up to date.
func (b *buildTree) rebuildSources() {
	t, other := b.t, filepath.Join(b.t.TempDir(), "s2n")
	copyDir(t, filepath.Join(b.dir, "build/out/src", s2nSources(t), "lib"), other)
	edit(t, other+"/error/s2n_errno.c", `"Bad message encountered"`, `"Bad message, planted"`)
	makeOld(t, other)
	b.build("default", "-DS2N_TLS_SOURCE_DIR="+other)
	require.Contains(t, read(t, b.out+"/libpqquic.a"), "Bad message, planted", "other sources are not built")
	edit(t, other+"/error/s2n_errno.c", `"Bad message, planted"`, `"Bad message, edited"`)
	b.build("default", "-DS2N_TLS_SOURCE_DIR="+other)
	require.Contains(t, read(t, b.out+"/libpqquic.a"), "Bad message, edited", "an edited source is not built")
	b.build()
	require.NotContains(t, read(t, b.out+"/libpqquic.a"), "Bad message, edited", "the other s2n-tls is still linked")
}

// makeOld sets the dates of all files to that of files in crates.
func makeOld(t *testing.T, dir string) {
	date := time.Date(2006, 7, 24, 1, 21, 28, 0, time.UTC)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		return os.Chtimes(path, date, date)
	}))
}

func (b *buildTree) rebuildOptions() {
	t := b.t
	was := b.linked()
	b.build("default", "-DPQ_DEFAULT_POLICY=OFF")
	require.NotEqual(t, was, b.linked(), "the option has no effect")
	b.with("PQQUIC_TEST_CLASSICAL_DEFAULT=1", "PQQUIC_REQUIRE_LINKED=1").
		run("go", "test", "-vet=off", "./tlsprovider/s2n", "-run", "TestDefaultTLS13Policy")
	b.build()
	require.Equal(t, was, b.linked(), "the option is still in effect")
}

// TestRebuildAWSLC builds with other sources of AWS-LC. Two small libraries replace AWS-LC.
func TestRebuildAWSLC(t *testing.T) {
	t.Parallel()
	prefix := built(t, "default") + "/awslc"
	work := t.TempDir()
	s := in(t, root)
	pinned := filepath.Join(root, "build/out/src", s2nSources(t), "lib")
	for _, v := range []string{"one", "two"} {
		dir := filepath.Join(work, v)
		write(t, dir+"/include/openssl/base.h", read(t, prefix+"/include/openssl/base.h"))
		write(t, dir+"/version.c", "int version_"+v+"(void); int version_"+v+"(void) { return 0; }\n")
		write(t, dir+"/CMakeLists.txt", `cmake_minimum_required(VERSION 3.20)
project(stand_in C)
add_library(crypto version.c)
install(TARGETS crypto)
`)
		makeOld(t, dir)
		s.run("cmake", "-S", ".", "-B", work+"/cmake", "-DAWS_LC_SOURCE_DIR="+dir, "-DS2N_TLS_SOURCE_DIR="+pinned, "-DAWS_LC_DIR=")
		s.run("cmake", "--build", work+"/cmake", "--target", "awslc")
		require.Contains(t, s.run("nm", work+"/cmake/awslc/lib/libcrypto.a"), "version_"+v)
	}
}

// TestPins checks that sources other than the pinned ones are refused: after the download, by the crate's checksum
// and the tree's hash, and at each build.
func TestPins(t *testing.T) {
	t.Parallel()
	b := newBuildTree(t)
	src, s2n := b.dir+"/build/out/src", s2nSources(t)
	require.NoError(t, os.Remove(src))
	require.NoError(t, os.Mkdir(src, 0o755))
	unpacked := func() (names []string) {
		entries, err := os.ReadDir(src)
		require.NoError(t, err)
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".") {
				names = append(names, e.Name())
			}
		}
		return names
	}
	var pin pinned
	for _, p := range pins(t) {
		if p.variant == "default" && p.crate == "s2n-tls-sys" {
			pin = p
		}
	}
	file := b.dir + "/third_party/pins"
	right := read(t, file)
	for _, hash := range []string{pin.sum, pin.tree} {
		write(t, file, strings.ReplaceAll(right, hash, strings.Repeat("0", 64)))
		b.mustFail("third_party/pins says 0000", "scripts/build")
		require.Empty(t, unpacked(), "a refused crate leaves files")
	}
	write(t, file, right)
	write(t, src+"/tmp.killed/vendor/file", "") // as a killed run would leave it
	b.run("scripts/unpack", "default", "s2n-tls-sys")
	require.Equal(t, []string{s2n}, unpacked(), "other files than the crate are left")

	changed := src + "/" + s2n + "/lib/tls/s2n_kem.c"
	text := read(t, changed)
	write(t, changed, text+"/* changed */\n")
	b.mustFail("are not those of third_party/pins; remove the folder and build again unpack: changed: lib/tls/s2n_kem.c", "scripts/build")
	write(t, changed, text)
	b.run("scripts/unpack", "default", "s2n-tls-sys")
	write(t, filepath.Dir(changed)+"/added.c", "")
	b.mustFail("unpack: changed: lib/tls/added.c", "scripts/build")
}

// TestWrongProcessor checks that the archive is not built for another processor than Go programs.
func TestWrongProcessor(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	copyTree(t, tree)
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	if other == "" {
		t.Skip("scripts/build knows the compilers for amd64 and arm64 only")
	}
	in(t, tree, "GOARCH="+other).mustFail("but GOARCH is "+other, "scripts/build")
	require.NoDirExists(t, outDir(tree, "default"))
}

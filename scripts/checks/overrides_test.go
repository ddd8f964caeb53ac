//go:build checks

package checks

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// overrides is a copy of the tree and an installed s2n-tls in another folder. That s2n-tls has a classical default
// policy, so that a test can distinguish it from the one that the tree builds.
type overrides struct {
	*buildTree
	work, awslc string
}

// newOverrides builds that s2n-tls with the AWS-LC of the repository.
func newOverrides(t *testing.T) *overrides {
	b := newBuildTree(t)
	o := &overrides{b, t.TempDir(), built(t, "default") + "/awslc"}
	b.build("default", "-DPQ_DEFAULT_POLICY=OFF")
	require.NoError(t, os.Rename(b.out+"/cmake/s2n", o.work+"/s2n"))
	b.forget()
	b.shell = in(t, b.dir, "PQQUIC_REQUIRE_LINKED=1")
	return o
}

const classicalDefault = "PQQUIC_TEST_CLASSICAL_DEFAULT=1"

// TestOverrides checks that the libraries in S2N_TLS_DIR, in S2N_TLS_LIB_DIR with S2N_TLS_INCLUDE_DIR, and in
// AWS_LC_DIR are linked, and that the error for a folder that lacks a file names the folder.
func TestOverrides(t *testing.T) {
	t.Parallel()
	o := newOverrides(t)
	multiarch := strings.TrimSpace(o.run("gcc", "-print-multiarch"))
	for _, layout := range []struct{ dir, lib string }{{"lib64", "lib64"}, {"multiarch", "lib/" + multiarch}} {
		copyDir(t, o.work+"/s2n/include", filepath.Join(o.work, layout.dir, "include"))
		copyDir(t, o.work+"/s2n/lib", filepath.Join(o.work, layout.dir, layout.lib))
	}
	relative, err := filepath.Rel(o.dir, o.work+"/multiarch")
	require.NoError(t, err)
	o.links("s2n/lib", "S2N_TLS_DIR="+o.work+"/s2n")
	o.links("lib64/lib64", "S2N_TLS_DIR="+o.work+"/lib64")
	o.links("multiarch/lib/"+multiarch, "S2N_TLS_DIR="+relative)
	o.links("s2n/lib", "S2N_TLS_LIB_DIR="+o.work+"/s2n/lib", "S2N_TLS_INCLUDE_DIR="+o.work+"/s2n/include")
	o.works()
	_, err = o.try("go", "test", "-vet=off", "./tlsprovider/s2n", "-count=1", "-run", "TestDefaultTLS13Policy")
	require.Error(t, err, "the post-quantum library was linked instead of the classical one")
	o.shared()
	o.versions()
	o.mismatched()
	o.refused()
}

// links builds with the variables and checks that the classical s2n-tls in lib is linked.
func (o *overrides) links(lib string, env ...string) {
	t := o.t
	require.NoError(t, removeIfThere(o.out+"/cmake/CMakeCache.txt"))
	o.with(append(env, "AWS_LC_DIR="+o.awslc)...).run("scripts/build", "default")
	var rules []byte
	for _, name := range []string{"build.ninja", "CMakeFiles/pqquic.dir/build.make"} {
		b, _ := os.ReadFile(filepath.Join(o.out, "cmake", name))
		rules = append(rules, b...)
	}
	require.Contains(t, string(rules), filepath.Join(o.work, lib, "libs2n.a"), "%v is not linked", env)
	require.NoDirExists(t, o.out+"/cmake/s2n-build", "%v: s2n-tls was built although it is not used", env)
}

// works checks that the classical s2n-tls is linked and that the provider works with it.
func (o *overrides) works() {
	t := o.t
	o.with(classicalDefault).run("go", "test", "-vet=off", "./tlsprovider/s2n", "-count=1", "-run", "TestDefaultTLS13Policy")
	// The provider sets its own post-quantum policy. A client with the library's default policy is classical, also
	// with a server that accepts the hybrid.
	p := o.buildPair()
	require.Equal(t, "X25519MLKEM768", p.connect().Group)
	require.Equal(t, "P-256", p.connect("--policy", "default_tls13").Group)
}

func removeIfThere(name string) error {
	if err := os.Remove(name); !os.IsNotExist(err) {
		return err
	}
	return nil
}

// shared checks that shared libraries are not joined to the archive, and that programs load them from the given
// folders.
func (o *overrides) shared() {
	t, dir := o.t, o.work+"/shared"
	copyDir(t, o.work+"/s2n/include", dir+"/include")
	copyDir(t, o.awslc+"/include/openssl", dir+"/include/openssl")
	require.NoError(t, os.Mkdir(dir+"/lib", 0o755))
	whole := func(name, archive string, more ...string) {
		o.run(append([]string{"gcc", "-shared", "-o", dir + "/lib/" + name, "-Wl,-soname," + name,
			"-Wl,--whole-archive", archive, "-Wl,--no-whole-archive"}, more...)...)
	}
	whole("libcrypto.so", o.awslc+"/lib/libcrypto.a", "-lpthread")
	whole("libs2n.so", o.work+"/s2n/lib/libs2n.a", "-L"+dir+"/lib", "-lcrypto", "-lpthread")
	o.with("AWS_LC_DIR="+dir, "S2N_TLS_DIR="+dir).run("scripts/build")
	o.works()
	p := o.buildPair()
	for _, lib := range []string{"s2n", "crypto"} {
		o.mustPrint("lib"+lib+".so => "+dir+"/lib/lib"+lib+".so", "ldd", p.client)
	}

	// A shared AWS-LC does not work together with the system's OpenSSL, because both define the same symbols. The
	// program prints a warning when it is loaded, and s2n.New returns an error.
	write(t, o.dir+"/examples/clash/main.go", read(t, "testdata/clash.go.txt"))
	o.run("go", "build", "-o", o.work+"/clash", "./examples/clash")
	out := o.run(o.work + "/clash")
	require.Contains(t, out, "pqquic: warning: two libraries define the symbols of libcrypto")
	require.Contains(t, out, "3 awslc: two libraries define the symbols of libcrypto")
	require.NoError(t, os.RemoveAll(o.dir+"/examples/clash"))
	o.with("S2N_TLS_DIR="+dir, "AWS_LC_DIR="+o.awslc).mustFail("cannot use a static AWS-LC", "scripts/build")
}

// versions checks that the build refuses headers and libraries of different versions, an AWS-LC that is too old, and
// an s2n-tls that is too old.
func (o *overrides) versions() {
	t, dir := o.t, o.work+"/versions"
	copyDir(t, o.awslc+"/include", dir+"/include")
	copyDir(t, o.awslc+"/lib", dir+"/lib")
	base := dir + "/include/openssl/base.h"
	line := regexp.MustCompile(`#define AWSLC_VERSION_NUMBER_STRING "(.*)"`)
	version := line.FindStringSubmatch(read(t, base))[1]
	header := func(v string) {
		write(t, base, line.ReplaceAllString(read(t, base), `#define AWSLC_VERSION_NUMBER_STRING "`+v+`"`))
	}
	header("5.0.99")
	o.refusesToBuild("compiled for AWS-LC 5.0.99, but linked with \"AWS-LC "+version+"\"", "AWS_LC_DIR="+dir, "S2N_TLS_DIR="+o.work+"/s2n")
	old := regexp.MustCompile("[1-9]").ReplaceAllString(version, "1") // has the same length
	header(old)
	replaceBytes(t, dir+"/lib/libcrypto.a", "AWS-LC "+version, "AWS-LC "+old)
	o.refusesToBuild("\"AWS-LC "+old+"\" is linked, but version 5.0 or newer is needed", "AWS_LC_DIR="+dir, "S2N_TLS_DIR="+o.work+"/s2n")
	copyDir(t, o.work+"/s2n", o.work+"/old")
	replaceBytes(t, o.work+"/old/lib/libs2n.a", "default_pq\x00", "default_zz\x00")
	o.refusesToBuild(`the linked s2n-tls is too old: it has no policy "default_pq"`,
		"AWS_LC_DIR="+o.awslc, "S2N_TLS_DIR="+o.work+"/old")
}

// refusesToBuild checks that the build fails when it runs the linked program, and that it leaves no archive.
func (o *overrides) refusesToBuild(text string, env ...string) {
	require.NoError(o.t, removeIfThere(o.out+"/libpqquic.a"))
	o.with(env...).mustFail(text, "scripts/build")
	require.NoFileExists(o.t, o.out+"/libpqquic.a", "an archive that does not work has its final name")
}

// mismatched checks that the build refuses libraries of different releases, as far as it can detect them: by a
// missing symbol, by AWS-LC's interface number, or by s2n-tls's headers.
func (o *overrides) mismatched() {
	t, s2n := o.t, o.work+"/s2n"
	fips := built(t, "fips")
	awslc := "AWS_LC_DIR=" + o.awslc
	o.with("S2N_TLS_DIR="+s2n, "AWS_LC_DIR="+fips+"/awslc").mustFail("undefined reference to", "scripts/build")
	o.with("S2N_TLS_DIR="+fips+"/s2n", awslc).mustFail("the linked s2n-tls was compiled for another libcrypto", "scripts/build")
	copyDir(t, s2n, o.work+"/newer")
	header := o.work + "/newer/include/s2n.h"
	write(t, header, read(t, header)+"/* newer */\n")
	o.with("S2N_TLS_DIR="+o.work+"/newer", awslc).mustFail("Set the sources of your s2n-tls", "scripts/build")
	copyDir(t, s2n, o.work+"/lacks")
	o.run("objcopy", "--redefine-sym", "s2n_connection_enable_quic=s2n_other", o.work+"/lacks/lib/libs2n.a")
	o.with("S2N_TLS_DIR="+o.work+"/lacks", awslc).mustFail("has no s2n_connection_enable_quic, which", "scripts/build")

	// A FIPS build of AWS-LC works in the default variant, but FIPS mode is not reported.
	o.with("AWS_LC_DIR="+fips+"/awslc", "S2N_TLS_DIR="+fips+"/s2n").run("scripts/build")
	require.False(t, o.buildPair().connect().FIPS)
}

// replaceBytes replaces old by new, which has the same length, in a binary file.
func replaceBytes(t *testing.T, name, old, new string) {
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Contains(t, string(b), old)
	require.Len(t, new, len(old))
	require.NoError(t, os.WriteFile(name, bytes.ReplaceAll(b, []byte(old), []byte(new)), 0o644))
}

// refused checks the errors for folders that lack a file.
func (o *overrides) refused() {
	t, w := o.t, o.work
	require.NoError(t, os.Mkdir(w+"/empty", 0o755))
	copyDir(t, w+"/s2n/include", w+"/headers/include")
	copyDir(t, w+"/s2n/lib", w+"/libs/lib")
	for _, c := range []struct {
		text string
		env  []string
	}{
		{w + "/empty holds neither libs2n.a nor libs2n.so", []string{"S2N_TLS_DIR=" + w + "/empty"}},
		{w + "/headers holds neither libs2n.a", []string{"S2N_TLS_DIR=" + w + "/headers"}},
		{w + "/libs holds no s2n.h", []string{"S2N_TLS_DIR=" + w + "/libs"}},
		{w + "/nonesuch", []string{"S2N_TLS_DIR=" + w + "/nonesuch"}},
		{"go together", []string{"S2N_TLS_LIB_DIR=" + w + "/s2n/lib"}},
		{"go together", []string{"S2N_TLS_INCLUDE_DIR=" + w + "/s2n/include"}},
		{w + "/headers holds neither libs2n.a", []string{"S2N_TLS_LIB_DIR=" + w + "/headers", "S2N_TLS_INCLUDE_DIR=" + w + "/s2n/include"}},
		{w + "/libs holds no s2n.h", []string{"S2N_TLS_LIB_DIR=" + w + "/s2n/lib", "S2N_TLS_INCLUDE_DIR=" + w + "/libs"}},
		{w + "/empty holds neither libcrypto.a nor libcrypto.so", []string{"AWS_LC_DIR=" + w + "/empty"}},
	} {
		o.with(c.env...).mustFail(c.text, "scripts/build")
	}
}

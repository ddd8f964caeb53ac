//go:build checks

package checks

import (
	"debug/elf"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFIPSReport checks that `make fips-report` prints what docs/fips.md contains.
func TestFIPSReport(t *testing.T) {
	t.Parallel()
	built(t, "fips")
	cmd := in(t, root).command("make", "--no-print-directory", "fips-report")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	page := read(t, root+"/docs/fips.md")
	_, page, found := strings.Cut(page, "\n## The report\n")
	require.True(t, found)
	page, _, found = strings.Cut(page, "The output of `make fips-report VARIANT=fips4`")
	require.True(t, found)
	require.Equal(t, rows(page), rows(string(out)), "put the output of make fips-report into docs/fips.md")
}

// rows returns the lines of the tables in a page.
func rows(page string) string {
	var out strings.Builder
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "| ") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// TestReportIsComplete checks that the build of the report finds a function of libcrypto that
// cgo/c/report/services does not name, wherever s2n-tls or our C refers to it.
func TestReportIsComplete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := in(t, dir)
	write(t, dir+"/crypto.c", "int HKDF(void) { return 1; }\nint EVP_new_service(void) { return 1; }\nint RAND_bytes(void) { return 1; }\n")
	write(t, dir+"/called.c", "int HKDF(void);\nint EVP_new_service(void);\nint ours(void) { return HKDF() + EVP_new_service(); }\n")
	write(t, dir+"/pointer.c", "int EVP_new_service(void);\nint (*const methods[])(void) = { EVP_new_service };\n")
	write(t, dir+"/known.c", "int HKDF(void);\nint ours(void) { return HKDF(); }\n")
	for _, name := range []string{"crypto", "called", "pointer", "known"} {
		s.run("cc", "-fPIC", "-c", name+".c")
	}
	s.run("ar", "rcs", "libcrypto.a", "crypto.o")
	report := func(object string) []string {
		return []string{root + "/build/report", "nm", root + "/cgo/c/report/services", dir + "/out", "libcrypto.a", object}
	}
	s.mustFail("calls EVP_new_service, which", report("called.o")...)
	s.mustFail("calls EVP_new_service, which", report("pointer.o")...)
	s.run(report("known.o")...)
	require.Equal(t, "--wrap=HKDF\n--wrap=RAND_bytes\n", read(t, dir+"/out/wrap.opts"),
		"services are wrapped also where only the rest of libcrypto calls them")
}

// moduleBytes returns the code and constants of the FIPS module in a file, which its self-test hashes, and their hash.
func moduleBytes(t *testing.T, file string) []byte {
	t.Helper()
	f, err := elf.Open(file)
	require.NoError(t, err)
	defer f.Close()
	symbols, err := f.Symbols()
	require.NoError(t, err)
	at := make(map[string]elf.Symbol)
	for _, s := range symbols {
		if strings.HasPrefix(s.Name, "BORINGSSL_bcm_text_") {
			at[strings.TrimPrefix(s.Name, "BORINGSSL_bcm_text_")] = s
		}
	}
	require.Len(t, at, 3, "%s has not one module", file)
	section := f.Sections[at["start"].Section]
	data, err := section.Data()
	require.NoError(t, err)
	offset := func(s elf.Symbol) uint64 { return s.Value - section.Addr }
	hash := data[offset(at["hash"]):][:at["hash"].Size]
	return append(data[offset(at["start"]):offset(at["end"]):offset(at["end"])], hash...)
}

// TestModuleBytes checks that neither ld -r and objcopy nor the last link change the FIPS module: its bytes in a
// program, and in the program of the report, are those that AWS-LC's build has hashed.
func TestModuleBytes(t *testing.T) {
	t.Parallel()
	variants := []string{"fips"}
	if os.Getenv("PQQUIC_CHECK_FIPS4") != "" {
		variants = append(variants, "fips4")
	}
	for _, v := range variants {
		cmake := built(t, v)
		want := moduleBytes(t, cmake+"/awslc-build/crypto/fipsmodule/bcm.o")
		require.Greater(t, len(want), 1<<20)
		programs := map[string]string{"plain": "-tags=pqquic_" + v, "PIE": "-tags=pqquic_" + v + " -buildmode=pie"}
		for name, flags := range programs {
			p := in(t, root, "GOFLAGS="+flags).buildPair()
			require.Equal(t, want, moduleBytes(t, p.server), "%s %s", v, name)
		}
		in(t, root).run("make", "--no-print-directory", "fips-report", "VARIANT="+v)
		require.Equal(t, want, moduleBytes(t, filepath.Join(root, "build/out/bin/fipsreport-"+v)))
	}
}

// parsing are the packages that parse a peer's certificate, and check that the point of its public key is on its
// curve. A signature would need others too: those of hashes, bigmod or drbg.
var parsing = []string{"crypto/x509", "crypto/x509/pkix", "crypto/ecdsa", "crypto/elliptic", "crypto/subtle",
	"crypto/internal/constanttime", "crypto/internal/fips140/ecdsa", "crypto/internal/fips140/nistec",
	"crypto/internal/fips140/subtle", "crypto/internal/fips140deps/byteorder", "golang.org/x/crypto/cryptobyte"}

// TestOneModule checks that connections of the s2n provider run no cryptography of Go, and that programs with it contain
// and load no second libcrypto. The native provider runs Go's module alone, also with GODEBUG=fips140=only.
func TestOneModule(t *testing.T) {
	t.Parallel()
	built(t, "fips")
	user := t.TempDir()
	write(t, user+"/go.mod", `module example.test/user

go 1.26.0

require github.com/pqquic/pqquic v0.0.0

replace github.com/pqquic/pqquic => `+root+`
`)
	write(t, user+"/go.sum", read(t, root+"/go.sum"))
	write(t, user+"/main.go", read(t, "testdata/onemodule.go.txt"))
	s := in(t, user)
	s.run("go", "mod", "tidy")
	s.run("go", "build", "-tags", "pqquic_fips", "-cover", "-covermode=atomic",
		"-coverpkg=example.test/user,crypto/...,golang.org/x/crypto/...", "-o", "user", ".")

	ran := s.packagesRun("s2n")
	require.Contains(t, ran, "crypto/x509", "the coverage is empty")
	for _, pkg := range ran {
		require.Contains(t, parsing, pkg, "Go's cryptography took part in a connection of the s2n provider")
	}
	native := s.with("GODEBUG=fips140=only").packagesRun("native")
	for _, pkg := range []string{"crypto/tls", "crypto/internal/fips140/aes/gcm", "crypto/internal/fips140/mlkem"} {
		require.Contains(t, native, pkg)
	}

	f, err := elf.Open(user + "/user")
	require.NoError(t, err)
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	require.NoError(t, err)
	for _, lib := range libraries {
		require.NotRegexp(t, "crypto|ssl", lib)
	}
	symbols, err := f.Symbols()
	require.NoError(t, err)
	copies := make(map[string]int)
	for _, s := range symbols {
		copies[s.Name]++
	}
	for _, name := range []string{"EVP_DigestFinal_ex", "EVP_AEAD_CTX_seal", "RAND_bytes", "s2n_negotiate", "BORINGSSL_self_test"} {
		require.Equal(t, 1, copies[name], name)
	}
}

// packagesRun runs the program of testdata/onemodule.go.txt and returns the packages whose code ran in connections of a
// provider.
func (s *shell) packagesRun(provider string) (out []string) {
	dir := s.t.TempDir()
	s.run("./user", provider, dir)
	profile := filepath.Join(dir, "profile")
	s.run("go", "tool", "covdata", "textfmt", "-i="+dir, "-o="+profile)
	for line := range strings.Lines(read(s.t, profile)) {
		file, _, found := strings.Cut(line, ":")
		pkg := path.Dir(file)
		if !found || strings.HasSuffix(line, " 0\n") || pkg == "." || pkg == "example.test/user" || slices.Contains(out, pkg) {
			continue
		}
		out = append(out, pkg)
	}
	return out
}

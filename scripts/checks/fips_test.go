//go:build checks

package checks

import (
	"debug/elf"
	"os"
	"path/filepath"
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

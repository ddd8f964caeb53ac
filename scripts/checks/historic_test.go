//go:build checks

package checks

import (
	"path/filepath"
	"testing"
)

// TestHistoricNeedsOptimisedCode checks that the build of the variant historic fails if a probe of s2n-tls did not find
// the optimised code of a KEM, whose portable code would be measured without notice.
func TestHistoricNeedsOptimisedCode(t *testing.T) {
	t.Parallel()
	probes := []string{"KYBER512R3_AVX2_BMI2", "BIKE_R3_AVX2", "BIKE_R3_AVX512", "BIKE_R3_PCLMUL", "SIKEP434R3_ASM"}
	s := in(t, root)
	cache := func(failed string) string {
		text := "BIKE_R3_VPCLMUL_SUPPORTED:INTERNAL=FALSE\n"
		for _, p := range probes {
			switch failed {
			case p:
				text += p + "_SUPPORTED:INTERNAL=FALSE\n"
			case p + " is missing":
			default:
				text += p + "_SUPPORTED:INTERNAL=TRUE\n"
			}
		}
		file := filepath.Join(t.TempDir(), "CMakeCache.txt")
		write(t, file, text)
		return "-DCACHE=" + file
	}
	s.run("cmake", cache(""), "-P", "build/Historic.cmake")
	for _, p := range probes {
		s.mustFail("probe for "+p+" failed", "cmake", cache(p), "-P", "build/Historic.cmake")
		s.mustFail("probe for "+p+" failed", "cmake", cache(p+" is missing"), "-P", "build/Historic.cmake")
	}
}

// TestHistoricRefusesInstalledLibraries checks that the variant historic never links another s2n-tls.
func TestHistoricRefusesInstalledLibraries(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"S2N_TLS_DIR", "S2N_TLS_LIB_DIR", "S2N_TLS_INCLUDE_DIR"} {
		in(t, root).mustFail("only with the s2n-tls that it builds: unset it", "cmake", "-S", ".", "-B", t.TempDir(),
			"-DVARIANT=historic", "-D"+name+"=/usr")
	}
}

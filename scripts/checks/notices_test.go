//go:build checks

package checks

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// trimLines removes trailing white space from each line and empty lines at the end.
func trimLines(s string) string {
	return strings.TrimRight(regexp.MustCompile(`(?m)[ \t]+$`).ReplaceAllString(s, ""), "\n")
}

// TestNotices checks that THIRD_PARTY_NOTICES contains, for each variant, the exact licence texts of its sources, and
// that scripts/install installs the notices of the variant.
func TestNotices(t *testing.T) {
	t.Parallel()
	built(t, "default", "fips")
	s := in(t, root)
	for _, variant := range []string{"default", "fips", "fips4", "asan", "openssl", "historic"} {
		s.run("scripts/unpack", variant)
		notices := s.run("scripts/install", "--notices", variant)
		var licences []string
		for _, p := range pins(t) {
			if p.variant != strings.ReplaceAll(variant, "asan", "default") {
				continue
			}
			switch crate := p.crate; {
			case strings.HasPrefix(crate, "aws-lc-"):
				licences = append(licences, read(t, filepath.Join(root, "build/out/src", crate+"-"+p.version, "aws-lc/LICENSE")))
			case crate == "s2n-tls-sys":
				require.Regexp(t, `(?m)^s2n-tls \[`, notices, variant)
			default:
				require.Fail(t, "no notice for "+crate)
			}
		}
		if variant == "openssl" || variant == "historic" { // the system's library is not part of the programs
			require.Empty(t, licences)
			require.NotContains(t, notices, "AWS-LC 5.x [")
			continue
		}
		require.Len(t, licences, 1, variant)
		require.Contains(t, trimLines(notices), trimLines(licences[0]), variant)
		require.Len(t, regexp.MustCompile(`(?m)^AWS-LC.*\[variants: `).FindAllString(notices, -1), 1, variant)
		require.Regexp(t, `(?m)^Copyright .* The Go Authors`, notices, variant)
	}
	prefix := t.TempDir()
	for _, variant := range []string{"default", "fips"} {
		s.run("scripts/install", variant, prefix)
	}
	require.Contains(t, read(t, prefix+"/share/pqquic/THIRD_PARTY_NOTICES-fips"), "OpenSSL License", "FIPS 3.x contains code of OpenSSL")
	require.Equal(t, s.run("scripts/install", "--notices", "default"), read(t, prefix+"/share/pqquic/THIRD_PARTY_NOTICES"))
	s.mustFail(`has no variant "none"`, "scripts/install", "--notices", "none")
}

// TestModuleNotices checks that the programs in cmd contain the licences of all their modules.
func TestModuleNotices(t *testing.T) {
	t.Parallel()
	in(t, root, "GOFLAGS=").run("scripts/notices-cmd", "--check")
	_, err := os.Stat(root + "/cmd/internal/about/notices.txt")
	require.NoError(t, err)
}

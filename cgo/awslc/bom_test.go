package awslc

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A bom holds the fields of CycloneDX 1.5 that scripts/sbom writes. Other fields fail the test.
type bom struct {
	Format      string `json:"bomFormat"`
	SpecVersion string `json:"specVersion"`
	Version     int    `json:"version"`
	Metadata    struct {
		Component component `json:"component"`
	} `json:"metadata"`
	Components []component `json:"components"`
}

type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Group   string `json:"group"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
	Hashes  []struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	} `json:"hashes"`
	Licenses []struct {
		Expression string `json:"expression"`
		License    *struct {
			ID string `json:"id"`
		} `json:"license"`
	} `json:"licenses"`
	Properties []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"properties"`
	References []struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	} `json:"externalReferences"`
}

// TestBillOfMaterials checks that the bill of materials beside the archive lists the linked libraries.
func TestBillOfMaterials(t *testing.T) {
	requireLinked(t)
	variant := Variant
	if variant == "" {
		variant = "default"
	}
	dir := filepath.Join("../../build/out", runtime.GOOS+"_"+runtime.GOARCH, variant)
	text, err := os.ReadFile(filepath.Join(dir, "libpqquic.cdx.json"))
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("PQQUIC_REQUIRE_LINKED") != "1" {
		t.Skip("needs a bill of materials in " + dir + ": run `make build`")
	}
	require.NoError(t, err)
	var b bom
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&b))
	require.Equal(t, []any{"CycloneDX", "1.5", 1}, []any{b.Format, b.SpecVersion, b.Version})

	archive, err := os.ReadFile(filepath.Join(dir, "libpqquic.a"))
	require.NoError(t, err)
	sum := sha256.Sum256(archive)
	main := b.Metadata.Component
	require.Equal(t, "libpqquic.a", main.Name)
	require.Equal(t, hex.EncodeToString(sum[:]), main.Hashes[0].Content)
	require.Equal(t, variant, main.Properties[0].Value)

	info, err := Library()
	require.NoError(t, err)
	require.Len(t, b.Components, 2)
	require.Equal(t, "s2n-tls", b.Components[0].Name)
	require.Equal(t, info.S2N, b.Components[0].Version)
	require.Equal(t, info.Compiled, b.Components[1].Version)
	require.Equal(t, strings.ReplaceAll(info.Crypto, " FIPS", "-FIPS"), b.Components[1].Name+" "+b.Components[1].Version)
	refs := map[string]bool{}
	for _, c := range append(b.Components, main) {
		require.Equal(t, "library", c.Type)
		require.NotEmpty(t, c.Ref)
		require.False(t, refs[c.Ref], "two components are %s", c.Ref)
		refs[c.Ref] = true
		for _, h := range c.Hashes {
			require.Equal(t, "SHA-256", h.Alg)
			require.Regexp(t, "^[0-9a-f]{64}$", h.Content)
		}
		if c.PURL != "" {
			checkPin(t, c)
		}
	}
}

var purl = regexp.MustCompile(`^pkg:cargo/([a-z0-9-]+)@([0-9.]+)$`)

// checkPin compares a component that was built from a crate to third_party/pins.
func checkPin(t *testing.T, c component) {
	t.Helper()
	m := purl.FindStringSubmatch(c.PURL)
	require.NotNil(t, m, c.PURL)
	pins, err := os.ReadFile("../../third_party/pins")
	require.NoError(t, err)
	for line := range strings.Lines(string(pins)) {
		f := strings.Fields(line)
		if len(f) > 4 && f[1] == m[1] && f[2] == m[2] {
			require.Equal(t, f[3], c.Hashes[0].Content)
			require.NotEmpty(t, c.Licenses[0].Expression)
			return
		}
	}
	require.Fail(t, "not pinned", c.PURL)
}

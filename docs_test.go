package pqquic

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mdLink matches the target of a Markdown link or image, without a title.
var mdLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// mdCode matches a span of code, in which brackets are not links.
var mdCode = regexp.MustCompile("`[^`]*`")

// prose returns the lines of a Markdown page with the lines of fenced and indented code blocks made empty.
// List items are not indented by four spaces in this repository.
func prose(page string) []string {
	lines := strings.Split(page, "\n")
	fenced := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence || fenced || strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t") {
			lines[i] = ""
		}
		fenced = fenced != fence
	}
	return lines
}

// anchors returns the anchors that GitHub makes for the headings of a page.
func anchors(page string) (out []string) {
	drop := regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	for _, line := range prose(page) {
		hashes := len(line) - len(strings.TrimLeft(line, "#"))
		if hashes == 0 || hashes > 6 || !strings.HasPrefix(line[hashes:], " ") {
			continue
		}
		text := drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(line[hashes:])), "")
		anchor := strings.ReplaceAll(text, " ", "-")
		base := anchor
		for n := 1; slices.Contains(out, anchor); n++ {
			anchor = fmt.Sprintf("%s-%d", base, n)
		}
		out = append(out, anchor)
	}
	return out
}

// linkFaults lists the relative links of a page that lead nowhere. name is the page's path in fsys.
func linkFaults(fsys fs.FS, name, page string) (faults []string) {
	for i, line := range prose(page) {
		for _, m := range mdLink.FindAllStringSubmatch(mdCode.ReplaceAllString(line, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target, text := name, page
			if file != "" {
				target = path.Join(path.Dir(name), file)
				if _, err := fs.Stat(fsys, target); err != nil {
					faults = append(faults, fmt.Sprintf("line %d: %s does not exist", i+1, m[1]))
					continue
				}
				b, _ := fs.ReadFile(fsys, target) // fails for a directory, which has no anchors
				text = string(b)
			}
			if anchor != "" && !slices.Contains(anchors(text), anchor) {
				faults = append(faults, fmt.Sprintf("line %d: %s has no heading #%s", i+1, target, anchor))
			}
		}
	}
	return faults
}

// TestLinks checks the relative links, with their anchors, in all Markdown files.
func TestLinks(t *testing.T) {
	pages, links := 0, 0
	fsys := os.DirFS(".")
	require.NoError(t, fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || name == "build/out") {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".md" {
			return nil
		}
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		pages++
		links += strings.Count(string(b), "](")
		for _, fault := range linkFaults(fsys, name, string(b)) {
			t.Errorf("%s, %s", name, fault)
		}
		return nil
	}))
	require.Greater(t, pages, 20)
	require.Greater(t, links, 40)
}

// TestArchitectureNamesEveryPackage checks that the table in docs/architecture.md has a row for each package.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	page, err := os.ReadFile("docs/architecture.md")
	require.NoError(t, err)
	// The rows of other folders describe these.
	named := []string{".", "cgo/c/include", "tlsprovider/tlstest/fake", "tlsprovider/tlstest/internal/require"}
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, code := range mdCode.FindAllString(cells[1], -1) {
				named = append(named, strings.Trim(code, "`"))
			}
		}
	}
	files := 0
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "build", "third_party", "examples", "cmd", "bench", "interop", "metrics", "pkcs11key"}, name) {
			return fs.SkipDir // or not packages of this module, or programs
		}
		if dir := path.Dir(name); path.Ext(name) == ".go" {
			files++
			require.Contains(t, named, dir, "%s", name)
		}
		return nil
	}))
	require.Greater(t, files, 300)
}

// TestReadmeNamesTests checks that each test in the README's table of features is in the file that its link names.
func TestReadmeNamesTests(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	links := regexp.MustCompile(`\[(Test\w+)\]\((\S+_test\.go)\)`).FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(links), 30)
	for _, link := range links {
		code, err := os.ReadFile(link[2])
		require.NoError(t, err)
		require.Contains(t, string(code), "func "+link[1]+"(", "%s", link[2])
	}
}

// TestLinksPlanted checks that each kind of fault is found, and that correct links are not faults.
func TestLinksPlanted(t *testing.T) {
	page := func(link string) string {
		return "# A page\n\n## What's *new*: `Config.TLS`?\n\n## Twice\n\n## Twice\n\nsee [this](" + link + ").\n"
	}
	fsys := os.DirFS(".")
	for _, right := range []string{"limits.md", "../README.md", "../quic", "limits.md#memory", "#a-page",
		"#whats-new-configtls", "#twice-1", "https://example.com/none.md", "mailto:a@example.com"} {
		require.Empty(t, linkFaults(fsys, "docs/page.md", page(right)), right)
	}
	for _, wrong := range []string{"none.md", "docs/limits.md", "../docs/none.md#memory", "limits.md#none", "#none", "#twice-2"} {
		require.Len(t, linkFaults(fsys, "docs/page.md", page(wrong)), 1, wrong)
	}
	require.Empty(t, linkFaults(fsys, "docs/page.md", "`[this](none.md)`\n\n```\n[this](none.md)\n```\n\n    [this](none.md)\n"))
}

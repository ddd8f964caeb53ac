package pqquic_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// citation matches the only allowed form of a citation: the URL of a paragraph of an RFC, alone on a line after the
// quotation.
var citation = regexp.MustCompile(
	`^https://www\.rfc-editor\.org/rfc/rfc([0-9]+)#(?:section-[0-9]+(?:\.[0-9]+)*|appendix-[A-Z](?:\.[0-9]+)*)(-[0-9]+(?:\.[0-9]+)*)?$`)

// rfcLink matches a link to an RFC in any form.
var rfcLink = regexp.MustCompile(`(?i)https?://\S*(?:rfc-editor\.org|ietf\.org|rfc[0-9]{4})`)

// firstWithParagraphs is the first RFC whose HTML has an anchor for every paragraph.
const firstWithParagraphs = 8650

// commentText returns the text of a line of a comment.
func commentText(line string) (text string, ok bool) {
	line = strings.TrimSpace(line)
	for _, mark := range []string{"//", "/*", "* "} {
		if rest, found := strings.CutPrefix(line, mark); found {
			return strings.TrimSpace(strings.TrimSuffix(rest, "*/")), true
		}
	}
	return "", false
}

// citationFaults returns the faults of the citations in a source file. A quotation with an elision is assumed to be
// from an RFC, and needs a citation.
func citationFaults(source string) (faults []string) {
	var words []string // the paragraph of the comment so far
	fault := func(line int, what string) { faults = append(faults, fmt.Sprintf("line %d: %s", line, what)) }
	end := func(line int) {
		if strings.Contains(strings.Join(words, " "), "[...]") {
			fault(line, "a quotation without its citation")
		}
		words = words[:0]
	}
	for i, line := range strings.Split(source+"\n", "\n") {
		text, ok := commentText(line)
		switch {
		case !ok || text == "":
			end(i)
		case rfcLink.MatchString(text):
			if what := citationFault(text, strings.Join(words, " ")); what != "" {
				fault(i+1, what)
			}
			words = words[:0]
		default:
			words = append(words, text)
		}
	}
	return faults
}

// citationFault describes the fault of a citation and the words before it, or returns "" if it has none.
func citationFault(link, words string) string {
	m := citation.FindStringSubmatch(link)
	if m == nil {
		return "not https://www.rfc-editor.org/rfc/rfcNNNN#section-X.Y-N, or not alone on its line"
	}
	rfc, _ := strconv.Atoi(m[1])
	if hasParagraph := m[2] != ""; hasParagraph != (rfc >= firstWithParagraphs) {
		return "a paragraph number for an RFC without anchors for paragraphs, or none for an RFC with them"
	}
	parts := strings.Split(words, `"`)
	if len(parts) < 3 || len(parts)%2 == 0 {
		return "no quotation before it, or one that is not closed"
	}
	quote := parts[len(parts)-2]
	if strings.Contains(strings.ReplaceAll(quote, "[...]", ""), "...") || strings.Contains(quote, "…") {
		return "an elision that is not [...]"
	}
	return ""
}

// declared matches the first line of a declaration and captures its name.
var declared = regexp.MustCompile(`^\s*(?:func (?:\([^)]*\) )?|type |const |var )?([A-Za-z]\w*)\b[ (\[]`)

// detached returns the names of the declarations in a Go file that an empty line separates from their comment, so
// that go doc shows them without it.
func detached(source string) (names []string) {
	lines := strings.Split(source, "\n")
	first := "" // the first line of the comment so far
	for i, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "//") && first == "":
			first = line
		case strings.HasPrefix(line, "//"):
		case line == "" && first != "" && i+1 < len(lines):
			m := declared.FindStringSubmatch(lines[i+1])
			if m != nil && strings.HasPrefix(first, "// "+m[1]+" ") {
				names = append(names, m[1])
			}
			first = ""
		default:
			first = ""
		}
	}
	return names
}

// TestDetachedComments checks detached with planted comments. TestCitations checks the files.
func TestDetachedComments(t *testing.T) {
	for _, bad := range []string{"// F returns 1.\n\nfunc F() int { return 1 }", "\t// Close frees it.\n\t// Twice.\n\n\tClose()",
		"// M is\n// one.\n\nfunc (t *T) M(x int) {}", "// n is a number.\n\nconst n = 1", "// T is one.\n\ntype T[A any] struct{}"} {
		require.Len(t, detached(bad), 1, bad)
	}
	for _, good := range []string{"// F returns 1.\nfunc F() int { return 1 }", "// The functions below add.\n\nfunc F() {}",
		"// F is elsewhere.\n\n// G is here.\nfunc G() {}", "x := 1\n\nfunc F() {}"} {
		require.Empty(t, detached(good), good)
	}
}

// TestCitations checks that all quotations of RFCs have the same form, which readers and programs can follow.
func TestCitations(t *testing.T) {
	cited := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (path == "build" || path == "third_party" || path == ".git") {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); d.IsDir() || path == "citations_test.go" || ext != ".go" && ext != ".c" && ext != ".h" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		cited += strings.Count(string(b), "https://www.rfc-editor.org/rfc/")
		for _, fault := range citationFaults(string(b)) {
			t.Errorf("%s, %s", path, fault)
		}
		for _, name := range detached(string(b)) {
			t.Errorf("%s: an empty line separates the comment of %s from it", path, name)
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, cited, 200)
}

// TestCitationsPlanted checks that each kind of fault is found, and that correct citations are not faults.
func TestCitationsPlanted(t *testing.T) {
	const right = "https://www.rfc-editor.org/rfc/rfc9000#section-8.1-2"
	for _, good := range []string{
		"// \"[...] servers MUST NOT\"\n// " + right,
		"\t// init starts.\n\t//\n\t// \"one [...] two\". And more.\n\t// " + right,
		"/* \"one\n * two\"\n * " + right + " */",
		"// \"words\"\n// https://www.rfc-editor.org/rfc/rfc8446#appendix-C.4",
		"// \"words\"\n// https://www.rfc-editor.org/rfc/rfc9001#appendix-A.1-3.2.1",
		"// \"one\"\n// " + right + "\n// \"two\"\n// " + right,
		"x := f(a...)\n// see \"it\"",
	} {
		require.Empty(t, citationFaults(good), good)
	}
	for _, bad := range []string{
		"// \"words\"\n// See " + right,
		"// \"words\" " + right,
		"// \"words\"\n// " + right + ".",
		"// " + right,
		"// words\n// " + right,
		"// \"words\n// " + right,
		"// \"words\"\n//\n// " + right,
		"// \"one ... two\"\n// " + right,
		"// \"one … two\"\n// " + right,
		"// \"words\"\n// https://www.rfc-editor.org/rfc/rfc9000#section-8.1",
		"// \"words\"\n// https://www.rfc-editor.org/rfc/rfc9000",
		"// \"words\"\n// https://www.rfc-editor.org/rfc/rfc9000.html#section-8.1-2",
		"// \"words\"\n// https://www.rfc-editor.org/rfc/rfc9001#section-A.1-2",
		"// \"words\"\n// https://www.rfc-editor.org/rfc/rfc8446#section-4.6.1-2",
		"// \"words\"\n// https://datatracker.ietf.org/doc/html/rfc9000#section-8.1-2",
		"// \"one [...] two\"",
		"// \"one [...] two\"\nvar x int\n// " + right,
	} {
		require.NotEmpty(t, citationFaults(bad), bad)
	}
}

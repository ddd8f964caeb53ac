package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A quotation is a sentence of an RFC, or a part of one, in a comment.
type quotation struct {
	place
	rfc, section string
	parts        []string // between elisions
	test         bool
}

// A place is where a quotation is.
type place struct {
	file     string
	line     int
	function string // of a Go file; "" outside of functions
}

func (p place) String() string {
	if p.function == "" {
		return fmt.Sprintf("%s:%d", p.file, p.line)
	}
	return fmt.Sprintf("%s:%d %s", p.file, p.line, p.function)
}

// function matches the first line of a function and captures its name.
var function = regexp.MustCompile(`^func (?:\([^)]*\) )?(\w+)`)

// link matches the line after a quotation.
var link = regexp.MustCompile(`^https://www\.rfc-editor\.org/rfc/(rfc[0-9]+)#(?:section|appendix)-([0-9A-Z]+(?:\.[0-9]+)*)`)

// changed matches what a quotation leaves out or changes, in brackets: three dots, a letter, lower-case words.
// References such as [QUIC-TLS] belong to the text.
var changed = regexp.MustCompile(`\[(?:\.\.\.|[A-Za-z]|[A-Za-z][a-z]*(?: [a-z]+)*)\]`)

// findQuotations reads the comments of all Go and C files below root.
func findQuotations(root string) (all []quotation, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"build", "third_party", ".git"}, name) {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); d.IsDir() || !slices.Contains([]string{".go", ".c", ".h"}, ext) {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		all = append(all, quotations(filepath.ToSlash(name), string(b))...)
		return nil
	})
	return all, err
}

// quotations returns the quotations in a source file.
func quotations(file, source string) (all []quotation) {
	test := strings.HasSuffix(file, "_test.go") || strings.Contains(file, "internal/sim/") ||
		strings.HasPrefix(file, "tlsprovider/tlstest/") && !strings.Contains(file, "/fake/") // the tests of every provider
	var words []string
	current, above := "", 0 // the function that the line belongs to; the quotations before the comment that ends here
	for i, line := range strings.Split(source, "\n") {
		text, ok := comment(line)
		m := link.FindStringSubmatch(text)
		if f := function.FindStringSubmatch(line); f != nil {
			current = f[1]
			for j := range all[above:] {
				all[above+j].function = current
			}
		}
		if strings.HasPrefix(line, "}") {
			current = ""
		}
		if !ok {
			above = len(all)
		}
		switch {
		case !ok || text == "":
			words = words[:0]
		case m == nil:
			words = append(words, text)
		default:
			if quote := lastQuotation(joinLines(words)); quote != "" {
				all = append(all, quotation{place{file, i + 1, current}, m[1], m[2], changed.Split(quote, -1), test})
			}
			words = words[:0]
		}
	}
	return all
}

// comment returns the text of a line that is a comment.
func comment(line string) (text string, ok bool) {
	line = strings.TrimSpace(line)
	for _, mark := range []string{"//", "/*", "* "} {
		if rest, found := strings.CutPrefix(line, mark); found {
			return strings.TrimSpace(strings.TrimSuffix(rest, "*/")), true
		}
	}
	return "", false
}

func lastQuotation(text string) string {
	parts := strings.Split(text, `"`)
	if len(parts) < 3 {
		return ""
	}
	return parts[len(parts)-2]
}

// minOverlap is the number of letters, without white space, of a sentence that a quotation must have. Six words of
// the RFCs have about as many.
const minOverlap = 20

// A row is a sentence and the places that quote it.
type row struct {
	sentence
	code, tests []place
	reason      string // why no code or no test quotes it
}

// open reports whether the row needs a test or a reason.
func (r *row) open() bool { return len(r.tests) == 0 && r.reason == "" }

// newRows matches quotations with the sentences of a document. It also returns the faults of quotations: texts that
// are not in the RFC, or not in the section that the link names.
func newRows(d *document, quotes []quotation) (rows []row, faults []string) {
	for _, s := range d.sentences {
		rows = append(rows, row{sentence: s})
	}
	for _, q := range quotes {
		if q.rfc != d.name {
			continue
		}
		for _, part := range q.parts {
			letters := onlyLetters(part)
			if len(letters) < minOverlap && len(q.parts) > 1 {
				continue
			}
			at := d.find(letters, q.section)
			if at < 0 {
				faults = append(faults, fmt.Sprintf("%s:%d: %s, section %s does not have the text %q", q.file, q.line, q.rfc, q.section, part))
				continue
			}
			for i := range rows {
				r := &rows[i]
				if n := min(r.to, at+len(letters)) - max(r.from, at); n >= min(minOverlap, r.to-r.from) {
					r.quote(q)
				}
			}
		}
	}
	return rows, faults
}

// find returns the offset of letters in a section, or -1.
func (d *document) find(letters, section string) int {
	for from := 0; ; {
		i := strings.Index(d.letters[from:], letters)
		if i < 0 {
			return -1
		}
		if at := from + i; d.sectionAt(at) == section {
			return at
		}
		from += i + 1
	}
}

func (r *row) quote(q quotation) {
	list := &r.code
	if q.test {
		list = &r.tests
	}
	if !slices.Contains(*list, q.place) {
		*list = append(*list, q.place)
	}
}

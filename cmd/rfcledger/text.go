package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
)

// A sentence is a normative sentence of an RFC.
type sentence struct {
	rfc     string // such as "rfc9000"
	section string // such as "13.2.1"
	level   string // the strongest keyword in it: "MUST", "SHOULD" or "MAY"
	text    string
	from    int // offsets in document.letters
	to      int
}

// A document is the text of an RFC.
type document struct {
	name      string
	letters   string // the whole text without white space, in which quotations are looked up
	sentences []sentence
	sections  []sectionStart
}

type sectionStart struct {
	number string
	from   int // offset in letters
}

var (
	// heading matches the title of a section. Lines of the table of contents are indented.
	heading     = regexp.MustCompile(`^(\d+(?:\.\d+)*|Appendix [A-Z]|[A-Z](?:\.\d+)+)\.  \S`)
	sentenceEnd = regexp.MustCompile(`[.?!]["')]*\s+["'(]*[A-Z]`)
	must        = regexp.MustCompile(`\b(MUST|SHALL|REQUIRED)\b`)
	should      = regexp.MustCompile(`\b(SHOULD|RECOMMENDED)\b`)
	may         = regexp.MustCompile(`\b(MAY|OPTIONAL)\b`)
)

// readDocument reads an RFC in the format of rfcNNNN.txt. Sentences before the first section and in the section that
// explains the keywords do not count.
func readDocument(name string, r io.Reader) (*document, error) {
	d := &document{name: name}
	var letters strings.Builder
	section := ""
	var paragraph []string
	end := func() {
		d.add(&letters, section, joinLines(paragraph))
		paragraph = paragraph[:0]
	}
	in := bufio.NewScanner(r)
	for in.Scan() {
		line := in.Text()
		switch m := heading.FindStringSubmatch(line); {
		case m != nil:
			end()
			section = strings.TrimPrefix(m[1], "Appendix ")
			d.sections = append(d.sections, sectionStart{section, letters.Len()})
		case strings.TrimSpace(line) == "":
			end()
		default:
			paragraph = append(paragraph, strings.TrimSpace(line))
		}
	}
	end()
	if err := in.Err(); err != nil {
		return nil, err
	}
	if len(d.sections) == 0 {
		return nil, fmt.Errorf("%s has no section titles of the form %q", name, "1.2.  Title")
	}
	d.letters = letters.String()
	return d, nil
}

// joinLines joins the lines of a paragraph. Lines of an RFC break after hyphens and underscores, but words are not
// hyphenated.
func joinLines(lines []string) string {
	var b strings.Builder
	for i, line := range lines {
		if i > 0 && !strings.HasSuffix(lines[i-1], "-") && !strings.HasSuffix(lines[i-1], "_") {
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}

// add appends a paragraph to the document.
func (d *document) add(letters *strings.Builder, section, paragraph string) {
	paragraph = strings.TrimLeft(paragraph, "*- ") // items of lists
	for _, text := range splitSentences(paragraph) {
		s := sentence{rfc: d.name, section: section, level: level(text), text: text, from: letters.Len()}
		letters.WriteString(onlyLetters(text))
		s.to = letters.Len()
		explained := strings.Contains(text, `"MUST"`)
		if s.level != "" && section != "" && !explained {
			d.sentences = append(d.sentences, s)
		}
	}
}

func splitSentences(paragraph string) (out []string) {
	for {
		m := sentenceEnd.FindStringIndex(paragraph)
		if m == nil {
			break
		}
		end := m[0] + strings.IndexAny(paragraph[m[0]:], " \t")
		out = append(out, paragraph[:end])
		paragraph = strings.TrimSpace(paragraph[end:])
	}
	if paragraph != "" {
		out = append(out, paragraph)
	}
	return out
}

// level returns the strongest keyword of RFC 2119 in a text, or "".
func level(text string) string {
	switch {
	case must.MatchString(text):
		return "MUST"
	case should.MatchString(text):
		return "SHOULD"
	case may.MatchString(text):
		return "MAY"
	}
	return ""
}

// onlyLetters removes white space and quotation marks, so that line breaks and the kind of marks do not matter when
// texts are compared.
func onlyLetters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '"' || r == '\'' {
			return -1
		}
		return r
	}, s)
}

// sectionAt returns the section that contains an offset in letters.
func (d *document) sectionAt(offset int) string {
	found := ""
	for _, s := range d.sections {
		if s.from > offset {
			break
		}
		found = s.number
	}
	return found
}

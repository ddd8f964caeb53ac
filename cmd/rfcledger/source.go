package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

var (
	mdHeading = regexp.MustCompile(`^(#+) (.*?)(?: *\{#([^}]*)\})?$`)
	// mdReference matches a reference of kramdown-rfc, such as {{Section 16 of !HTTP=RFC9110}} or {{datagrams}}.
	mdReference = regexp.MustCompile(`\{\{(?:(Section|Appendix)\s+([0-9A-Z.]+)\s+of\s+)?[!?#]?([^}=]*)(?:=[^}]*)?\}\}`)
	// mdDisplay matches an entry of the references that has another name in the text.
	mdDisplay = regexp.MustCompile(`(?m)^  (\S+):\n(?:    .*\n)*?    display: (\S+)$`)
)

// plainText converts the source of an RFC, in the Markdown of kramdown-rfc, to the format of rfcNNNN.txt, as far as
// readDocument needs it: numbered titles and paragraphs, with references as they are printed. Figures and tables are left
// out.
func plainText(source []byte) []byte {
	shown := make(map[string]string)
	for _, m := range mdDisplay.FindAllSubmatch(source, -1) {
		shown[string(m[1])] = "[" + string(m[2]) + "]"
	}
	_, body, _ := bytes.Cut(source, []byte("\n--- middle\n"))
	var lines []string
	numbers := numbering{}
	figure := false
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSuffix(line, "\n")
		fence := strings.HasPrefix(line, "~~~") || strings.HasPrefix(line, "```")
		m := mdHeading.FindStringSubmatch(line)
		switch {
		case fence:
			figure = !figure
			line = ""
		case figure, strings.HasPrefix(line, "|"), strings.HasPrefix(line, "{:"):
			line = ""
		case strings.HasPrefix(line, "--- back"):
			numbers = numbering{back: true}
			line = ""
		case m != nil:
			n := numbers.next(len(m[1]))
			if m[3] != "" {
				shown[m[3]] = "Section " + n
			}
			if line = n + ".  " + m[2]; numbers.back && len(m[1]) == 1 {
				line = "Appendix " + line
			}
		case strings.HasPrefix(line, ": "): // a definition
			line = "   " + line[2:]
		}
		lines = append(lines, line)
	}
	text := mdReference.ReplaceAllStringFunc(strings.Join(lines, "\n"), func(ref string) string {
		m := mdReference.FindStringSubmatch(ref)
		name, ok := shown[m[3]]
		if !ok {
			name = "[" + m[3] + "]"
		}
		if m[1] != "" {
			return fmt.Sprintf("%s %s of %s", m[1], m[2], name)
		}
		return name
	})
	return []byte(text)
}

// numbering counts sections.
type numbering struct {
	counts []int
	back   bool // appendices have letters
}

// next returns the number of the next section of a depth, which begins at 1.
func (n *numbering) next(depth int) string {
	for len(n.counts) < depth {
		n.counts = append(n.counts, 0)
	}
	n.counts = n.counts[:depth]
	n.counts[depth-1]++
	var parts []string
	for i, c := range n.counts {
		if i == 0 && n.back {
			parts = append(parts, string(rune('A'+c-1)))
			continue
		}
		parts = append(parts, fmt.Sprint(c))
	}
	return strings.Join(parts, ".")
}

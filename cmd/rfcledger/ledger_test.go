package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const sample = `
1.  Terms

   The key words "MUST", "SHOULD" and "MAY" are to be interpreted so.

2.1.  Limits

   A receiver MUST close the connection with an error of type FLOW_
   CONTROL_ERROR; see Section 3.  It SHOULD log this.  Nothing else
   happens.

   *  An endpoint MUST NOT send an ack-
      eliciting frame in the 'Closed' state.

3.  Errors

   A receiver MUST close the connection with an error of type FLOW_
   CONTROL_ERROR as well, unless it MAY wait.
`

func TestReadDocument(t *testing.T) {
	d, err := readDocument("rfc1", strings.NewReader(sample))
	require.NoError(t, err)
	var have []string
	for _, s := range d.sentences {
		have = append(have, s.section+" "+s.level+" "+s.text)
	}
	require.Equal(t, []string{
		"2.1 MUST A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR; see Section 3.",
		"2.1 SHOULD It SHOULD log this.",
		"2.1 MUST An endpoint MUST NOT send an ack-eliciting frame in the 'Closed' state.",
		"3 MUST A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR as well, unless it MAY wait.",
	}, have)

	_, err = readDocument("rfc1", strings.NewReader("no sections"))
	require.ErrorContains(t, err, "rfc1 has no section titles")
}

func TestRows(t *testing.T) {
	d, err := readDocument("rfc1", strings.NewReader(sample))
	require.NoError(t, err)
	const url = "\n// https://www.rfc-editor.org/rfc/rfc1#section-"
	tests := []struct {
		name, file, source string
		want               []int // the rows that the source quotes
		fault              bool
	}{
		{"whole", "a.go", "// \"A receiver MUST close the connection\n// with an error of type FLOW_CONTROL_ERROR; see Section 3.\"" + url + "2.1-1", []int{0}, false},
		{"the section decides", "a.go", `// "A receiver MUST close the connection with an error"` + url + "3-1", []int{3}, false},
		{"elision and another letter", "a.go", `// "[A]n endpoint MUST NOT send an [...] frame in the 'Closed' state."` + url + "2.1-2", []int{2}, false},
		{"two sentences", "a.go", `// "It SHOULD log this. Nothing else happens."` + url + "2.1-1", []int{1}, false},
		{"too little", "a.go", `// "a receiver"` + url + "2.1-1", nil, true},
		{"wrong section", "a.go", `// "It SHOULD log this. Nothing else happens."` + url + "3-1", nil, true},
		{"wrong text", "a.go", `// "It SHOULD log this. Something else happens."` + url + "2.1-1", nil, true},
		{"not a comment", "a.go", `"It SHOULD log this."` + url + "2.1-1", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows, faults := newRows(d, quotations(tt.file, tt.source))
			var have []int
			for i, r := range rows {
				if len(r.code) > 0 {
					have = append(have, i)
				}
			}
			require.Equal(t, tt.want, have)
			require.Equal(t, tt.fault, faults != nil, "%q", faults)
		})
	}
}

// TestRun reads a repository of two files, one of them a test, and a reason.
func TestRun(t *testing.T) {
	rfcs, root := t.TempDir(), t.TempDir()
	write := func(dir, name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write(rfcs, "rfc1.txt", sample)
	quote := "// \"A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR; see Section 3.\"\n// https://www.rfc-editor.org/rfc/rfc1#section-2.1-1\n"
	write(root, "a.go", quote+"func Limit() {\n"+"}\n")
	write(root, "a_test.go", "func TestLimit(t *testing.T) {\n\t"+strings.ReplaceAll(quote, "\n", "\n\t")+"f()\n}\n")
	reasons := write(t.TempDir(), "reasons.txt", "# comment\nrfc1|2.1|An endpoint MUST NOT|there is no such state\n")
	t.Setenv("RFC_DIR", rfcs)

	dir := t.TempDir()
	o := options{root: root, reasons: reasons, rfcs: []string{"rfc1"}, out: dir}
	var out bytes.Buffer
	require.NoError(t, run(&out, &o))
	require.Empty(t, out.String())
	index, err := os.ReadFile(filepath.Join(dir, "conformance.md"))
	require.NoError(t, err)
	require.Contains(t, string(index), "| [RFC 1](conformance/rfc1.md) | 3 | 1 | 1 | 1 | 1 | 1 | 0 | 0 | 0 |")
	page, err := os.ReadFile(filepath.Join(dir, "conformance", "rfc1.md"))
	require.NoError(t, err)
	require.Contains(t, string(page), "  `a.go`\n  `a_test.go`\n")
	require.Contains(t, string(page), "  Reason: there is no such state\n")
	require.Equal(t, 1, strings.Count(string(page), "**open**"))

	o.open = true
	require.NoError(t, run(&out, &o))
	require.Equal(t, "rfc1|3|A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR as well, unless it MAY wait.\n", out.String())
	out.Reset()
	o.open, o.draw = false, 20
	require.NoError(t, run(&out, &o))
	require.Equal(t, `1. RFC 1, section 2.1: A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR; see Section 3.
   code a.go:2 Limit
   test a_test.go:3 TestLimit
`, out.String())

	o.reasons = write(root, "r", "rfc1|3|No such sentence|why")
	require.ErrorContains(t, run(&out, &o), "has no sentence that begins with")
	o.reasons = write(root, "r", "rfc1|3|why")
	require.ErrorContains(t, run(&out, &o), "want rfc|section|")
	o.rfcs = []string{"rfc2"}
	o.reasons = ""
	require.ErrorIs(t, run(&out, &o), os.ErrNotExist)
	t.Setenv("RFC_DIR", "")
	require.ErrorContains(t, run(&out, &o), "RFC_DIR is not set")
}

// A draw depends on the seed. A sentence that becomes eligible takes its own place and leaves the others theirs.
func TestDrawRows(t *testing.T) {
	var rows []row
	for i := range 100 {
		at := []place{{file: "a"}}
		rows = append(rows, row{sentence: sentence{rfc: "rfc1", section: "1", level: "MUST", text: fmt.Sprint("sentence ", i)}, code: at, tests: at})
	}
	rows[7].tests = nil
	text := func(rows []row) (out []string) {
		for _, r := range rows {
			out = append(out, r.text)
		}
		return out
	}
	all := text(drawRows([][]row{rows[:50], rows[50:]}, 1000, 1))
	require.Len(t, all, 99)
	require.NotContains(t, all, "sentence 7")
	require.Equal(t, all[:20], text(drawRows([][]row{rows}, 20, 1)))
	require.NotEqual(t, all[:20], text(drawRows([][]row{rows}, 20, 2)))
	rows[7].tests = rows[0].tests
	with := text(drawRows([][]row{rows}, 1000, 1))
	at := slices.Index(with, "sentence 7")
	require.Equal(t, all, slices.Delete(with, at, at+1))
}

// The source of an RFC becomes text with numbered sections, and its references look as they are printed.
func TestPlainText(t *testing.T) {
	const source = `---
title: Things
normative:
  H3:
    =: RFC9114
    display: HTTP/3

--- abstract

It MUST NOT count.

--- middle

# Introduction {#intro}

See {{things}} and {{Section 3.7 of
!HTTP=RFC9110}}.

## Details

~~~
A figure MUST NOT count.
~~~

# Things {#things}

Endpoints MUST follow {{H3}}, {{?OTHER=RFC1}} and
{{Section 2 of H3}}; see {{intro}}.

Term:
: It MUST be defined.

--- back

# More

## Inner

It SHOULD work.
`
	d, err := readDocument("rfc1", bytes.NewReader(plainText([]byte(source))))
	require.NoError(t, err)
	var have []string
	for _, s := range d.sentences {
		have = append(have, s.section+" "+s.level+" "+s.text)
	}
	require.Equal(t, []string{
		"2 MUST Endpoints MUST follow [HTTP/3], [OTHER] and Section 2 of [HTTP/3]; see Section 1.",
		"2 MUST Term: It MUST be defined.",
		"A.1 SHOULD It SHOULD work.",
	}, have)
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
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
	write(root, "a.go", quote)
	write(root, "a_test.go", quote)
	reasons := write(t.TempDir(), "reasons.txt", "# comment\nrfc1|2.1|An endpoint MUST NOT|there is no such state\n")
	t.Setenv("RFC_DIR", rfcs)

	var out bytes.Buffer
	require.NoError(t, run(&out, root, reasons, []string{"rfc1"}, false))
	require.Contains(t, out.String(), "| RFC 1 | 3 | 1 | 1 | 1 | 1 | 1 | 0 | 0 | 0 |")
	require.Contains(t, out.String(), "  `a.go`\n  `a_test.go`\n")
	require.Contains(t, out.String(), "  Reason: there is no such state\n")
	require.Equal(t, 1, strings.Count(out.String(), "**open**"))

	out.Reset()
	require.NoError(t, run(&out, root, reasons, []string{"rfc1"}, true))
	require.Equal(t, "rfc1|3|A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR as well, unless it MAY wait.\n", out.String())

	require.ErrorContains(t, run(&out, root, write(root, "r", "rfc1|3|No such sentence|why"), []string{"rfc1"}, true), "has no sentence that begins with")
	require.ErrorContains(t, run(&out, root, write(root, "r", "rfc1|3|why"), []string{"rfc1"}, true), "want rfc|section|")
	t.Setenv("RFC_DIR", "")
	require.ErrorContains(t, run(&out, root, "", nil, true), "RFC_DIR is not set")
}

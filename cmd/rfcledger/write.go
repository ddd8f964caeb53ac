package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// writePages writes conformance.md and a page for each RFC.
func writePages(dir string, all [][]row) error {
	if err := os.MkdirAll(filepath.Join(dir, "conformance"), 0o777); err != nil {
		return err
	}
	var b bytes.Buffer
	writeIndex(&b, all)
	if err := os.WriteFile(filepath.Join(dir, "conformance.md"), b.Bytes(), 0o666); err != nil {
		return err
	}
	for _, rows := range all {
		if len(rows) == 0 {
			continue
		}
		b.Reset()
		writePage(&b, rows)
		if err := os.WriteFile(filepath.Join(dir, "conformance", rows[0].rfc+".md"), b.Bytes(), 0o666); err != nil {
			return err
		}
	}
	return nil
}

func number(rfc string) string { return strings.TrimPrefix(rfc, "rfc") }

// writeIndex writes the explanation and the table of the counts.
func writeIndex(w io.Writer, all [][]row) {
	fmt.Fprint(w, `# Conformance

This page and those of the RFCs are the output of `+"`make ledger`"+`, which runs `+"`cmd/rfcledger`"+`. The pages list each
sentence with MUST, MUST NOT, SHALL or REQUIRED, and the files that quote it: code, then tests. A quotation is the claim of
its author that the code does, or the test checks, what the sentence requires. The reasons come from conformance-reasons.txt.
A sentence is open as long as no test quotes it and there is no reason.

Whether a test fails without the code that quotes the same sentence was tried for sentences drawn at random:
[conformance-checks.md](conformance-checks.md).

| | MUST | by code | by tests | with a reason | open | SHOULD | quoted | MAY | quoted |
|---|---|---|---|---|---|---|---|---|---|
`)
	for _, rows := range all {
		if len(rows) > 0 {
			writeCounts(w, rows)
		}
	}
}

// writePage writes the list of the MUST sentences of an RFC.
func writePage(w io.Writer, rows []row) {
	fmt.Fprintf(w, "# RFC %s\n\n[Conformance](../conformance.md) explains this list, which cmd/rfcledger has written.\n", number(rows[0].rfc))
	section := ""
	for _, r := range rows {
		if r.level != "MUST" {
			continue
		}
		if r.section != section {
			section = r.section
			fmt.Fprintf(w, "\n## Section %s\n\n", section)
		}
		writeRow(w, &r)
	}
}

func writeCounts(w io.Writer, rows []row) {
	var must, coded, tested, reasons, open, should, shouldQuoted, may, mayQuoted int
	for _, r := range rows {
		quoted := len(r.code)+len(r.tests) > 0
		switch r.level {
		case "MUST":
			must++
			count(&coded, len(r.code) > 0)
			count(&tested, len(r.tests) > 0)
			count(&reasons, len(r.tests) == 0 && r.reason != "")
			count(&open, r.open())
		case "SHOULD":
			should++
			count(&shouldQuoted, quoted)
		case "MAY":
			may++
			count(&mayQuoted, quoted)
		}
	}
	rfc := rows[0].rfc
	fmt.Fprintf(w, "| [RFC %s](conformance/%s.md) | %d | %d | %d | %d | %d | %d | %d | %d | %d |\n", number(rfc), rfc,
		must, coded, tested, reasons, open, should, shouldQuoted, may, mayQuoted)
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}

func writeRow(w io.Writer, r *row) {
	fmt.Fprintf(w, "* %s\n", escape(r.text))
	var files []string
	for _, p := range slices.Concat(r.code, r.tests) {
		if !slices.Contains(files, p.file) {
			files = append(files, p.file)
			fmt.Fprintf(w, "  `%s`\n", p.file)
		}
	}
	switch {
	case r.reason != "":
		fmt.Fprintf(w, "  Reason: %s\n", r.reason)
	case r.open():
		fmt.Fprintln(w, "  **open**")
	}
}

func writeOpen(w io.Writer, all [][]row) {
	for _, r := range slices.Concat(all...) {
		if r.level == "MUST" && r.open() {
			fmt.Fprintf(w, "%s|%s|%s\n", r.rfc, r.section, r.text)
		}
	}
}

var markdown = strings.NewReplacer("<", "&lt;", "*", `\*`, "_", `\_`, "|", `\|`, "[", `\[`)

func escape(s string) string { return markdown.Replace(s) }

package main

import (
	"fmt"
	"io"
	"strings"
)

// writeLedger writes the table of the counts, and a list of the MUST sentences of each RFC.
func writeLedger(w io.Writer, all [][]row) {
	fmt.Fprint(w, `# Conformance

This page is the output of `+"`cmd/rfcledger`"+`. It lists each sentence with MUST, MUST NOT, SHALL or REQUIRED, and the
files that quote it: code, then tests. A quotation is the claim of its author that the code does, or the test checks,
what the sentence requires. The reasons come from conformance-reasons.txt. Sentences without either are open.

| | MUST | quoted | by tests | with a reason | open | SHOULD | quoted | MAY | quoted |
|---|---|---|---|---|---|---|---|---|---|
`)
	for _, rows := range all {
		if len(rows) > 0 {
			writeCounts(w, rows)
		}
	}
	for _, rows := range all {
		section := ""
		for _, r := range rows {
			if r.level != "MUST" {
				continue
			}
			if section == "" {
				fmt.Fprintf(w, "\n## RFC %s\n", strings.TrimPrefix(r.rfc, "rfc"))
			}
			if r.section != section {
				section = r.section
				fmt.Fprintf(w, "\n### Section %s\n\n", section)
			}
			writeRow(w, &r)
		}
	}
}

func writeCounts(w io.Writer, rows []row) {
	var must, quoted, tested, reasons, open, should, shouldQuoted, may, mayQuoted int
	for _, r := range rows {
		q := len(r.code)+len(r.tests) > 0
		switch r.level {
		case "MUST":
			must++
			count(&quoted, q)
			count(&tested, len(r.tests) > 0)
			count(&reasons, !q && r.reason != "")
			count(&open, !r.done())
		case "SHOULD":
			should++
			count(&shouldQuoted, q)
		case "MAY":
			may++
			count(&mayQuoted, q)
		}
	}
	fmt.Fprintf(w, "| RFC %s | %d | %d | %d | %d | %d | %d | %d | %d | %d |\n", strings.TrimPrefix(rows[0].rfc, "rfc"),
		must, quoted, tested, reasons, open, should, shouldQuoted, may, mayQuoted)
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}

func writeRow(w io.Writer, r *row) {
	fmt.Fprintf(w, "* %s\n", escape(r.text))
	for _, f := range append(r.code, r.tests...) {
		fmt.Fprintf(w, "  `%s`\n", f)
	}
	switch {
	case r.reason != "":
		fmt.Fprintf(w, "  Reason: %s\n", r.reason)
	case !r.done():
		fmt.Fprintln(w, "  **open**")
	}
}

func writeOpen(w io.Writer, all [][]row) {
	for _, rows := range all {
		for _, r := range rows {
			if r.level == "MUST" && !r.done() {
				fmt.Fprintf(w, "%s|%s|%s\n", r.rfc, r.section, r.text)
			}
		}
	}
}

var markdown = strings.NewReplacer("<", "&lt;", "*", `\*`, "_", `\_`, "|", `\|`)

func escape(s string) string { return markdown.Replace(s) }

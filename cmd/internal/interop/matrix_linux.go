package interop

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Outcome describes a result in a line.
func (r *Result) Outcome() string {
	switch {
	case r.Unsupported:
		return "not supported"
	case r.Err != nil:
		return "FAILED: " + strings.ReplaceAll(r.Err.Error(), "\n", "; ")
	case r.Rate > 0:
		return fmt.Sprintf("passed: %.1f Mbit/s", r.Rate)
	}
	return "passed"
}

// WriteMatrix writes a table with a row for each pair of endpoints and a column for each case, by its abbreviation,
// and returns the number of failures. A case that is not supported has a dash.
func WriteMatrix(w io.Writer, cases []Case, results []Result) (failed int) {
	type pair struct{ client, server string }
	marks := make(map[pair]map[string]string)
	var pairs []pair
	passed, unsupported := 0, 0
	for _, r := range results {
		p := pair{r.Client, r.Server}
		if marks[p] == nil {
			marks[p] = make(map[string]string)
			pairs = append(pairs, p)
		}
		switch {
		case r.Unsupported:
			marks[p][r.Case.Abbr] = "-"
			unsupported++
		case r.Err != nil:
			marks[p][r.Case.Abbr] = "FAIL"
			failed++
		default:
			marks[p][r.Case.Abbr] = "ok"
			passed++
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.client+" "+a.server, b.client+" "+b.server) })
	fmt.Fprintf(w, "\n%-9s%-9s", "client", "server")
	for _, c := range cases {
		fmt.Fprintf(w, "%-5s", c.Abbr)
	}
	fmt.Fprintln(w)
	for _, p := range pairs {
		fmt.Fprintf(w, "%-9s%-9s", p.client, p.server)
		for _, c := range cases {
			fmt.Fprintf(w, "%-5s", marks[p][c.Abbr])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\n%d passed, %d not supported (-), %d failed\n", passed, unsupported, failed)
	return failed
}

package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
)

// drawRows draws n MUST sentences that code and tests quote. Each sentence has a place in the order that depends on the seed
// and on nothing else, so that a new quotation does not change the rest of the draw, and the one after the n-th replaces
// one that a reader has to reject.
func drawRows(all [][]row, n int, seed uint64) []row {
	var rows []row
	for _, r := range slices.Concat(all...) {
		if r.level == "MUST" && len(r.code) > 0 && len(r.tests) > 0 {
			rows = append(rows, r)
		}
	}
	place := func(r row) string {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s %s", seed, r.rfc, r.section, r.text))
		return string(sum[:])
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(place(a), place(b)) })
	return rows[:min(n, len(rows))]
}

func writeDraw(w io.Writer, rows []row) {
	for i, r := range rows {
		fmt.Fprintf(w, "%d. RFC %s, section %s: %s\n", i+1, strings.TrimPrefix(r.rfc, "rfc"), r.section, r.text)
		for _, p := range r.code {
			fmt.Fprintf(w, "   code %s\n", p)
		}
		for _, p := range r.tests {
			fmt.Fprintf(w, "   test %s\n", p)
		}
	}
}

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pqquic/pqquic/cgo/fipsreport"
)

// A line is a row of the report: a service in an operation of a connection.
type line struct{ stage, function, params string }

// A verdict says whether the module counted a service.
type verdict struct {
	approved   bool     // some calls were counted
	unapproved bool     // some calls were not counted
	letters    []string // of the reasons
}

// A result is what one kind of connection used.
type result struct {
	kind  string
	lines map[line]*verdict
	// unexplained are the rows that were not counted and have no reason.
	unexplained []fipsreport.Row
}

// resultOf summarises what was recorded.
func resultOf(kind string, rows []fipsreport.Row) result {
	res := result{kind: kind, lines: make(map[line]*verdict)}
	for _, r := range rows {
		l := line{stageOf(r), r.Function, r.Params}
		v := res.lines[l]
		if v == nil {
			v = new(verdict)
			res.lines[l] = v
		}
		v.approved = v.approved || r.Approved > 0
		v.unapproved = v.unapproved || r.Unapproved > 0
		letter, ok := reasonOf(r)
		switch {
		case ok && !slices.Contains(v.letters, letter):
			v.letters = append(v.letters, letter)
		case !ok && r.Unapproved > 0:
			res.unexplained = append(res.unexplained, r)
		}
	}
	return res
}

// merge returns the verdicts of all results.
func merge(results []result) map[line]*verdict {
	out := make(map[line]*verdict)
	for _, res := range results {
		for l, v := range res.lines {
			m := out[l]
			if m == nil {
				m = new(verdict)
				out[l] = m
			}
			m.approved = m.approved || v.approved
			m.unapproved = m.unapproved || v.unapproved
			for _, letter := range v.letters {
				if !slices.Contains(m.letters, letter) {
					m.letters = append(m.letters, letter)
				}
			}
		}
	}
	return out
}

// String is the cell of a table.
func (v *verdict) String() string {
	slices.Sort(v.letters)
	letters := strings.Join(v.letters, ", ")
	if letters != "" {
		letters = ": " + letters
	}
	switch {
	case v.approved && v.unapproved:
		return "in part" + letters
	case v.unapproved:
		return "no" + letters
	case v.approved:
		return "yes" + letters
	}
	return "failed" // in all calls, such as an AEAD that rejected a packet
}

// write prints the report in Markdown.
func write(w io.Writer, module string, results []result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Module: %s.\n\n", module)
	b.WriteString("| connection | services that are not approved or not relied on |\n|---|---|\n")
	for _, res := range results {
		var letters []string
		for _, v := range res.lines {
			letters = append(letters, v.letters...)
		}
		slices.Sort(letters)
		fmt.Fprintf(&b, "| %s | %s |\n", res.kind, strings.Join(slices.Compact(letters), ", "))
	}
	b.WriteString("\n| operation | service | parameters | approved |\n|---|---|---|---|\n")
	lines := merge(results)
	sorted := make([]line, 0, len(lines))
	for l := range lines {
		sorted = append(sorted, l)
	}
	slices.SortFunc(sorted, func(a, b line) int {
		return strings.Compare(a.stage+"\x00"+a.function+"\x00"+a.params, b.stage+"\x00"+b.function+"\x00"+b.params)
	})
	for _, l := range sorted {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", l.stage, l.function, l.params, lines[l])
	}
	b.WriteString("\n")
	for _, e := range reasons {
		fmt.Fprintf(&b, "%s. %s\n\n", e.letter, e.text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// unexplained describes the services that were not counted and have no reason.
func unexplained(results []result) (out []string) {
	for _, res := range results {
		for _, r := range res.unexplained {
			out = append(out, fmt.Sprintf("%s: %s (%s) was not approved %d times; it was called by %s",
				res.kind, r.Function, r.Params, r.Unapproved, strings.Join(r.Callers, " < ")))
		}
	}
	return out
}

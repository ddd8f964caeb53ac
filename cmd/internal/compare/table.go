package compare

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// A table is a result as a page shows it.
type table struct {
	Head []string // of the cells, without the first column
	Rows []tableRow
}

type tableRow struct {
	look
	Config   string
	Baseline bool
	Cells    []cell
}

// A cell has a main text and one in small print.
type cell struct{ Main, Small string }

// A column is one kind of figure in a table. A column without show is always there.
type column struct {
	head string
	show func(*Result) bool
	cell func(*Result, *Row, *Config) cell
}

var columns = []column{
	{head: "connections/s", cell: func(_ *Result, row *Row, _ *Config) cell {
		return cell{fmt.Sprintf("%.0f", row.Rate.Value), fmt.Sprintf("%.0f … %.0f", row.Rate.Low, row.Rate.High)}
	}},
	{head: "relative", cell: func(_ *Result, row *Row, _ *Config) cell {
		if row.RelativeRate == nil {
			return cell{Main: "baseline"}
		}
		return cell{change(row.RelativeRate.Value), span(row.RelativeRate)}
	}},
	{head: "published", show: (*Result).hasPublished, cell: func(_ *Result, _ *Row, c *Config) cell {
		if c.Published == 0 {
			return cell{}
		}
		return cell{Main: wholePercent(c.Published)}
	}},
	{head: "CPU µs, both ends", cell: func(_ *Result, row *Row, _ *Config) cell {
		out := cell{Main: fmt.Sprintf("%.0f", row.CPU.Value)}
		if row.RelativeCPU != nil {
			out.Small = change(row.RelativeCPU.Value)
		}
		return out
	}},
	{head: "connect µs, p50 / p99", cell: func(_ *Result, row *Row, _ *Config) cell {
		return cell{Main: fmt.Sprintf("%.0f / %.0f", row.P50, row.P99)}
	}},
	{head: "handshake datagrams", show: (*Result).hasDatagrams, cell: func(_ *Result, row *Row, _ *Config) cell {
		if row.Datagrams == nil {
			return cell{Main: "not counted"}
		}
		d := row.Datagrams
		return cell{fmt.Sprintf("%d / %d", d.Client, d.Server), fmt.Sprintf("ClientHello: %d", d.ClientHello)}
	}},
	{head: "connections a round", cell: func(r *Result, row *Row, _ *Config) cell {
		out := cell{Main: strconv.Itoa(row.Connections)}
		if row.Connections < r.Study.Connections {
			out.Small = fmt.Sprintf("fewer than %d", r.Study.Connections)
		}
		return out
	}},
	{head: "failed", cell: func(_ *Result, row *Row, _ *Config) cell { return cell{Main: failedText(row.Failed)} }},
}

// table returns the result as a table, without the columns that would be empty.
func (r *Result) table() (t table) {
	look := looks(r.Study.Configs)
	for i := range r.Rows {
		t.Rows = append(t.Rows, tableRow{look: look[i], Config: r.Rows[i].Config, Baseline: r.Rows[i].RelativeRate == nil})
	}
	for _, col := range columns {
		if col.show != nil && !col.show(r) {
			continue
		}
		t.Head = append(t.Head, col.head)
		for i := range r.Rows {
			t.Rows[i].Cells = append(t.Rows[i].Cells, col.cell(r, &r.Rows[i], &r.Study.Configs[i]))
		}
	}
	return t
}

// WriteTable writes the result as text.
func (r *Result) WriteTable(w io.Writer) error {
	text := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	t := r.table()
	fmt.Fprintln(text, "configuration\t"+strings.Join(t.Head, "\t"))
	for _, row := range t.Rows {
		fmt.Fprint(text, row.Config)
		for _, c := range row.Cells {
			fmt.Fprint(text, "\t", c.Main)
			if c.Small != "" {
				fmt.Fprintf(text, " (%s)", c.Small)
			}
		}
		fmt.Fprintln(text)
	}
	for _, note := range r.notes() {
		fmt.Fprintln(text, "\n"+note)
	}
	return text.Flush()
}

// notes returns what a reader of the table must know, as sentences.
func (r *Result) notes() (out []string) {
	for _, row := range r.Rows {
		if row.Connections < r.Study.Connections {
			out = append(out, fmt.Sprintf("%s made %s in each round instead of %d: more would take longer than %v a round.",
				row.Config, counted(row.Connections, "connection"), r.Study.Connections, r.Study.Limit))
		}
	}
	if r.hasDatagrams() {
		out = append(out, "Handshake datagrams are those with Initial or Handshake packets, of the client / of the server, "+
			"in the connection with the fewest of those that passed a relay before the rounds.")
	}
	if r.hasPublished() {
		out = append(out, "Published rates: "+r.Study.Published+".")
	}
	return out
}

func (r *Result) hasDatagrams() bool {
	return slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Datagrams != nil })
}

func (r *Result) hasPublished() bool {
	return slices.ContainsFunc(r.Study.Configs, func(c Config) bool { return c.Published > 0 })
}

// change formats a ratio as a change, in percent.
func change(ratio float64) string { return withMinus(fmt.Sprintf("%+.1f %%", (ratio-1)*100)) }

// wholePercent is change without decimals.
func wholePercent(ratio float64) string { return withMinus(fmt.Sprintf("%+.0f %%", (ratio-1)*100)) }

// span formats an interval of ratios.
func span(in *Interval) string {
	return strings.TrimSuffix(change(in.Low), " %") + " … " + change(in.High)
}

// counted returns a number with its noun.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// withMinus replaces the hyphen with a minus sign, which is as wide as the plus sign.
func withMinus(s string) string { return strings.ReplaceAll(s, "-", "−") }

func failedText(failed map[string]int64) string {
	var out []string
	for class, n := range failed {
		out = append(out, fmt.Sprintf("%d %s", n, class))
	}
	slices.Sort(out)
	if len(out) == 0 {
		return "0"
	}
	return strings.Join(out, ", ")
}

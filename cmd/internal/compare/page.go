package compare

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"percent": percent,
	"round":   func(x float64) string { return fmt.Sprintf("%.0f", x) },
	"failed":  failedText,
	"join":    func(s []string) string { return strings.Join(s, " ") },
}).Parse(pageText))

// WriteHTML writes a self-contained page: no script, no font, no network.
func (r *Result) WriteHTML(w io.Writer) error {
	var svg bytes.Buffer
	if err := r.WriteSVG(&svg); err != nil {
		return err
	}
	chart := svg.String()
	if i := strings.Index(chart, "<svg"); i > 0 {
		chart = chart[i:] // the XML prologue is not valid in HTML
	}
	return page.Execute(w, map[string]any{
		"R": r, "Summary": r.summary(), "Provenance": r.provenance(),
		"Chart": template.HTML(chart), // our own drawing; the plot library escapes the texts in it
	})
}

// WriteJSON writes everything, including the raw figures.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// provenance returns what the clients report about where they ran, each fact once.
func (r *Result) provenance() (out []fact) {
	add := func(name, value string) {
		if value != "" && !slices.ContainsFunc(out, func(f fact) bool { return f.Name == name && f.Value == value }) {
			out = append(out, fact{name, value})
		}
	}
	for i := range r.Outcomes {
		p := r.Outcomes[i].Client.Provenance
		if p == nil {
			p = new(stats.Provenance)
		}
		add("netbench", p.Version)
		add("Go", p.Go)
		add("System", p.OS)
		add("Kernel", p.Kernel)
		add("CPU", cpuText(p))
		add("Governor", p.Governor)
		add("TLS library", p.Library)
		add("Certificate", p.Certificate)
	}
	return out
}

// fact is a line of the page's table about what was compared.
type fact struct{ Name, Value string }

func cpuText(p *stats.Provenance) string {
	if p.CPU == "" {
		return ""
	}
	return fmt.Sprintf("%d × %s", p.CPUs, p.CPU)
}

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

package compare

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/pqquic/pqquic/cmd/internal/report"
	"github.com/pqquic/pqquic/cmd/internal/stats"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"join": func(s []string) string { return strings.Join(s, " ") },
}).Parse(pageText))

// page is the input of the template.
type page struct {
	Title, About, Version string
	Remarks               []string
	Style                 template.CSS
	Relative              *barChart
	Sections              []section
}

// A section is one result.
type section struct {
	ID, Title, Summary, About string
	Legend                    []line
	Charts                    []template.HTML
	Rates                     *barChart // instead of Charts
	Table                     table
	Notes                     []string
	Provenance                []fact
	Configs                   []Config
}

// WriteHTML writes a self-contained page of the result: no script, no font, no network. The page also shows the
// other results.
func (r *Result) WriteHTML(w io.Writer, others ...*Result) error {
	all := append([]*Result{r}, others...)
	p := &page{Title: r.Study.Title, About: r.Study.About, Style: template.CSS(report.Style + pageStyle), Relative: relativeBars(all)}
	if len(others) == 0 && r.Study.Beside != "" {
		p.Remarks = append(p.Remarks, fmt.Sprintf("This page has room for the results of %s: run netbench compare %[1]s with the "+
			"same output folder, then netbench compare %s --page-only.", r.Study.Beside, r.Study.Name))
	}
	for i, r := range all {
		s := r.section(i)
		switch {
		case len(all) == 1:
			s.Title = "Connection rates"
		case i > 0:
			s.About = r.Study.About
		}
		p.Sections = append(p.Sections, s)
	}
	return pageTemplate.Execute(w, p)
}

func (r *Result) section(i int) section {
	s := section{
		ID: fmt.Sprintf("result-%d", i), Title: r.Study.label(),
		Summary: r.summary() + ", " + r.Began.UTC().Format("2006-01-02 15:04 MST"),
		Table:   r.table(), Notes: r.notes(), Provenance: r.provenance(), Configs: r.Study.Configs,
	}
	lines := r.lines()
	if lines == nil {
		s.Rates = r.rateBars()
		return s
	}
	s.Legend = lines
	for _, c := range canvases {
		s.Charts = append(s.Charts, c.draw(lines))
	}
	return s
}

// WriteJSON writes everything, including the raw figures.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// Read reads what WriteJSON has written.
func Read(r io.Reader) (*Result, error) {
	res := new(Result)
	if err := json.NewDecoder(r).Decode(res); err != nil {
		return nil, err
	}
	if err := res.Study.Validate(); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(res.Outcomes, func(o Outcome) bool { return o.Client == nil }) {
		return nil, fmt.Errorf("study %s has an outcome without figures", res.Study.Name)
	}
	return res, res.evaluate(res.Seed)
}

// summary returns a line about the result.
func (r *Result) summary() string {
	s := counted(r.completeRounds(), "round") + " of " + counted(r.Study.Connections, "connection") + " each"
	if r.Interrupted {
		s += fmt.Sprintf(", interrupted before round %d of %d was complete", r.completeRounds()+1, r.Study.Rounds)
	}
	if n := r.Failures(); n > 0 {
		s += "; " + counted(int(n), "connection") + " failed"
	}
	return s
}

func (r *Result) completeRounds() (n int) {
	for i := range r.Outcomes {
		n = max(n, r.Outcomes[i].Round)
	}
	return n
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

// fact is a line of the page's list about what was compared.
type fact struct{ Name, Value string }

func cpuText(p *stats.Provenance) string {
	if p.CPU == "" {
		return ""
	}
	return fmt.Sprintf("%d × %s", p.CPUs, p.CPU)
}

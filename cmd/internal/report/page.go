package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

// ChartStyle is the style of charts: colours for light and dark windows, and the font.
//
//go:embed chart.css
var ChartStyle string

//go:embed page.css
var pageRules string

// Style is the style of a page, with that of its charts.
var Style = ChartStyle + pageRules

//go:embed page.js
var pageScript string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is the input of the template.
type page struct {
	Title, Version string
	Policy         string // forbids the page to load anything
	Style          template.CSS
	Script         template.JS
	Legend         []line
	Remarks        []string
	Summary        table
	Figures        []figure
	Latencies      table
	Compared       table
}

// WritePage writes the page as one file that loads nothing.
func WritePage(w io.Writer, inputs []Input, version string) error {
	all := makeSeries(inputs)
	p := &page{
		Title: title(inputs), Version: version,
		Policy: fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; base-uri 'none'; form-action 'none'", hash(Style), hash(pageScript)),
		Style:  template.CSS(Style), Script: template.JS(pageScript),
		Remarks: remarks(all), Summary: summary(all), Figures: figures(all),
		Latencies: latencyTable(all), Compared: compared(all),
	}
	for _, s := range all {
		p.Legend = append(p.Legend, line{Label: s.Label, Index: s.Index})
	}
	return pageTemplate.Execute(w, p)
}

// hash returns how a policy identifies a script or style.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// title returns the names of the scenarios.
func title(inputs []Input) string {
	var names []string
	for i := range inputs {
		name := strings.TrimSuffix(printable(base(inputs[i].Run.Header.Scenario), 60), ".json")
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "netbench"
	}
	return strings.Join(names, ", ")
}

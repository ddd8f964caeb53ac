package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// views are those of s2n-netbench's report in its order; the views of the traces follow. Values are per
// interval, not per second. The last two views have no line: they stand for the stream strips below.
var views = []struct {
	name  string
	value func(*stats.Sample) float64
}{
	{"cpu %", func(s *stats.Sample) float64 { return s.CPU }},
	{"memory (bytes)", func(s *stats.Sample) float64 { return float64(s.Memory) }},
	{"virtual memory (bytes)", func(s *stats.Sample) float64 { return float64(s.VirtualMemory) }},
	{"cycles", func(s *stats.Sample) float64 { return float64(s.Cycles) }},
	{"instructions", func(s *stats.Sample) float64 { return float64(s.Instructions) }},
	{"branches", func(s *stats.Sample) float64 { return float64(s.Branches) }},
	{"context-switches", func(s *stats.Sample) float64 { return float64(s.ContextSwitches) }},
	{"syscalls", func(s *stats.Sample) float64 { return float64(s.Syscalls) }},
	{"connections", func(s *stats.Sample) float64 { return float64(s.Connections) }},
	{"connect-time", func(s *stats.Sample) float64 { return mean(s.ConnectTime) }},
	{"accept (streams)", func(s *stats.Sample) float64 { return float64(s.Accept) }},
	{"alloc (bytes)", func(s *stats.Sample) float64 { return float64(s.Allocs.Total) }},
	{"alloc (count)", func(s *stats.Sample) float64 { return float64(s.Allocs.Count) }},
	{"realloc (bytes)", func(s *stats.Sample) float64 { return float64(s.Reallocs.Total) }},
	{"realloc (count)", func(s *stats.Sample) float64 { return float64(s.Reallocs.Count) }},
	{"dealloc (bytes)", func(s *stats.Sample) float64 { return float64(s.Deallocs.Total) }},
	{"dealloc (count)", func(s *stats.Sample) float64 { return float64(s.Deallocs.Count) }},
	{"send (bytes)", func(s *stats.Sample) float64 { return float64(total(s.Send).Total) }},
	{"send (count)", func(s *stats.Sample) float64 { return float64(total(s.Send).Count) }},
	{"send (bytes/cpu %)", func(s *stats.Sample) float64 { return float64(total(s.Send).Total) / s.CPU }},
	{"send (bytes/instruction)", func(s *stats.Sample) float64 { return float64(total(s.Send).Total) / float64(s.Instructions) }},
	{"receive (bytes)", func(s *stats.Sample) float64 { return float64(total(s.Receive).Total) }},
	{"receive (count)", func(s *stats.Sample) float64 { return float64(total(s.Receive).Count) }},
	{"receive (bytes/cpu %)", func(s *stats.Sample) float64 { return float64(total(s.Receive).Total) / s.CPU }},
	{"receive (bytes/instruction)", func(s *stats.Sample) float64 { return float64(total(s.Receive).Total) / float64(s.Instructions) }},
	{"stream send", nil},
	{"stream receive", nil},
}

const viewStreamSend, viewStreamReceive = 25, 26

// mean returns the mean in seconds.
func mean(s stats.Stat) float64 { return float64(s.Total) / float64(s.Count) / 1e6 }

// vegaRow is a value: x in milliseconds, y, p the input, s the view, i the stream.
type vegaRow struct {
	X int64   `json:"x"`
	Y float64 `json:"y"`
	P int     `json:"p"`
	S int     `json:"s"`
	I *int    `json:"i,omitempty"`
}

// vegaData holds the rows of all inputs.
type vegaData struct {
	names          []string // of the views
	stats, streams []vegaRow
	ids            map[string]int // of streams
}

func (d *vegaData) collect(all []*series) {
	d.ids = make(map[string]int)
	for _, v := range views {
		d.names = append(d.names, v.name)
	}
	traces := make(map[string]int) // name to view
	for _, s := range all {
		run := s.in.Run
		for i := range run.Samples {
			x := &run.Samples[i]
			for v := range views {
				if views[v].value != nil {
					d.add(x.T, views[v].value(x), s.Index, v)
				}
			}
			for _, id := range slices.Sorted(maps.Keys(x.Profiles)) {
				name := "trace - " + traceName(run.Header.Traces, id)
				if _, ok := traces[name]; !ok {
					traces[name] = len(d.names)
					d.names = append(d.names, name)
				}
				d.add(x.T, mean(x.Profiles[id].Stat), s.Index, traces[name])
			}
			d.addStreams(x.T, x.Send, s.Index, viewStreamSend)
			d.addStreams(x.T, x.Receive, s.Index, viewStreamReceive)
		}
	}
}

func (d *vegaData) add(t int64, y float64, p, s int) {
	if math.IsNaN(y) || math.IsInf(y, 0) {
		y = 0
	}
	d.stats = append(d.stats, vegaRow{X: t, Y: y, P: p, S: s})
}

func (d *vegaData) addStreams(t int64, m map[string]stats.Stat, p, s int) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		id, ok := d.ids[name]
		if !ok {
			id = len(d.ids)
			d.ids[name] = id
		}
		d.streams = append(d.streams, vegaRow{X: t, Y: float64(m[name].Total), P: p, S: s, I: &id})
	}
}

// object and list make the specification readable.
type (
	object = map[string]any
	list   = []any
)

// WriteVega writes a specification for Vega 5 with the views, signals and marks of s2n-netbench's report.
func WriteVega(w io.Writer, inputs []Input) error {
	all := makeSeries(inputs)
	var d vegaData
	d.collect(all)
	drivers := make(list, 0, len(all))
	for _, s := range all {
		drivers = append(drivers, object{"name": s.Label})
	}
	spec := object{
		"$schema": "https://vega.github.io/schema/vega/v5.json",
		"title":   title(inputs), "width": 1000, "padding": 30,
		"signals": vegaSignals(d.names),
		"data":    vegaSources(&d, drivers),
		"scales": list{
			object{"name": "x", "type": "point", "range": "width", "domain": object{"data": "data$stats", "field": "x", "sort": true}},
			object{"name": "y", "type": "linear", "range": list{object{"signal": "cfg$statHeight"}, 0}, "nice": true, "zero": true, "domain": object{"data": "view$stats", "field": "y"}},
			object{"name": "color", "type": "ordinal", "range": "category", "domain": object{"data": "data$drivers", "field": "name"}},
			object{"name": "stream", "type": "linear", "range": list{0, object{"signal": "cfg$streamHeight / 2"}}, "zero": true, "domain": object{"data": "view$streams", "field": "y"}},
		},
		"axes":    vegaAxes(),
		"marks":   vegaMarks(),
		"legends": vegaLegends(),
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(spec)
}

func vegaSignals(names []string) list {
	return list{
		object{"name": "cfg$statHeight", "value": 500},
		object{"name": "cfg$streamHeight", "value": 60},
		object{"name": "cfg$padding", "value": 30},
		object{"name": "cfg$views", "value": names},
		object{"name": "ui$view", "value": names[0], "bind": object{"name": "View", "input": "select", "options": names}},
		object{"name": "sig$view", "update": "indexof(cfg$views, ui$view)"},
		object{"name": "ui$sendStreams", "value": false, "bind": object{"name": "Streams: send", "input": "checkbox"}},
		object{"name": "ui$recvStreams", "value": false, "bind": object{"name": "Streams: receive", "input": "checkbox"}},
		object{"name": "sig$legendClicks", "value": nil, "on": list{object{
			"events": "@legendSymbol:click, @legendLabel:click", "update": "{name: datum.value}", "force": true}}},
		object{"name": "pids", "update": "pluck(data('view$drivers'), 'p')"},
		object{"name": "sig$streamTypes", "update": "(ui$sendStreams ? 1 : 0) + (ui$recvStreams ? 1 : 0)"},
		object{"name": "sig$streamCount", "update": "sig$streamTypes ? length(data('view$streamIds')) : 0"},
		object{"name": "height", "update": "cfg$statHeight + (sig$streamCount ? cfg$padding + sig$streamCount * cfg$streamHeight : 0)"},
	}
}

func vegaSources(d *vegaData, drivers list) list {
	filter := func(expr string) object { return object{"type": "filter", "expr": expr} }
	formula := func(expr, as string) object { return object{"type": "formula", "expr": expr, "as": as} }
	nameOf := formula("data('data$drivers')[datum.p].name", "name")
	for i := range drivers {
		drivers[i].(object)["p"] = i
	}
	return list{
		object{"name": "data$drivers", "values": drivers},
		object{"name": "data$hidden", "on": list{object{"trigger": "sig$legendClicks", "toggle": "sig$legendClicks"}}},
		object{"name": "view$drivers", "source": "data$drivers", "transform": list{filter("!indata('data$hidden', 'name', datum.name)")}},
		object{"name": "data$stats", "values": orEmpty(d.stats)},
		object{"name": "data$streams", "values": orEmpty(d.streams)},
		object{"name": "view$stats", "source": "data$stats", "transform": list{
			filter("datum.s == sig$view && indexof(pids, datum.p) >= 0"), nameOf}},
		object{"name": "view$streams", "source": "data$streams", "transform": list{
			filter(fmt.Sprintf("indexof(pids, datum.p) >= 0 && (datum.s == %d && ui$sendStreams || datum.s == %d && ui$recvStreams)", viewStreamSend, viewStreamReceive)),
			nameOf, formula(fmt.Sprintf("datum.s == %d ? 1 : -1", viewStreamSend), "down")}},
		object{"name": "view$streamIds", "source": "view$streams", "transform": list{object{"type": "aggregate", "groupby": list{"i"}}}},
	}
}

// orEmpty returns an empty list instead of nil, which would be written as null.
func orEmpty(rows []vegaRow) []vegaRow {
	if rows == nil {
		return []vegaRow{}
	}
	return rows
}

func vegaAxes() list {
	seconds := object{"labels": object{"update": object{"text": object{"signal": "format(datum.value / 1000, '~r') + 's'"}}}}
	return list{
		object{"orient": "bottom", "scale": "x", "labelOverlap": true, "encode": seconds},
		object{"orient": "top", "scale": "x", "labelOverlap": true, "encode": seconds},
		object{"orient": "left", "scale": "y", "format": "~s", "grid": true, "title": object{"signal": "ui$view"}},
	}
}

func vegaMarks() list {
	color := object{"scale": "color", "field": "name"}
	x := object{"scale": "x", "field": "x"}
	middle := "cfg$statHeight + cfg$padding + (datum.i + 0.5) * cfg$streamHeight"
	return list{
		object{"type": "group", "from": object{"facet": object{"name": "series", "data": "view$stats", "groupby": list{"p"}}},
			"marks": list{object{"type": "line", "from": object{"data": "series"}, "encode": object{
				"enter":  object{"strokeWidth": object{"value": 2}},
				"update": object{"x": x, "y": object{"scale": "y", "field": "y"}, "stroke": color}}}}},
		object{"type": "group", "from": object{"facet": object{"name": "strip", "data": "view$streams", "groupby": list{"p", "s", "i"}}},
			"marks": list{object{"type": "area", "from": object{"data": "strip"}, "encode": object{
				"enter": object{"fillOpacity": object{"value": 0.6}},
				"update": object{"x": x, "fill": color,
					"y":  object{"signal": middle},
					"y2": object{"signal": middle + " + datum.down * scale('stream', datum.y)"}}}}}},
	}
}

func vegaLegends() list {
	clickable := func(name string) object {
		return object{"name": name, "interactive": true, "update": object{
			"opacity": list{object{"test": "indata('data$hidden', 'name', datum.value)", "value": 0.3}, object{"value": 1}}}}
	}
	return list{object{"orient": "bottom", "title": "Driver", "direction": "vertical", "stroke": "color",
		"encode": object{"symbols": clickable("legendSymbol"), "labels": clickable("legendLabel")}}}
}

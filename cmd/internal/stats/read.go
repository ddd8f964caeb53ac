package stats

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

const (
	// maxLine bounds a line. The longest that make sense are those of s2n-netbench's collector, with two
	// entries for each stream of an interval: some 40 bytes each.
	maxLine = 16 << 20
	// maxSamples bounds the lines that are kept: twelve days at one a second.
	maxSamples = 1 << 20
	// maxProblems bounds the list of what is wrong with a file.
	maxProblems = 20
)

// A Run is what a file of statistics holds.
type Run struct {
	Header  Header
	Samples []Sample // in the order of time

	// Foreign tells that the file was not written by our collector or one of our drivers, but by
	// s2n-netbench's: its times are nominal, and connections and accepted streams counted too low.
	Foreign bool
	// Problems say, for people, what was wrong with the file and what was done about it.
	Problems []string
	// Notes are those that the file itself holds.
	Notes []string
}

// ErrNoHeader is returned by Read for what is not a file of statistics.
var ErrNoHeader = errors.New("no statistics: the first line is not a header with the name of a driver")

// Read reads a file of statistics: ours, or one of s2n-netbench's collector. A line that is damaged, as
// the last one of a run that was killed is, is reported among the problems and the rest is used.
func Read(r io.Reader) (*Run, error) {
	in := &lines{r: bufio.NewReaderSize(r, 64<<10)}
	var run Run
	if err := run.readHeader(in); err != nil {
		return nil, err
	}
	for {
		text, whole, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			run.problem("reading ended after line %d: %v", in.n, err)
			break
		}
		if len(bytes.TrimSpace(text)) == 0 && whole {
			continue
		}
		if len(run.Samples) == maxSamples {
			run.problem("only the first %d samples were used", maxSamples)
			break
		}
		run.readSample(text, whole, in)
	}
	run.order()
	if run.Foreign {
		run.correctMemory()
	}
	return &run, nil
}

func (run *Run) readHeader(in *lines) error {
	text, whole, err := in.next()
	if err != nil && err != io.EOF {
		return err
	}
	if err == io.EOF || !whole {
		return ErrNoHeader
	}
	// A pointer tells a name that is missing from one that is empty.
	var must struct {
		Driver *string `json:"driver"`
	}
	if json.Unmarshal(text, &must) != nil || must.Driver == nil {
		return ErrNoHeader
	}
	if err := json.Unmarshal(text, &run.Header); err != nil {
		return fmt.Errorf("the header: %w", err)
	}
	h := &run.Header
	run.Foreign = h.Collector == "" && h.Role == "" && h.Provenance == nil
	return nil
}

// readSample adds one line.
func (run *Run) readSample(text []byte, whole bool, in *lines) {
	var line struct {
		T      *int64 `json:"t"`
		Sample        // whose T is hidden by the one above
	}
	s := &line.Sample
	switch err := json.Unmarshal(text, &line); {
	case !whole:
		run.problem("line %d is longer than %d bytes: left out", in.n, maxLine)
	case err != nil && in.last:
		run.problem("the last line (%d) is cut off: left out, the rest is used", in.n)
	case err != nil:
		run.problem("line %d is damaged: left out", in.n)
	case line.T == nil || *line.T < 0:
		run.problem("line %d has no time: left out", in.n)
	default:
		s.T = *line.T
		if s.clean() {
			run.problem("line %d has counts below zero: left out", in.n)
		}
		if s.Provenance != nil {
			run.Header.learn(s.Provenance)
		}
		run.Notes = append(run.Notes, s.Notes...)
		run.Samples = append(run.Samples, *s)
	}
}

func (run *Run) problem(format string, args ...any) {
	switch {
	case len(run.Problems) < maxProblems:
		run.Problems = append(run.Problems, fmt.Sprintf(format, args...))
	case len(run.Problems) == maxProblems:
		run.Problems = append(run.Problems, "and more")
	}
}

// order puts the samples in the order of time.
func (run *Run) order() {
	byTime := func(a, b Sample) int {
		switch {
		case a.T < b.T:
			return -1
		case a.T > b.T:
			return 1
		}
		return 0
	}
	if !slices.IsSortedFunc(run.Samples, byTime) {
		run.problem("the samples are not in the order of time: sorted")
		slices.SortStableFunc(run.Samples, byTime)
	}
}

// correctMemory undoes what s2n-netbench's collector does since it multiplies by 1000 what is bytes
// already: no process that runs has less than a megabyte resident, so each shows at least 10^9; and a
// driver that really needs that much has not been seen. The files of 2022 are right.
func (run *Run) correctMemory() {
	var most int64
	for i := range run.Samples {
		if run.Samples[i].Memory%1000 != 0 {
			return
		}
		most = max(most, run.Samples[i].Memory)
	}
	if most < 1e9 {
		return
	}
	for i := range run.Samples {
		run.Samples[i].Memory /= 1000
		run.Samples[i].VirtualMemory /= 1000
	}
	run.problem("memory was divided by 1000, which the collector of s2n-netbench multiplies it by once too often")
}

// learn takes over what is not known yet.
func (h *Header) learn(p *Provenance) {
	if h.Provenance == nil {
		h.Provenance = new(Provenance)
	}
	h.Provenance.Learn(p)
}

// Learn takes over what o knows and p does not.
func (p *Provenance) Learn(o *Provenance) {
	text := func(to *string, from string) {
		if *to == "" {
			*to = from
		}
	}
	text(&p.Version, o.Version)
	text(&p.Go, o.Go)
	text(&p.OS, o.OS)
	text(&p.Kernel, o.Kernel)
	text(&p.CPU, o.CPU)
	text(&p.Governor, o.Governor)
	text(&p.Transport, o.Transport)
	text(&p.Provider, o.Provider)
	text(&p.Library, o.Library)
	text(&p.Group, o.Group)
	text(&p.CipherSuite, o.CipherSuite)
	text(&p.Certificate, o.Certificate)
	if p.CPUs == 0 {
		p.CPUs = o.CPUs
	}
	if p.Flags == nil {
		p.Flags = o.Flags
	}
	p.FIPS = p.FIPS || o.FIPS
}

// clean removes what no count can be, so that sums hold, and tells whether there was any.
func (s *Sample) clean() (found bool) {
	number := func(v *int64) {
		if *v < 0 {
			*v, found = 0, true
		}
	}
	for _, v := range []*int64{&s.Cycles, &s.Instructions, &s.Branches, &s.ContextSwitches, &s.Memory,
		&s.VirtualMemory, &s.Syscalls, &s.Connections, &s.Accept, &s.CPUTime, &s.PeakMemory,
		&s.CollectorCPU, &s.Completed, &s.Resumed, &s.Allocs.Count, &s.Allocs.Total, &s.Reallocs.Count, &s.Reallocs.Total,
		&s.Deallocs.Count, &s.Deallocs.Total, &s.ConnectTime.Count, &s.ConnectTime.Total} {
		number(v)
	}
	if s.CPU < 0 {
		s.CPU, found = 0, true
	}
	for _, m := range []map[string]Stat{s.Send, s.Receive} {
		maps.DeleteFunc(m, func(_ string, v Stat) bool {
			bad := v.Count < 0 || v.Total < 0
			found = found || bad
			return bad
		})
	}
	maps.DeleteFunc(s.Failed, func(_ string, n int64) bool {
		found = found || n < 0
		return n < 0
	})
	for _, m := range []map[string]*Profile{s.Profiles, s.Latency} {
		maps.DeleteFunc(m, func(_ string, p *Profile) bool { return p == nil })
		for _, p := range m {
			n := len(p.Buckets)
			p.Buckets = slices.DeleteFunc(p.Buckets, func(b Bucket) bool {
				return b.Count < 0 || b.Lower < 0 || b.Upper < b.Lower
			})
			found = found || n != len(p.Buckets)
			number(&p.Stat.Count)
			number(&p.Stat.Total)
		}
	}
	return found
}

// lines reads lines of bounded length.
type lines struct {
	r    *bufio.Reader
	buf  []byte
	n    int  // lines read
	last bool // the line had no end
}

// next returns the next line, valid until the next call. whole is false for one that was too long, of
// which nothing is returned. The error at the end of the input is io.EOF.
func (l *lines) next() (text []byte, whole bool, err error) {
	l.buf, l.last = l.buf[:0], false
	var size int
	for {
		part, err := l.r.ReadSlice('\n')
		size += len(part)
		if size <= maxLine {
			l.buf = append(l.buf, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && size == 0:
			return nil, false, io.EOF
		case err != nil && err != io.EOF:
			return nil, false, err
		}
		l.n++
		l.last = err == io.EOF
		if size > maxLine {
			l.buf = nil
			return nil, false, nil
		}
		return bytes.TrimSuffix(l.buf, []byte("\n")), true, nil
	}
}

// A Decoder reads the lines that a driver writes while it runs.
type Decoder struct{ in lines }

// NewDecoder reads from r.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{in: lines{r: bufio.NewReaderSize(r, 64<<10)}}
}

// Next returns the next header or sample; a line that is neither is an error that does not end the
// stream, except for those of reading, io.EOF among them.
func (d *Decoder) Next() (*Header, *Sample, error) {
	text, whole, err := d.in.next()
	if err != nil {
		return nil, nil, err
	}
	if !whole {
		return nil, nil, &LineError{d.in.n, "too long"}
	}
	var line struct {
		T      *int64  `json:"t"`
		Driver *string `json:"driver"`
		Sample         // whose T is hidden by the one above
	}
	if err := json.Unmarshal(text, &line); err != nil {
		return nil, nil, &LineError{d.in.n, "damaged"}
	}
	switch {
	case line.T != nil:
		s := &line.Sample
		s.T = *line.T
		if s.clean() {
			return nil, nil, &LineError{d.in.n, "damaged"}
		}
		return nil, s, nil
	case line.Driver != nil:
		h := new(Header)
		if json.Unmarshal(text, h) != nil {
			return nil, nil, &LineError{d.in.n, "damaged"}
		}
		return h, nil, nil
	}
	return nil, nil, &LineError{d.in.n, "neither a header nor a sample"}
}

// A LineError is about one line.
type LineError struct {
	Line int
	What string
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d is %s", e.Line, e.What) }

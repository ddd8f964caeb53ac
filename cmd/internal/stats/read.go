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
	// maxLine bounds a line. The longest useful ones come from s2n-netbench's collector, with two entries
	// of about 40 bytes for each stream of an interval.
	maxLine = 16 << 20
	// maxSamples bounds the number of samples that are kept: twelve days at one a second.
	maxSamples = 1 << 20
	// maxProblems bounds the list of problems reported for a file.
	maxProblems = 20
)

// A Run is the content of a statistics file.
type Run struct {
	Header  Header
	Samples []Sample // in order of time

	// FromS2N reports whether s2n-netbench's collector wrote the file, and not our collector or a driver.
	// Its times are nominal, and it counts too few connections and accepted streams.
	FromS2N bool
	// Problems describes what is invalid in the file and how Read handled it, in words.
	Problems []string
	// Notes are the notes that the file itself contains.
	Notes []string
}

// ErrNoHeader is returned by Read for input that is not a statistics file.
var ErrNoHeader = errors.New("not a statistics file: the first line is not a header that names a driver")

// Read reads a statistics file, ours or one of s2n-netbench's collector. Damaged lines, such as the last
// line of a run that was killed, are reported in Problems and left out.
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
			run.problem("reading failed after line %d: %v", in.n, err)
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
	if run.FromS2N {
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
	// A pointer distinguishes a missing name from an empty one.
	var must struct {
		Driver *string `json:"driver"`
	}
	if json.Unmarshal(text, &must) != nil || must.Driver == nil {
		return ErrNoHeader
	}
	if err := json.Unmarshal(text, &run.Header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	h := &run.Header
	run.FromS2N = h.Collector == "" && h.Role == "" && h.Provenance == nil
	return nil
}

// readSample adds one line.
func (run *Run) readSample(text []byte, whole bool, in *lines) {
	var line struct {
		T      *int64 `json:"t"`
		Sample        // its T is hidden by the one above
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
		run.problem("line %d has no time \"t\": left out", in.n)
	default:
		s.T = *line.T
		if s.clean() {
			run.problem("line %d has negative counts: they are left out", in.n)
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
		run.Problems = append(run.Problems, "further problems are not listed")
	}
}

// order sorts the samples by time.
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
		run.problem("the samples were not in order of time: they have been sorted")
		slices.SortStableFunc(run.Samples, byTime)
	}
}

// correctMemory corrects files of s2n-netbench's newer collector, which multiplies a number of bytes by
// 1000. A process has at least a megabyte of resident memory, so such a file shows at least 10^9 in each
// sample; no driver is known to use that much. Files of 2022 are correct.
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
	run.problem("memory was divided by 1000: s2n-netbench's collector multiplies it by 1000 once too often")
}

// learn fills in fields that are not known yet.
func (h *Header) learn(p *Provenance) {
	if h.Provenance == nil {
		h.Provenance = new(Provenance)
	}
	h.Provenance.Learn(p)
}

// Learn copies the fields that are set in o and empty in p.
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

// clean removes negative counts, so that sums stay correct, and reports whether it found any.
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
	last bool // the line did not end with a newline
}

// next returns the next line, which is valid until the next call. For a line that was too long, text is empty and whole
// is false. At the end of the input the error is io.EOF.
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

// NewDecoder returns a Decoder that reads from r.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{in: lines{r: bufio.NewReaderSize(r, 64<<10)}}
}

// Next returns the next header or sample. A line that is neither returns a *LineError, after which Next may
// be called again. Read errors, including io.EOF, end the stream.
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
		Sample         // its T is hidden by the one above
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

// A LineError reports a line that cannot be used.
type LineError struct {
	Line int
	What string
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d is %s", e.Line, e.What) }

package stats

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// s2nFile is a file as s2n-netbench's collector writes it.
const s2nFile = `{"pid":4242,"driver":"./target/release/s2n-netbench-driver-client-s2n-quic","scenario":"./target/s2n-netbench/request_response.json","start_time":{"secs_since_epoch":1720807509,"nanos_since_epoch":123456789},"traces":["lbl","request","response"]}
{"t":0,"memory":8192000000,"virtual_memory":90112000000}
{"t":1000,"cpu":98.5,"cycles":3012,"instructions":5120,"branches":9000,"context_switches":2,"memory":12288000000,"virtual_memory":90112000000,"syscalls":12345,"connections":812,"accept":812,"allocs":{"count":5,"total":900},"reallocs":{"count":1,"total":64},"deallocs":{"count":5,"total":900},"connect_time":{"count":812,"total":901234},"send":{"0:0":{"count":1,"total":1}},"receive":{"0:0":{"count":1,"total":1}},"profiles":{"0":{"stat":{"count":812,"total":1234567},"buckets":[{"lower":128,"upper":256,"count":800}]}}}
`

func TestReadS2N(t *testing.T) {
	run, err := Read(strings.NewReader(s2nFile))
	require.NoError(t, err)
	require.True(t, run.FromS2N)
	require.Equal(t, []string{"lbl", "request", "response"}, run.Header.Traces)
	require.Equal(t, Time{1720807509, 123456789}, run.Header.StartTime)
	require.Len(t, run.Samples, 2)
	s := run.Samples[1]
	require.EqualValues(t, 12288000, s.Memory, "memory is in bytes")
	require.EqualValues(t, 90112000, s.VirtualMemory)
	require.Equal(t, Stat{812, 901234}, s.ConnectTime)
	require.Equal(t, Stat{1, 1}, s.Send["0:0"])
	require.Equal(t, []Bucket{{128, 256, 800}}, s.Profiles["0"].Buckets)
	require.Len(t, run.Problems, 1)
	require.Contains(t, run.Problems[0], "divided by 1000")
}

// The collector of 2022 reported memory correctly and had fewer fields.
func TestReadS2NOf2022(t *testing.T) {
	run, err := Read(strings.NewReader(`{"pid":1,"driver":"netbench-driver-s2n-quic-server","scenario":"x.json","start_time":{"secs_since_epoch":1,"nanos_since_epoch":2}}
{"t":0,"memory":8000000,"virtual_memory":9000000000}
`))
	require.NoError(t, err)
	require.EqualValues(t, 8000000, run.Samples[0].Memory)
	require.EqualValues(t, 9000000000, run.Samples[0].VirtualMemory)
	require.Empty(t, run.Problems)
}

func TestReadTruncated(t *testing.T) {
	for cut := 1; cut < 100; cut += 7 {
		run, err := Read(strings.NewReader(s2nFile[:len(s2nFile)-1-cut]))
		require.NoError(t, err)
		require.Len(t, run.Samples, 1, "the other lines are used")
		require.Contains(t, run.Problems[0], "the last line (3) is cut off")
	}
	run, err := Read(strings.NewReader(strings.TrimSuffix(s2nFile, "\n")))
	require.NoError(t, err)
	require.Len(t, run.Samples, 2, "only the end of the line is missing")
}

func TestReadDamaged(t *testing.T) {
	run, err := Read(strings.NewReader(`{"driver":"d","role":"client"}
{"t":2000,"memory":1}
garbage

{"memory":5}
{"t":1000,"memory":2,"connections":-5,"send":{"0:0":{"count":-1,"total":1}},"profiles":{"0":null},"latency":{"connect":{"stat":{"count":1,"total":9},"buckets":[{"lower":9,"upper":3,"count":1},{"lower":1,"upper":3,"count":1}]}}}
{"t":-1}
`))
	require.NoError(t, err)
	require.False(t, run.FromS2N)
	require.Len(t, run.Samples, 2)
	require.EqualValues(t, 1000, run.Samples[0].T)
	require.Zero(t, run.Samples[0].Connections)
	require.Empty(t, run.Samples[0].Send)
	require.Empty(t, run.Samples[0].Profiles)
	require.Equal(t, []Bucket{{1, 3, 1}}, run.Samples[0].Latency["connect"].Buckets)
	require.Equal(t, []string{
		"line 3 is damaged: left out", "line 5 has no time \"t\": left out",
		"line 6 has negative counts: they are left out", "line 7 has no time \"t\": left out",
		"the samples were not in order of time: they have been sorted",
	}, run.Problems)
}

func TestReadNoStatistics(t *testing.T) {
	for _, text := range []string{"", "\n", "{}\n", "[]\n", "{\"t\":0}\n", "<html>\n", `{"driver":3}` + "\n"} {
		_, err := Read(strings.NewReader(text))
		require.Error(t, err, "%q", text)
	}
}

// An overlong line is not kept in memory, and the lines behind it are read.
func TestReadHugeLine(t *testing.T) {
	run, err := Read(strings.NewReader(`{"driver":"d"}` + "\n" +
		`{"t":1,"notes":["` + strings.Repeat("x", maxLine) + `"]}` + "\n" + `{"t":2}` + "\n"))
	require.NoError(t, err)
	require.Len(t, run.Samples, 1)
	require.EqualValues(t, 2, run.Samples[0].T)
	require.Equal(t, []string{"line 2 is longer than 16777216 bytes: left out"}, run.Problems)
}

func TestReadLearns(t *testing.T) {
	run, err := Read(strings.NewReader(`{"driver":"d","provenance":{"kernel":"6.1"}}
{"t":1,"provenance":{"kernel":"other","group":"X25519MLKEM768"},"notes":["no counters"]}
`))
	require.NoError(t, err)
	require.Equal(t, &Provenance{Kernel: "6.1", Group: "X25519MLKEM768"}, run.Header.Provenance)
	require.Equal(t, []string{"no counters"}, run.Notes)
}

func TestMergeProfiles(t *testing.T) {
	a := &Profile{Stat{3, 30}, []Bucket{{1, 2, 1}, {4, 8, 2}}}
	a.Merge(&Profile{Stat{4, 40}, []Bucket{{2, 4, 1}, {4, 8, 2}, {16, 32, 1}}})
	require.Equal(t, &Profile{Stat{7, 70}, []Bucket{{1, 2, 1}, {2, 4, 1}, {4, 8, 4}, {16, 32, 1}}}, a)
}

func TestQuantile(t *testing.T) {
	p := &Profile{Buckets: []Bucket{{0, 100, 50}, {100, 200, 40}, {1000, 2000, 10}}}
	for q, want := range map[float64]float64{0: 0, 0.25: 50, 0.5: 100, 0.9: 200, 0.95: 1500, 1: 2000} {
		got, ok := p.Quantile(q)
		require.True(t, ok)
		require.InDelta(t, want, got, 1e-9, "%v", q)
	}
	_, ok := new(Profile).Quantile(0.5)
	require.False(t, ok)
}

func TestMergeSample(t *testing.T) {
	s := Sample{T: 7, Memory: 5}
	for range 2 {
		s.Merge(&Sample{T: 9, Connections: 2, Completed: 1, Failed: map[string]int64{"timeout": 1},
			Send: map[string]Stat{"0:0": {1, 10}}, Latency: map[string]*Profile{"connect": {Stat: Stat{1, 3}}}, Final: true})
	}
	require.Equal(t, Sample{T: 7, Memory: 5, Connections: 4, Completed: 2, Failed: map[string]int64{"timeout": 2},
		Send: map[string]Stat{"0:0": {2, 20}}, Latency: map[string]*Profile{"connect": {Stat: Stat{2, 6}, Buckets: []Bucket{}}}, Final: true}, s)
}

// FuzzRead checks that counts are never negative and times ascend, whatever the file contains.
func FuzzRead(f *testing.F) {
	f.Add([]byte(s2nFile))
	f.Add([]byte(s2nFile[:len(s2nFile)-40]))
	f.Add([]byte(`{"driver":"d","role":"server"}` + "\n" + `{"t":5,"failed":{"x":-1},"latency":{"a":null}}` + "\n\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := Read(strings.NewReader(string(data)))
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(run.Problems), maxProblems+1)
		last := int64(0)
		for i := range run.Samples {
			s := &run.Samples[i]
			require.GreaterOrEqual(t, s.T, last)
			last = s.T
			require.False(t, s.clean())
			for _, p := range s.Latency {
				p.Quantile(0.5)
			}
		}
		_, err = json.Marshal(run.Samples)
		require.NoError(t, err, "the result can be written")
	})
}

// FuzzDecoder checks that a decoder ends with its input, whatever that is.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte(s2nFile))
	f.Add([]byte("{\"t\":1}\nnonsense\n{}\n{\"driver\":\"d\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := NewDecoder(strings.NewReader(string(data)))
		var sum Sample
		for range strings.Count(string(data), "\n") + 1 {
			h, s, err := d.Next()
			if err == io.EOF {
				return
			}
			require.True(t, err != nil || (h != nil) != (s != nil), "a header, a sample or an error")
			if s != nil {
				sum.Merge(s)
			}
		}
		_, _, err := d.Next()
		require.Equal(t, io.EOF, err)
	})
}

// A driver's lines are read as they were written. CPU time is the time since the previous line.
func TestRecorderIsRead(t *testing.T) {
	var b strings.Builder
	r := NewRecorder(&b, &Header{Driver: "d", Role: "client"})
	for range 3 {
		r.Connected(Handshake{Took: 1500 * time.Microsecond, Group: "X25519", CipherSuite: "suite"})
		r.Write(false)
	}
	r.Write(true)
	run, err := Read(strings.NewReader(b.String()))
	require.NoError(t, err)
	require.Empty(t, run.Problems)
	require.Len(t, run.Samples, 4)
	var cpu int64
	for _, s := range run.Samples {
		cpu += s.CPUTime
	}
	require.LessOrEqual(t, cpu, CPUTime().Microseconds(), "the process's total")
	require.True(t, run.Samples[3].Final)
}

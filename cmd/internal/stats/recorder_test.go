package stats

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Read reads what a recorder writes: the sum of the lines equals what happened.
func TestRecorder(t *testing.T) {
	var b bytes.Buffer
	r := NewRecorder(&b, &Header{PID: 7, Driver: "d", Scenario: "s", Role: "client", Provenance: &Provenance{Transport: "x"}})
	r.Begin()
	stream := r.Stream(2, 5)
	var side sync.WaitGroup
	for range 4 {
		side.Go(func() {
			for range 100 {
				r.Connected(Handshake{Took: 3 * time.Millisecond, Group: "X25519MLKEM768", CipherSuite: "suite", Resumed: true})
				r.Accept()
				stream.Sent(10)
				r.Stream(2, 5).Received(20)
				r.Latency(Request, 5*time.Millisecond)
				r.Profile(1, 7*time.Millisecond)
				r.Completed()
			}
			r.Write(false)
		})
	}
	side.Wait()
	r.Failed("refused")
	r.Write(true)

	run, err := Read(&b)
	require.NoError(t, err)
	require.Empty(t, run.Problems)
	require.False(t, run.FromS2N)
	require.Len(t, run.Samples, 5)
	var sum Sample
	for i := range run.Samples {
		sum.Merge(&run.Samples[i])
	}
	require.True(t, sum.Final)
	require.EqualValues(t, 400, sum.Connections)
	require.EqualValues(t, 400, sum.Completed)
	require.EqualValues(t, 400, sum.Resumed)
	require.EqualValues(t, 400, sum.Accept)
	require.Equal(t, Stat{400, 400 * 3000}, sum.ConnectTime)
	require.Equal(t, map[string]Stat{"2:5": {400, 4000}}, sum.Send)
	require.Equal(t, map[string]Stat{"2:5": {400, 8000}}, sum.Receive)
	require.Equal(t, map[string]int64{"refused": 1}, sum.Failed)
	require.Equal(t, Stat{400, 400 * 7000}, sum.Profiles["1"].Stat)
	require.Equal(t, Stat{400, 400 * 5000}, sum.Latency[Request].Stat)
	q, ok := sum.Latency[Connect].Quantile(0.5)
	require.True(t, ok)
	require.InEpsilon(t, 3000, q, 0.02)
	require.Equal(t, "X25519MLKEM768", run.Header.Provenance.Group, "known from the first connection")

	s := r.Summary()
	require.EqualValues(t, 400, s.Connections)
	require.EqualValues(t, 400, s.Resumed)
	require.EqualValues(t, 4000, s.BytesSent)
	require.EqualValues(t, 8000, s.BytesReceived)
	require.EqualValues(t, 400, s.Latency[Connect].Count)
	require.InEpsilon(t, 3000, s.Latency[Connect].P999, 0.01)
	require.Equal(t, map[string]int64{"refused": 1}, s.Failed)
}

// An unknown handshake time is not counted as a short one.
func TestUnknownHandshakeTime(t *testing.T) {
	var b bytes.Buffer
	r := NewRecorder(&b, new(Header))
	r.Connected(Handshake{Group: "X25519"})
	r.Write(true)
	run, err := Read(&b)
	require.NoError(t, err)
	require.EqualValues(t, 1, run.Samples[0].Connections)
	require.Zero(t, run.Samples[0].ConnectTime)
	require.Empty(t, run.Samples[0].Latency)
	require.Empty(t, r.Summary().Latency)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, bytes.ErrTooLarge }

func TestRecorderWriteError(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	err := NewRecorder(broken{}, new(Header)).Run(time.Hour, stop)
	require.ErrorIs(t, err, bytes.ErrTooLarge)
	require.True(t, strings.HasPrefix(err.Error(), "writing statistics: "))
}

// Counting must not disturb the measurement.
func TestRecorderAllocatesNothingPerByteCounted(t *testing.T) {
	c := NewRecorder(nil, new(Header)).Stream(0, 0)
	require.Zero(t, testing.AllocsPerRun(100, func() { c.Sent(1); c.Received(1) }))
}

func BenchmarkRecorderConnection(b *testing.B) {
	r := NewRecorder(nil, new(Header))
	for b.Loop() {
		r.Connected(Handshake{Took: time.Millisecond})
		c := r.Stream(0, 0)
		c.Sent(1)
		c.Received(1)
		r.Latency(FirstByte, time.Millisecond)
		r.Latency(Request, time.Millisecond)
		r.Completed()
	}
}

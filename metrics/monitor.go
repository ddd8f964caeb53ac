package metrics

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/pqquic/pqquic/quic"
)

// A Monitor gathers metrics. Its methods are safe for concurrent use.
type Monitor struct {
	mu        sync.Mutex
	endpoints map[*quic.Endpoint]bool
	live      map[*quic.Conn]time.Time // when each connection began
	observers map[*Observer]bool
	dirs      [2]directionStats
	removed   endpointCounters // of endpoints that were removed
}

// An Observer gets each observation of a Histogram: a duration in seconds.
type Observer func(f *Family, labels []string, seconds float64)

// directionStats are the metrics of the connections of one direction.
type directionStats struct {
	started, downgrades uint64
	closed              map[string]uint64 // by cause
	handshakes          map[handshakeKind]uint64
	requests            map[requestKind]uint64
	durations           [3]histogram // of the families in histograms
	ended               quic.TrafficStats
	endedStreams        [2]int64 // opened by this side and by the peer
}

type handshakeKind struct {
	group                string
	postQuantum, resumed bool
}

var (
	dirNames   = [2]string{"incoming", "outgoing"}
	histograms = [3]*Family{&handshakeDuration, &connectionDuration, &roundTripTime}
)

// NewMonitor returns a Monitor without endpoints.
func NewMonitor() *Monitor {
	m := &Monitor{endpoints: make(map[*quic.Endpoint]bool), live: make(map[*quic.Conn]time.Time), observers: make(map[*Observer]bool)}
	for i := range m.dirs {
		m.dirs[i].closed, m.dirs[i].handshakes = make(map[string]uint64), make(map[handshakeKind]uint64)
		m.dirs[i].requests = make(map[requestKind]uint64)
	}
	return m
}

// Config returns a copy of cfg whose OnConn also informs the Monitor. cfg may be nil.
func (m *Monitor) Config(cfg *quic.Config) *quic.Config {
	var c quic.Config
	if cfg != nil {
		c = *cfg
	}
	next := c.OnConn
	c.OnConn = func(conn *quic.Conn, ev quic.ConnEvent) {
		m.onConn(conn, ev)
		if next != nil {
			next(conn, ev)
		}
	}
	return &c
}

// Add adds the counters of an Endpoint that belong to no connection. The function that it returns removes the
// Endpoint. The metrics keep what it has counted.
func (m *Monitor) Add(e *quic.Endpoint) (remove func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endpoints[e] = true
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.endpoints[e] {
			delete(m.endpoints, e)
			s := e.Stats()
			s.SendMemory, s.ReceiveMemory = 0, 0 // of connections that are not the Monitor's any more
			m.removed.add(s)
		}
	}
}

// Observe calls o for each observation of a Histogram from now on, until the function that it returns is called.
// o must not block.
func (m *Monitor) Observe(o Observer) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.observers[&o] = true
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.observers, &o)
	}
}

// direction returns the index of a connection's direction.
func direction(c *quic.Conn) int {
	if c.IsServer() {
		return 0
	}
	return 1
}

func (m *Monitor) onConn(c *quic.Conn, ev quic.ConnEvent) {
	switch ev {
	case quic.ConnBegun:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.live[c] = time.Now()
		m.dirs[direction(c)].started++
	case quic.ConnEstablished:
		m.established(c)
	case quic.ConnEnded:
		m.ended(c)
	}
}

func (m *Monitor) established(c *quic.Conn) {
	state, stats, dir := c.ConnectionState(), c.Stats(), direction(c)
	m.mu.Lock()
	defer m.mu.Unlock()
	d := &m.dirs[dir]
	d.handshakes[handshakeKind{state.TLS.Group.String(), state.TLS.Group.PostQuantum(), state.TLS.Resumed}]++
	if state.Downgraded {
		d.downgrades++
	}
	m.observe(dir, 0, stats.HandshakeTime)
}

func (m *Monitor) ended(c *quic.Conn) {
	stats, dir := c.Stats(), direction(c)
	done := isDone(c)
	m.mu.Lock()
	defer m.mu.Unlock()
	d := &m.dirs[dir]
	begun := m.live[c]
	delete(m.live, c)
	d.closed[reason(context.Cause(c.Context()), done)]++
	d.ended.Add(&stats.TrafficStats)
	d.endedStreams[0] += stats.Streams.LocalStreams
	d.endedStreams[1] += stats.Streams.PeerStreams
	if done {
		m.observe(dir, 1, time.Since(begun))
		m.observe(dir, 2, stats.SmoothedRTT)
	}
}

// observe adds an observation to a histogram. mu is held.
func (m *Monitor) observe(dir, which int, v time.Duration) {
	f := histograms[which]
	m.dirs[dir].durations[which].observe(f, v.Seconds())
	for o := range m.observers {
		(*o)(f, []string{dirNames[dir]}, v.Seconds())
	}
}

// isDone reports whether the handshake of a connection was completed.
func isDone(c *quic.Conn) bool {
	select {
	case <-c.HandshakeComplete():
		return true
	default:
		return false
	}
}

// reason returns why a connection has ended, in the words of quic-go's former metrics.
func reason(err error, done bool) string {
	var app *quic.ApplicationError
	var transport *quic.TransportError
	var version *quic.VersionNegotiationError
	by := func(what string, remote bool) string {
		if remote {
			return what + " (remote)"
		}
		return what + " (local)"
	}
	switch {
	case errors.Is(err, quic.ErrStatelessReset):
		return "stateless_reset"
	case errors.Is(err, quic.ErrHandshakeTimeout), errors.Is(err, quic.ErrIdleTimeout) && !done:
		return "handshake_timeout"
	case errors.Is(err, quic.ErrIdleTimeout):
		return "idle_timeout"
	case errors.As(err, &version):
		return "version_mismatch"
	case errors.As(err, &app):
		return by("application_error", app.Remote)
	case errors.As(err, &transport):
		if _, alert := transport.Code.Alert(); alert {
			return by("crypto_error", transport.Remote)
		}
		if transport.Code == quic.ApplicationErrorCode {
			return by("application_error", transport.Remote)
		}
		if transport.Remote {
			return "transport_error (remote)"
		}
		return "transport_error (local): " + transport.Code.String()
	case errors.Is(err, quic.ErrEndpointClosed), errors.Is(err, quic.ErrListenerClosed):
		return "endpoint_closed"
	}
	return "unknown"
}

// Gather returns all metrics. It takes the lock of each connection for a moment.
func (m *Monitor) Gather() []Sample {
	m.mu.Lock()
	dirs := m.dirs
	conns := make([]*quic.Conn, 0, len(m.live))
	for c := range m.live {
		conns = append(conns, c)
	}
	endpoints := m.removed.clone()
	for e := range m.endpoints {
		endpoints.add(e.Stats())
	}
	var out []Sample
	for i := range dirs {
		out = append(out, dirs[i].samples(dirNames[i])...)
	}
	m.mu.Unlock()

	var open [2]int
	for _, c := range conns {
		s, dir := c.Stats(), direction(c)
		dirs[dir].ended.Add(&s.TrafficStats)
		dirs[dir].endedStreams[0] += s.Streams.LocalStreams
		dirs[dir].endedStreams[1] += s.Streams.PeerStreams
		open[dir]++
	}
	for i := range dirs {
		out = append(out, Sample{Family: &current, Labels: []string{dirNames[i]}, Value: float64(open[i])})
		out = append(out, trafficSamples(&dirs[i], dirNames[i])...)
	}
	return append(out, endpoints.samples()...)
}

// samples returns the metrics that are not read from connections. mu is held.
func (d *directionStats) samples(dir string) (out []Sample) {
	add := func(f *Family, v uint64, labels ...string) {
		out = append(out, Sample{Family: f, Labels: append([]string{dir}, labels...), Value: float64(v)})
	}
	add(&started, d.started)
	add(&downgrades, d.downgrades)
	for reason, n := range d.closed {
		add(&closed, n, reason)
	}
	for k, n := range d.handshakes {
		add(&handshakes, n, k.group, strconv.FormatBool(k.postQuantum), strconv.FormatBool(k.resumed))
	}
	for k, n := range d.requests {
		add(&requests, n, k.protocol, k.status, k.group, strconv.FormatBool(k.postQuantum))
	}
	for i, f := range histograms {
		out = append(out, d.durations[i].sample(f, dir))
	}
	return out
}

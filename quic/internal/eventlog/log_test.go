package eventlog_test

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/eventlog"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/sim"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/quic/qlog"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// logs are the logs of one side's connections.
type logs struct {
	files  map[string]*bytes.Buffer // by qlog.Conn.FileName
	errs   []error
	ended  chan struct{}
	begun  int
	events []core.TraceKind
}

type closer struct{ io.Writer }

func (closer) Close() error { return nil }

// trace returns a function for core.Config.NewTrace. Its connections begin at the time of day wall.
func (l *logs) trace(cfg qlog.Config, server bool) func(monotime.Time, wire.ConnID) core.TraceFunc {
	l.files, l.ended = make(map[string]*bytes.Buffer), make(chan struct{}, 10)
	return func(now monotime.Time, odcid wire.ConnID) core.TraceFunc {
		conn := qlog.Conn{ID: append([]byte(nil), odcid.Bytes()...), Server: server}
		b := new(bytes.Buffer)
		l.files[conn.FileName()] = b
		l.begun++
		cfg.Open = func(qlog.Conn) (io.WriteCloser, error) { return closer{b}, nil }
		log := eventlog.New(&cfg, conn, now, wall, eventlog.Hooks{
			Failed: func(err error) { l.errs = append(l.errs, err) },
			Done:   func() { l.ended <- struct{}{} },
		})
		return func(now monotime.Time, e *core.TraceEvent) {
			l.events = append(l.events, e.Kind)
			log.Trace(now, e)
		}
	}
}

var wall = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// transfer is a simulation in which a client downloads over a path that loses and delays packets.
type transfer struct {
	sim.Options
	client, server logs
	pair           *sim.Pair
	conn, peer     core.Stats
}

// run runs the simulation until both connections have ended and, if schema is not nil, are logged.
func (x *transfer) run(t *testing.T, schema *qlog.Schema) {
	t.Helper()
	p := fake.New(fake.Options{Seed: 1})
	tc := &tlsprovider.Config{NextProtos: []string{sim.ALPN}}
	x.Options = sim.Options{
		Seed: 1, ClientProvider: p, ServerProvider: p, ClientTLS: tc, ServerTLS: tc,
		Up:     sim.Link{Delay: 10 * time.Millisecond, Loss: 0.02, Reorder: 0.02, ReorderBy: 5 * time.Millisecond},
		Down:   sim.Link{Delay: 10 * time.Millisecond, Rate: 5e6, Queue: 50_000, Corrupt: 0.01, Duplicate: 0.01, MTU: 1400},
		Client: &sim.App{Send: []sim.Transfer{{Size: 10_000}, {Uni: true, Size: 1000}}},
		Server: func() *sim.App { return &sim.App{Echo: true, Send: []sim.Transfer{{Uni: true, Size: 3 << 20}}} },
		Config: func(c *core.Config) {
			c.MaxProbeSize, c.KeyUpdateAfter = core.MaxDatagramSize, 500
			if schema == nil {
				return
			}
			l := &x.client
			if c.Side == tlsprovider.Server {
				l = &x.server
			}
			c.NewTrace = l.trace(qlog.Config{Schema: *schema, Buffer: 1 << 30}, c.Side == tlsprovider.Server)
		},
	}
	var err error
	x.pair, err = sim.NewPair(x.Options)
	require.NoError(t, err)
	c, err := x.pair.RunTransfers(time.Minute)
	require.NoError(t, err)
	server := x.pair.ServerConn()
	c.Close(x.pair.Now(), true, 7, "bye \xff\"\\")
	require.NoError(t, x.pair.Run(2*time.Minute, func() bool { return len(x.pair.Client.Conns)+len(x.pair.Server.Conns) == 0 }))
	x.conn, x.peer = c.Stats(), server.Stats()
	if schema != nil {
		<-x.client.ended
		<-x.server.ended
	}
}

// Logging does not change what a connection does.
func TestLogIsPassive(t *testing.T) {
	var on, off transfer
	on.run(t, ptr(qlog.Draft))
	off.run(t, nil)
	require.Equal(t, off.conn, on.conn)
	require.Equal(t, off.peer, on.peer)
	require.Equal(t, off.pair.Digest(), on.pair.Digest())
}

// record is an event of a log.
type record struct {
	time float64
	name string
	data map[string]any
}

// parse checks that a log is a JSON text sequence, and returns its header and events.
func parse(t *testing.T, log []byte) (header map[string]any, events []record) {
	t.Helper()
	require.Equal(t, byte(0x1e), log[0])
	for i, rec := range bytes.Split(log[1:], []byte{0x1e}) {
		require.Equal(t, byte('\n'), rec[len(rec)-1])
		var v map[string]any
		require.NoError(t, json.Unmarshal(rec, &v), "%s", rec)
		if i == 0 {
			header = v
			continue
		}
		require.NoError(t, eventlog.Validate("Event", v))
		events = append(events, record{v["time"].(float64), v["name"].(string), v["data"].(map[string]any)})
	}
	return header, events
}

// count returns how many events of each name there are.
func count(events []record) map[string]uint64 {
	n := make(map[string]uint64)
	for _, e := range events {
		n[e.name]++
	}
	return n
}

// The logs of a handshake and a transfer have the field names and values of the drafts, and agree with the
// counters of the connections.
func TestLogFollowsTheDraft(t *testing.T) {
	var x transfer
	x.run(t, ptr(qlog.Draft))
	for side, l := range map[string]*logs{"client": &x.client, "server": &x.server} {
		require.Empty(t, l.errs)
		require.Len(t, l.files, 1)
		for name, b := range l.files {
			require.Regexp(t, "^[0-9a-f]{16}_"+side+`\.sqlog$`, name)
			require.Contains(t, b.String()[:256], `"file_schema":"urn:ietf:params:qlog:file:sequential","serialization_format":"application/qlog+json-seq"`)
			header, events := parse(t, b.Bytes())
			require.NoError(t, eventlog.Validate("QlogFileSeq", header))
			trace := header["trace"].(map[string]any)
			require.Equal(t, map[string]any{"type": side}, trace["vantage_point"])
			require.Equal(t, name[:16], trace["common_fields"].(map[string]any)["group_id"])
			last := 0.0
			for _, e := range events {
				require.NoError(t, eventlog.Validate(e.name, e.data))
				require.GreaterOrEqual(t, e.time, last)
				last = e.time
			}
			stats := x.conn
			if side == "server" {
				stats = x.peer
			}
			n := count(events)
			require.InDelta(t, stats.PacketsSent, n["quic:packet_sent"], 1, "and CONNECTION_CLOSE") // which is not counted
			require.Equal(t, stats.PacketsReceived, n["quic:packet_received"])
			require.Equal(t, stats.Drops.Total(), n["quic:packet_dropped"])
			require.GreaterOrEqual(t, n["quic:packet_lost"], stats.PacketsLost, "probes of the MTU are lost as well")
			require.Equal(t, "quic:connection_started", events[0].name)
			for _, name := range []string{"version_information", "parameters_set", "key_updated", "key_discarded",
				"alpn_information", "recovery_metrics_updated", "congestion_state_updated", "timer_updated",
				"connection_state_updated", "connection_closed"} {
				require.Positive(t, n["quic:"+name], "%s has no %s", side, name)
			}
			if side == "server" {
				require.Positive(t, n["quic:mtu_updated"])
				require.Positive(t, n["quic:packet_lost"])
			}
		}
	}
}

func ptr[T any](v T) *T { return &v }

// By default, the events have the names that qvis draws, with the fields that its graphs read.
func TestLogCompatible(t *testing.T) {
	var x transfer
	x.run(t, ptr(qlog.Compatible))
	for _, b := range x.client.files { // the path corrupts packets to the client
		_, events := parse(t, b.Bytes())
		require.Positive(t, count(events)["transport:packet_dropped"])
	}
	for _, b := range x.server.files {
		header, events := parse(t, b.Bytes())
		require.Equal(t, "JSON-SEQ", header["qlog_format"])
		require.Equal(t, "0.3", header["qlog_version"])
		var stream, acks, sent, lost int
		for _, e := range events {
			switch e.name {
			case "transport:packet_sent", "transport:packet_received":
				h := e.data["header"].(map[string]any)
				require.Contains(t, []any{"initial", "handshake", "1RTT"}, h["packet_type"])
				require.IsType(t, 0.0, h["packet_number"])
				require.Positive(t, e.data["raw"].(map[string]any)["length"])
				for _, f := range e.data["frames"].([]any) {
					f := f.(map[string]any)
					switch f["frame_type"] {
					case "stream":
						require.IsType(t, 0.0, f["offset"])
						require.IsType(t, 0.0, f["length"])
						stream++
					case "ack":
						require.NotEmpty(t, f["acked_ranges"])
						acks++
					}
				}
				sent++
			case "recovery:packet_lost":
				require.IsType(t, 0.0, e.data["header"].(map[string]any)["packet_number"])
				lost++
			case "quic:packet_sent":
				t.Fatal("an event has the draft's name")
			}
		}
		require.Greater(t, stream, 2000)
		require.Greater(t, acks, 100)
		require.Positive(t, lost)
		n := count(events)
		for _, name := range []string{"transport:connection_started", "transport:parameters_set",
			"recovery:metrics_updated", "recovery:congestion_state_updated", "recovery:loss_timer_updated",
			"recovery:mtu_updated", "security:key_updated", "security:key_discarded", "transport:connection_closed"} {
			require.Positive(t, n[name], name)
		}
	}
}

// The log says why the connection ended, whatever bytes the peer sends as the reason.
func TestLogOfTheEnd(t *testing.T) {
	var x transfer
	x.run(t, ptr(qlog.Draft))
	for side, l := range map[string]*logs{"local": &x.client, "remote": &x.server} {
		for _, b := range l.files {
			_, events := parse(t, b.Bytes())
			i := slices.IndexFunc(events, func(r record) bool { return r.name == "quic:connection_closed" })
			require.Equal(t, map[string]any{"initiator": side, "application_error": "unknown", "error_code": 7.0,
				"reason": "bye \ufffd\"\\", "trigger": "application"}, events[i].data)
		}
	}
}

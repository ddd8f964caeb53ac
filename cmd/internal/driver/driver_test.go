package driver_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/driver"
	"github.com/pqquic/pqquic/cmd/internal/drivercli"
	"github.com/pqquic/pqquic/cmd/internal/scenario"
	"github.com/pqquic/pqquic/cmd/internal/stats"
	"github.com/pqquic/pqquic/cmd/internal/transport/pq"
	"github.com/pqquic/pqquic/cmd/internal/transport/tcp"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// stack is a transport that the tests run on.
type stack struct {
	name     string
	provider string
	make     func(*drivercli.Options) (drivercli.Transport, error)
}

func stacks() []stack {
	out := []stack{{"native", "native", pq.New}, {"tcp", "", tcp.New}}
	if _, err := s2n.New(); err == nil {
		out = append(out, stack{"s2n", "s2n", pq.New})
	}
	return out
}

func each(t *testing.T, f func(t *testing.T, s stack)) {
	for _, s := range stacks() {
		t.Run(s.name, func(t *testing.T) { f(t, s) })
	}
}

// load returns a scenario with one client and one server. Connection i of the client runs ops[i]; peers[i]
// holds the server's scripts for the streams that it opens.
func load(t *testing.T, id, client string, ops []string, peers ...string) *scenario.Scenario {
	t.Helper()
	certs, err := scenario.NewCertificates(id, scenario.DefaultCertificate)
	require.NoError(t, err)
	var cs, ss []string
	for i := range ops {
		cs = append(cs, `{"ops":[`+ops[i]+`]}`)
		ss = append(ss, `{"peer_streams":[`+peers[i]+`]}`)
	}
	s, err := scenario.Parse([]byte(fmt.Sprintf(`{"id":%q,"clients":[{"scenario":[%s],"connections":[%s]}],"servers":[{"connections":[%s],`+
		`"private_key":1,"certificate":2,"certificate_authority":0}]}`, id, client, strings.Join(cs, ","), strings.Join(ss, ","))))
	require.NoError(t, err)
	s.Certificates = certs
	return s
}

func connect(i int) string {
	return fmt.Sprintf(`{"connect":{"server_id":0,"server_connection_id":%d,"client_connection_id":%d}}`, i, i)
}

// lines collects the errors that one side prints.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type outcome struct {
	failed         int64
	client, server *stats.Summary
	clientErrors   string
	serverErrors   string
	trace          string
}

// run runs a scenario. The two sides may use different scenarios and options.
func run(t *testing.T, st stack, server, client *scenario.Scenario, load driver.Load, change func(side string, o *drivercli.Options)) outcome {
	t.Helper()
	options := func(side string) *drivercli.Options {
		o := &drivercli.Options{Protocols: []string{"netbench"}, Provider: st.provider, Multiplex: true,
			HandshakeTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second}
		if change != nil {
			change(side, o)
		}
		return o
	}
	m := &drivercli.Materials{Authorities: server.Certificates[0].PEM, Key: server.Certificates[1].PEM, Chain: server.Certificates[2].PEM, ID: client.ID}
	ts, err := st.make(options("server"))
	require.NoError(t, err)
	l, err := ts.Listen("127.0.0.1:0", m)
	require.NoError(t, err)
	var serverErrors, clientErrors, trace lines
	common := func(s *scenario.Scenario, tr drivercli.Transport, w io.Writer) *driver.Common {
		return &driver.Common{Scenario: s, Stack: tr.Stack(), Errors: w, Verify: true,
			Recorder: stats.NewRecorder(nil, &stats.Header{Provenance: &stats.Provenance{}})}
	}
	sc := common(server, ts, &serverErrors)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- (&driver.Server{Common: sc}).Serve(ctx, l) }()

	tc, err := st.make(options("client"))
	require.NoError(t, err)
	d, err := tc.Client("127.0.0.1", m)
	require.NoError(t, err)
	cc := common(client, tc, &clientErrors)
	cc.Trace = driver.NewTracer(&trace)
	c := driver.Client{Common: cc, Transport: d, Load: load, DialTimeout: 10 * time.Second,
		Addr: func(*scenario.Op) (string, error) { return l.Addr().String(), nil }}
	failed, err := c.Run(t.Context())
	require.NoError(t, err)
	_ = d.Close()
	// The server stops only after it has counted the connections that both sides have finished.
	require.Eventually(t, func() bool {
		sum := sc.Recorder.Summary()
		n := sum.Connections
		for _, f := range sum.Failed {
			n += f
		}
		return n > 0 || cc.Recorder.Summary().Connections == 0
	}, 20*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-served)
	return outcome{failed, cc.Recorder.Summary(), sc.Recorder.Summary(), clientErrors.String(), serverErrors.String(), trace.String()}
}

const (
	open0   = `{"open_bidirectional_stream":{"stream_id":0}}`
	finish0 = `{"send_finish":{"stream_id":0}},{"receive_finish":{"stream_id":0}}`
)

func send(stream, n int) string {
	return fmt.Sprintf(`{"send":{"stream_id":%d,"bytes":%d}}`, stream, n)
}
func receive(stream, n int) string {
	return fmt.Sprintf(`{"receive":{"stream_id":%d,"bytes":%d}}`, stream, n)
}

// TestEveryOperation runs every operation on every transport and verifies the received bytes.
func TestEveryOperation(t *testing.T) {
	ops := open0 + `,{"trace":{"trace_id":0}},{"profile":{"trace_id":1,"operations":[` + send(0, 100_000) + `,` + receive(0, 70_000) + `]}},` +
		`{"iterate":{"value":{"count":{"amount":3}},"operations":[` + send(0, 10) + `],"trace_id":2}},` +
		`{"sleep":{"amount_ms":1}},{"send_finish":{"stream_id":0}},{"receive_all":{"stream_id":0}},{"receive_finish":{"stream_id":0}},` +
		`{"scope":{"threads":[[{"park":{"checkpoint":5}},{"open_send_stream":{"stream_id":1}},{"send_rate":{"stream_id":1,"bytes":1000,"period_ms":2}},` +
		send(1, 4500) + `,{"send_finish":{"stream_id":1}}],[{"unpark":{"checkpoint":5}}]]}}`
	peer0 := `[` + receive(0, 100_000) + `,` + send(0, 70_000) + `,{"receive_all":{"stream_id":0}},` + send(0, 5) + `,` + finish0 + `]`
	peer1 := `[{"receive_rate":{"stream_id":1,"bytes":1500,"period_ms":1}},{"receive_all":{"stream_id":1}},{"receive_finish":{"stream_id":1}}]`
	each(t, func(t *testing.T, st stack) {
		s := load(t, "every", connect(0), []string{ops}, peer0+","+peer1)
		require.NoError(t, s.Validate())
		o := run(t, st, s, s, driver.Load{}, nil)
		require.Empty(t, o.clientErrors)
		require.Empty(t, o.serverErrors)
		require.EqualValues(t, 1, o.client.Connections)
		require.EqualValues(t, 1, o.server.Connections)
		require.EqualValues(t, 104_530, o.client.BytesSent, "IDs do not count")
		require.EqualValues(t, 70_005, o.client.BytesReceived)
		require.EqualValues(t, 104_530, o.server.BytesReceived)
		require.EqualValues(t, 1, o.client.Latency[stats.Connect].Count)
		require.EqualValues(t, 1, o.client.Latency[stats.FirstByte].Count)
		require.NotEmpty(t, o.client.Provenance.Group)
		for _, ev := range []string{"conn[0]=", "open[0]", "trce[0]", "prof[1]=", "prof[2]=", "send[1]=", "recv[0]=", "sfin[0]", "rfin[0]", "park[5]", "uprk[5]"} {
			require.Contains(t, o.trace, ev)
		}
	})
}

// The iteration that is running at the deadline is abandoned, and neither side counts a failure.
func TestIterateForATime(t *testing.T) {
	loop := func(ms int, ops string) string {
		return fmt.Sprintf(`{"iterate":{"value":{"time":{"amount_ms":%d}},"operations":[%s],"trace_id":0}}`, ms, ops)
	}
	each(t, func(t *testing.T, st stack) {
		for _, ms := range [][2]int{{60, 120}, {120, 60}} {
			s := load(t, "timed", connect(0), []string{open0 + "," + loop(ms[0], send(0, 1000)+","+receive(0, 1000)) + "," + finish0},
				`[`+loop(ms[1], receive(0, 1000)+","+send(0, 1000))+`,`+finish0+`]`)
			o := run(t, st, s, s, driver.Load{}, nil)
			require.Empty(t, o.clientErrors)
			require.EqualValues(t, 1, o.client.Connections)
			require.Contains(t, o.trace, "send[0]=1000")
		}
	})
}

// Cases in which s2n-netbench's drivers hang or panic return an error with the place in the scenario.
func TestFailuresSayWhere(t *testing.T) {
	good := open0 + "," + send(0, 1) + "," + receive(0, 1) + "," + finish0
	goodPeer := `[` + receive(0, 1) + `,` + send(0, 1) + `,` + finish0 + `]`
	each(t, func(t *testing.T, st stack) {
		t.Run("the peer closes early", func(t *testing.T) {
			s := load(t, "early", connect(0), []string{good}, goodPeer+`,[{"receive_all":{"stream_id":1}}]`)
			o := run(t, st, s, s, driver.Load{}, nil)
			require.Contains(t, o.serverErrors, "error: peer closed: servers[0].connections[0].peer_streams[1]: the stream was not opened")
			require.EqualValues(t, 1, o.server.Failed[driver.ClassPeerClosed])
		})
		t.Run("an unknown stream, and the run continues", func(t *testing.T) {
			bad := `{"open_bidirectional_stream":{"stream_id":7}},` + send(7, 1) + `,` + receive(7, 1)
			s := load(t, "unknown", connect(0)+","+connect(1), []string{bad, good}, goodPeer, goodPeer)
			o := run(t, st, s, s, driver.Load{}, nil)
			require.Contains(t, o.serverErrors, "error: script: servers[0].connections[0].peer_streams: the peer opened stream 7, which has no script")
			require.Contains(t, o.clientErrors, "clients[0].connections[0].ops[2].receive: ")
			require.EqualValues(t, 1, o.failed)
			require.EqualValues(t, 1, o.client.Connections, "only the second connection succeeds")
		})
		t.Run("nothing to receive", func(t *testing.T) {
			s := load(t, "nothing", connect(0), []string{open0 + "," + receive(0, 0)}, `[]`)
			o := run(t, st, s, s, driver.Load{}, nil)
			require.Contains(t, o.clientErrors, "error: script: clients[0].connections[0].ops[1].receive: the number of bytes is 0")
		})
		t.Run("other certificates", func(t *testing.T) {
			server := load(t, "certs", connect(0), []string{good}, goodPeer)
			client := load(t, "other", connect(0), []string{good}, goodPeer)
			o := run(t, st, server, client, driver.Load{}, nil)
			require.EqualValues(t, 1, o.failed)
			require.Contains(t, o.clientErrors, "error: tls ")
			require.Contains(t, o.clientErrors, "clients[0].scenario[0].connect: ")
		})
		t.Run("no such connection", func(t *testing.T) {
			server := load(t, "short", connect(0), []string{good}, goodPeer)
			client := load(t, "short", connect(1), []string{good, good}, goodPeer, goodPeer)
			client.Certificates = server.Certificates
			o := run(t, st, server, client, driver.Load{}, nil)
			require.Contains(t, o.serverErrors, "error: script: servers[0].connections: the client asked for connection 1, but the scenario has 1")
			require.EqualValues(t, 1, o.failed)
		})
	})
}

// TestManyStreams opens more concurrent streams than the peer initially permits, on both sides.
func TestManyStreams(t *testing.T) {
	const n = 300
	var threads, peers []string
	for i := range n {
		finish := fmt.Sprintf(`{"send_finish":{"stream_id":%d}},{"receive_finish":{"stream_id":%d}}`, i, i)
		threads = append(threads, fmt.Sprintf(`[{"open_bidirectional_stream":{"stream_id":%d}},`, i)+send(i, 1)+","+receive(i, 1)+","+finish+"]")
		peers = append(peers, "["+receive(i, 1)+","+send(i, 1)+","+finish+"]")
	}
	each(t, func(t *testing.T, st stack) {
		s := load(t, "many", connect(0), []string{`{"scope":{"threads":[` + strings.Join(threads, ",") + `]}}`}, strings.Join(peers, ","))
		o := run(t, st, s, s, driver.Load{}, nil)
		require.Empty(t, o.clientErrors+o.serverErrors)
		require.EqualValues(t, n, o.client.BytesReceived)
		require.EqualValues(t, n, o.server.BytesReceived)
	})
}

// TCP cannot signal that one side stops reading. The other side must not block on that.
func TestStoppedReading(t *testing.T) {
	s := load(t, "stopped", connect(0), []string{open0 + "," + send(0, 2_000_000) + "," + finish0},
		`[{"receive_finish":{"stream_id":0}}]`)
	o := run(t, stack{"tcp", "", tcp.New}, s, s, driver.Load{}, nil)
	require.Empty(t, o.clientErrors+o.serverErrors)
	require.EqualValues(t, 2_000_000, o.client.BytesSent)
}

// Sessions are resumed when both sides ask for it, also with names that begin with a hyphen.
func TestResumption(t *testing.T) {
	good := open0 + "," + send(0, 1) + "," + receive(0, 1) + "," + finish0
	goodPeer := `[` + receive(0, 1) + `,` + send(0, 1) + `,` + finish0 + `]`
	client := strings.TrimSuffix(strings.Repeat(connect(0)+",", 30), ",")
	each(t, func(t *testing.T, st stack) {
		for _, id := range []string{"resumed", "-resumed"} {
			s := load(t, id, client, []string{good}, goodPeer)
			o := run(t, st, s, s, driver.Load{}, func(_ string, o *drivercli.Options) { o.Resumption = true })
			require.Empty(t, o.clientErrors+o.serverErrors)
			require.EqualValues(t, 30, o.client.Connections)
			require.Positive(t, o.client.Resumed)
			require.Less(t, o.client.Resumed, int64(30), "the first connection cannot be resumed")
			require.Positive(t, o.server.Resumed)
			for _, side := range []string{"client", "server"} {
				o := run(t, st, s, s, driver.Load{}, func(this string, o *drivercli.Options) { o.Resumption = this == side })
				require.EqualValues(t, 30, o.client.Connections)
				require.Zero(t, o.client.Resumed, "only the %s", side)
			}
		}
	})
}

func TestLoads(t *testing.T) {
	good := open0 + "," + send(0, 1) + "," + receive(0, 1) + "," + finish0
	goodPeer := `[` + receive(0, 1) + `,` + send(0, 1) + `,` + finish0 + `]`
	client := strings.TrimSuffix(strings.Repeat(connect(0)+",", 40), ",")
	each(t, func(t *testing.T, st stack) {
		s := load(t, "loads", client, []string{good}, goodPeer)
		for _, l := range []driver.Load{{}, {Concurrency: 8}, {ArrivalRate: 400, Ramp: 20 * time.Millisecond, MaxInFlight: 100}} {
			o := run(t, st, s, s, l, nil)
			require.Empty(t, o.clientErrors)
			require.EqualValues(t, 40, o.client.Connections)
			require.EqualValues(t, 40, o.client.Latency[stats.Request].Count)
		}
		o := run(t, st, s, s, driver.Load{Concurrency: 2, Duration: time.Millisecond}, nil)
		require.Less(t, o.client.Connections, int64(41))
		require.NotZero(t, o.client.Connections)
	})
}

// s2n-netbench's generator makes IDs that begin with a hyphen, which crypto/x509 rejects as host names.
func TestIDWithHyphen(t *testing.T) {
	good := open0 + "," + send(0, 1) + "," + receive(0, 1) + "," + finish0
	goodPeer := `[` + receive(0, 1) + `,` + send(0, 1) + `,` + finish0 + `]`
	each(t, func(t *testing.T, st stack) {
		s := load(t, "-id", connect(0), []string{good}, goodPeer)
		require.Empty(t, run(t, st, s, s, driver.Load{}, nil).clientErrors)
		other := load(t, "-other", connect(0), []string{good}, goodPeer)
		other.Certificates = s.Certificates
		require.EqualValues(t, 1, run(t, st, s, other, driver.Load{}, nil).failed, "another name")
	})
}

func TestOptions(t *testing.T) {
	good := open0 + "," + send(0, 1) + "," + receive(0, 1) + "," + finish0
	goodPeer := `[` + receive(0, 1) + `,` + send(0, 1) + `,` + finish0 + `]`
	each(t, func(t *testing.T, st stack) {
		s := load(t, "options", connect(0), []string{good}, goodPeer)
		for _, groups := range []string{"X25519", "X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"} {
			o := run(t, st, s, s, driver.Load{}, func(_ string, o *drivercli.Options) { o.Groups = groups })
			require.Empty(t, o.clientErrors)
			require.Equal(t, groups, o.client.Provenance.Group)
		}
		both := func(_ string, o *drivercli.Options) { o.MTLS = true }
		require.Empty(t, run(t, st, s, s, driver.Load{}, both).clientErrors)
		o := run(t, st, s, s, driver.Load{}, func(side string, o *drivercli.Options) { o.MTLS = side == "server" })
		require.NotEmpty(t, o.clientErrors+o.serverErrors, "a client without a certificate")
		if st.name != "tcp" {
			o := run(t, st, s, s, driver.Load{}, func(side string, o *drivercli.Options) { o.Retry = side == "server" })
			require.Empty(t, o.clientErrors)
		}
		_, err := st.make(&drivercli.Options{Multiplex: true, CongestionControl: "vegas"})
		require.ErrorContains(t, err, "--congestion-control")
		_, err = st.make(&drivercli.Options{Multiplex: true, Provider: "openssl"})
		require.ErrorContains(t, err, "openssl")
	})
}

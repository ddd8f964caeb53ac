//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// A hostileProvider makes clients that remove frames from their 1-RTT packets before they seal them.
type hostileProvider struct {
	tlsprovider.Provider
	remove func(wire.Frame) bool
}

type hostileEndpoint struct {
	tlsprovider.Endpoint
	remove func(wire.Frame) bool
}

type hostileSession struct {
	tlsprovider.Session
	remove func(wire.Frame) bool
}

type hostileSealer struct {
	tlsprovider.Sealer
	remove func(wire.Frame) bool
}

func (p hostileProvider) NewClient(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	e, err := p.Provider.NewClient(cfg)
	return hostileEndpoint{e, p.remove}, err
}

func (e hostileEndpoint) NewSession(p tlsprovider.SessionParams) (tlsprovider.Session, error) {
	s, err := e.Endpoint.NewSession(p)
	return hostileSession{s, e.remove}, err
}

func (s hostileSession) TakeKeys(l tlsprovider.Level, version uint32) (tlsprovider.Keys, error) {
	k, err := s.Session.TakeKeys(l, version)
	if l == tlsprovider.LevelApp && k.Sealer != nil {
		k.Sealer = hostileSealer{k.Sealer, s.remove}
	}
	return k, err
}

// Seal replaces the frames to be removed by PADDING.
func (s hostileSealer) Seal(slab []byte, train []tlsprovider.SealDesc) error {
	for _, d := range train {
		for b := slab[d.Offset+d.HeaderLen:][:d.PayloadLen]; len(b) > 0; {
			f, n := wire.ParseFrame(b)
			if n <= 0 {
				return errors.New("frame that does not parse")
			}
			if s.remove(f) {
				clear(b[:n])
			}
			b = b[n:]
		}
	}
	return s.Sealer.Seal(slab, train)
}

// hostileKinds are the ways to make a server hold memory. Each peer opens hostileStreams streams.
var hostileKinds = []struct {
	name   string
	sends  bool // the server sends
	reads  bool // the application of the server reads
	remove func(wire.Frame) bool
}{
	{"never acknowledges", true, false, func(f wire.Frame) bool { _, is := f.(wire.Ack); return is }},
	{"never reads", true, false, func(wire.Frame) bool { return false }},
	{"withholds the first byte", false, true, func(f wire.Frame) bool {
		s, is := f.(wire.Stream)
		return is && s.Offset == 0
	}},
	{"sends data that is not read", false, false, func(wire.Frame) bool { return false }},
}

const (
	hostileStreams = 10
	hostileBytes   = 1 << 20 // maximum that a peer sends on all streams
)

func hostileProviders() []tlsprovider.Provider {
	list := []tlsprovider.Provider{native.New()}
	if p, err := s2n.New(); err == nil {
		list = append(list, p)
	}
	return list
}

// TestHostilePeers runs the peers. It is a separate process that TestHostileMemory starts.
func TestHostilePeers(t *testing.T) {
	args := strings.Split(os.Getenv("PQQUIC_HOSTILE_PEERS"), ",")
	if len(args) != 4 {
		t.Skip("needs PQQUIC_HOSTILE_PEERS: TestHostileMemory runs this test in another process")
	}
	addr := args[0]
	n, provider, kind := atoi(args[1]), hostileProviders()[atoi(args[2])], hostileKinds[atoi(args[3])]
	cfg := &Config{
		Provider:       hostileProvider{provider, kind.remove},
		TLS:            &tlsprovider.Config{NextProtos: []string{testProto}, InsecureSkipVerify: true},
		MaxIdleTimeout: time.Hour, MaxSendMemory: 1 << 40, HandshakeTimeout: time.Minute,
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	e, err := NewEndpoint(pc, cfg)
	require.NoError(t, err)
	defer e.Close()
	var conns []*Conn
	for range n {
		c, err := e.Dial(t.Context(), addr, nil)
		require.NoError(t, err)
		conns = append(conns, c)
	}
	fmt.Println("connected")
	in := bufio.NewReader(os.Stdin)
	_, err = in.ReadString('\n')
	require.NoError(t, err)
	for _, c := range conns {
		for range hostileStreams {
			s, err := c.OpenStream(t.Context())
			require.NoError(t, err)
			if kind.sends {
				_, err = s.Write([]byte{1})
				require.NoError(t, err)
				continue
			}
			_, err = s.Write(make([]byte, hostileBytes/hostileStreams))
			require.NoError(t, err)
		}
	}
	_, _ = in.ReadString('\n')
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	must(err)
	return n
}

// TestHostileMemory measures the resident memory of a server whose peers, in another process, try to make it hold as
// much memory as possible. PQQUIC_HOSTILE is the number of connections.
func TestHostileMemory(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("PQQUIC_HOSTILE"))
	if n == 0 {
		t.Skip("a measurement of minutes: set PQQUIC_HOSTILE to a number of connections")
	}
	for i, p := range hostileProviders() {
		for k, kind := range hostileKinds {
			t.Run(p.Name()+"/"+kind.name, func(t *testing.T) { measureHostile(t, n, i, k) })
		}
	}
}

func measureHostile(t *testing.T, n, provider, kind int) {
	cfg := serverConfig()
	cfg.Provider = hostileProviders()[provider]
	cfg.MaxIdleTimeout, cfg.AcceptBacklog, cfg.HandshakeTimeout = time.Hour, n, time.Minute
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	e, err := NewEndpoint(pc, cfg)
	require.NoError(t, err)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer e.Close()
	l, err := e.Listen()
	require.NoError(t, err)

	cmd := exec.Command(os.Args[0], "-test.run=^TestHostilePeers$", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), fmt.Sprintf("PQQUIC_HOSTILE_PEERS=%s,%d,%d,%d", e.Addr(), n, provider, kind))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	runtime.GC() // pools keep their contents for one collection
	debug.FreeOSMemory()
	empty := resident(t)
	require.NoError(t, cmd.Start())
	defer func() {
		stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "connected\n", line)
	var conns []*Conn
	for range n {
		c, err := l.Accept(t.Context())
		require.NoError(t, err)
		conns = append(conns, c)
	}
	idle := resident(t)
	_, err = io.WriteString(stdin, "go\n")
	require.NoError(t, err)
	for _, c := range conns {
		tasks.Go(func() { serveHostile(&tasks, c, kind) })
	}
	s := waitUntilFull(e, hostileKinds[kind].sends)
	full := resident(t)
	t.Logf("%d connections: idle %.1f KiB each; resident memory grows by %.1f MiB (%.1f MiB of it stacks); "+
		"send memory %.1f MiB, receive memory %.1f MiB", n, float64(idle.rss-empty.rss)/float64(n)/1024,
		mib(full.rss-idle.rss), mib(full.stacks-idle.stacks), mib(s.SendMemory), mib(s.ReceiveMemory))

	// The garbage collector lets the heap grow to twice the size in use.
	budget := int64(256<<20) + int64(n)*2*streams.MinShare
	require.LessOrEqual(t, full.rss-idle.rss-(full.stacks-idle.stacks), 2*budget)
	if n >= 500 {
		require.Positive(t, s.SendMemoryWaits+s.ReceiveMemoryDrops, "the budget was not reached")
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// serveHostile is the server's application for one connection.
func serveHostile(tasks *sync.WaitGroup, c *Conn, kind int) {
	serveStreams(tasks, c, func(s *Stream) {
		switch k := hostileKinds[kind]; {
		case k.sends:
			var err error
			for p := make([]byte, 4<<10); err == nil; {
				_, err = s.Write(p)
			}
		case k.reads:
			_, _ = io.Copy(io.Discard, s)
		}
	})
}

// waitUntilFull waits until the memory in use has not grown for five seconds.
func waitUntilFull(e *Endpoint, sends bool) EndpointStats {
	used, calm := int64(-1), 0
	for {
		time.Sleep(500 * time.Millisecond)
		s := e.Stats()
		now := s.ReceiveMemory
		if sends {
			now = s.SendMemory
		}
		if calm++; now > used+used/100 {
			used, calm = now, 0
		}
		if calm == 10 {
			return s
		}
	}
}

type residentMemory struct{ rss, stacks int64 }

// resident reads the memory of this process.
func resident(t *testing.T) (m residentMemory) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skipf("the resident memory is unknown, as only Linux has /proc/self/statm: %v", err)
	}
	var size, pages int64
	_, err = fmt.Sscan(string(b), &size, &pages)
	require.NoError(t, err)
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return residentMemory{pages * int64(os.Getpagesize()), int64(ms.StackInuse)}
}

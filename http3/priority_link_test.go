package http3

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A slowSocket is the beginning of a link with about 4 MB/s: WriteTo takes the time that the datagram needs.
type slowSocket struct{ net.PacketConn }

func (s slowSocket) WriteTo(p []byte, addr net.Addr) (int, error) {
	time.Sleep(time.Duration(len(p)) * 250 * time.Nanosecond)
	return s.PacketConn.WriteTo(p, addr)
}

// A heldSocket sends nothing while mu is locked.
type heldSocket struct {
	net.PacketConn
	mu sync.RWMutex
}

func (s *heldSocket) WriteTo(p []byte, addr net.Addr) (int, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.PacketConn.WriteTo(p, addr)
}

// sentBefore returns how many bytes of a stream were sent before the last byte of another was sent, by the events packet_sent of a
// qlog. What is sent again does not count.
func sentBefore(events []map[string]any, stream, other float64) (n int) {
	ends := map[any]float64{}
	for _, e := range events {
		for _, f := range e["frames"].([]any) {
			f := f.(object)
			if f["frame_type"] != "stream" {
				continue
			}
			id, end := f["stream_id"], f["offset"].(float64)+f["length"].(float64)
			if end <= ends[id] {
				continue
			}
			if ends[id] = end; id == other {
				n = int(ends[stream])
			}
		}
	}
	return n
}

// On a slow link, responses are sent in the order of their priorities, by the server's log of what it sends. The second handler
// writes when the first response is in its send buffer, and must overtake it if its request is more urgent. Until then the client
// acknowledges nothing, so that the server cannot send more of the first response than its congestion window.
func TestPrioritiesOnSlowLink(t *testing.T) {
	const size = 200_000
	for name, tc := range map[string]struct {
		first, second string
		isRight       func(ofFirst, ofSecond int) bool // how much of one is sent before the last byte of the other
	}{
		"urgency":           {"u=5", "u=1", func(ofFirst, ofSecond int) bool { return ofFirst < size/2 && ofSecond >= size }},
		"incremental":       {"u=3, i", "u=3, i", func(ofFirst, ofSecond int) bool { return ofFirst > size/2 && ofSecond > size/2 }},
		"one after another": {"u=3", "u=3", func(ofFirst, ofSecond int) bool { return ofFirst >= size && ofSecond < size/2 }},
	} {
		t.Run(name, func(t *testing.T) {
			kept, begin, firstWritten, secondWritten := new(keptLog), make(chan struct{}), make(chan struct{}), make(chan struct{})
			var arrived sync.WaitGroup
			arrived.Add(2)
			s := &testServer{Server: &Server{Provider: defaultProvider(), QUIC: &quic.Config{Qlog: kept.config()},
				TLS: &tlsprovider.Config{Certificates: []tlsprovider.Certificate{testPKI().Provider()}},
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					arrived.Done()
					after, written := begin, firstWritten
					if r.URL.Path == "/second" {
						after, written = firstWritten, secondWritten
					}
					<-after
					_, err := w.Write(make([]byte, size)) // into the send buffer
					must(err)
					close(written)
				})}}
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			require.NoError(t, err)
			s.addr = pc.LocalAddr().String()
			done := make(chan error, 1)
			go func() { done <- s.Serve(slowSocket{pc}) }()
			own, err := net.ListenPacket("udp", "127.0.0.1:0")
			require.NoError(t, err)
			held := &heldSocket{PacketConn: own}
			ep, err := quic.NewEndpoint(held, clientQUIC())
			require.NoError(t, err)
			defer func() { require.NoError(t, ep.Close()) }()
			qc, err := ep.Dial(t.Context(), s.addr, nil)
			require.NoError(t, err)
			c := &rawClient{t, qc, qpack.NewEncoder(0), qpack.NewDecoder(0, 0)}
			c.uni(frame.StreamControl, settingsFrame())
			var wg sync.WaitGroup
			for _, req := range []*rawStream{
				c.open(c.headers(get("/first", "priority", tc.first)...)).end(),
				c.open(c.headers(get("/second", "priority", tc.second)...)).end(),
			} {
				wg.Go(func() {
					_, err := io.Copy(io.Discard, req)
					must(err)
				})
			}
			arrived.Wait()
			held.mu.Lock()
			close(begin)
			<-secondWritten
			held.mu.Unlock()
			wg.Wait()
			require.NoError(t, c.CloseWithError(frame.NoError, ""))
			sent := kept.events(t)["transport:packet_sent"]
			require.NoError(t, s.Close())
			require.ErrorIs(t, <-done, ErrServerClosed)
			ofFirst, ofSecond := sentBefore(sent, 0, 4), sentBefore(sent, 4, 0)
			require.True(t, tc.isRight(ofFirst, ofSecond), "%d bytes of the first, %d of the second", ofFirst, ofSecond)
		})
	}
}

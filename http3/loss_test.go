package http3

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A lossySocket loses every 13th datagram that it sends, and sends every 11th after the next one.
type lossySocket struct {
	net.PacketConn
	count atomic.Int64

	mu   sync.Mutex
	late []byte
	to   net.Addr
}

func (s *lossySocket) WriteTo(p []byte, addr net.Addr) (int, error) {
	n := s.count.Add(1)
	if n%13 == 0 {
		return len(p), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n%11 == 0 && s.late == nil {
		s.late, s.to = bytes.Clone(p), addr
		return len(p), nil
	}
	if _, err := s.PacketConn.WriteTo(p, addr); err != nil {
		return 0, err
	}
	if s.late != nil {
		_, _ = s.PacketConn.WriteTo(s.late, s.to) // it may be lost
		s.late = nil
	}
	return len(p), nil
}

// Requests and responses arrive whole on a network that loses and reorders packets in both directions, with dynamic tables.
func TestLoss(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		lossy := func() net.PacketConn {
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			require.NoError(t, err)
			return &lossySocket{PacketConn: pc}
		}
		pc := lossy()
		s := &Server{Provider: p, TLS: &tlsprovider.Config{Certificates: []tlsprovider.Certificate{testPKI().Provider()}},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Same", "the same in each response")
				w.Header().Set("Trailer", "X-Trailer")
				_, err := io.Copy(w, r.Body)
				must(err)
				w.Header().Set("X-Trailer", r.Header.Get("X-Number"))
			})}
		done := make(chan error, 1)
		go func() { done <- s.Serve(pc) }()
		ep, err := quic.NewEndpoint(lossy(), &quic.Config{Provider: p, ServerName: "localhost",
			TLS: &tlsprovider.Config{NextProtos: []string{NextProto}, RootCAs: testPKI().Roots()}})
		require.NoError(t, err)
		qc, err := ep.Dial(t.Context(), pc.LocalAddr().String(), nil)
		require.NoError(t, err)
		c := &rawClient{t, qc, qpack.NewEncoder(0), qpack.NewDecoder(0, 0)}
		c.uni(frame.StreamControl, settingsFrame())
		var wg sync.WaitGroup
		for i := range 20 {
			number := string(rune('a' + i))
			body := bytes.Repeat([]byte(number), 300*i*i)
			head := c.headers(post("/", "x-number", number)...)
			wg.Go(func() {
				st, err := qc.OpenStream(t.Context())
				must(err)
				go func() {
					_, err := st.WriteEnd(join(head, data(string(body))))
					must(err)
				}()
				b, err := io.ReadAll(st)
				must(err)
				own := rawStream{&rawClient{t, qc, nil, qpack.NewDecoder(0, 0)}, st}
				m := own.parse(b)
				if m.body != string(body) || m.trailer.Get("X-Trailer") != number {
					t.Errorf("request %d: %d bytes of %d, trailers %v", i, len(m.body), len(body), m.trailer)
				}
			})
		}
		wg.Wait()
		require.NoError(t, ep.Close())
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-done, ErrServerClosed)
	})
}

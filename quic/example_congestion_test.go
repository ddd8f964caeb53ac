//go:build !pqquic_fips && !pqquic_fips4

package quic_test

import (
	"context"
	"fmt"
	"io"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/congestion"
	"github.com/pqquic/pqquic/tlsprovider"
)

// fixedRate is a controller that delivers at a fixed rate, as "brutal" of hysteria does: it sends as much faster as is
// lost. Only a path that its user pays for should be used like this.
type fixedRate struct {
	rate        int64 // bytes per second
	acked, lost float64
}

func (f *fixedRate) PacketSent(*congestion.Path, int) {}

func (f *fixedRate) Acked(_ *congestion.Path, a *congestion.Ack) { f.count(float64(a.Bytes), 0) }

func (f *fixedRate) Lost(_ *congestion.Path, l *congestion.Loss) { f.count(0, float64(l.Bytes)) }

// count forgets old packets by and by.
func (f *fixedRate) count(acked, lost float64) {
	f.acked, f.lost = f.acked+acked, f.lost+lost
	if f.acked+f.lost > 4<<20 {
		f.acked, f.lost = f.acked/2, f.lost/2
	}
}

func (f *fixedRate) Decide(p *congestion.Path) congestion.Decision {
	rate := float64(f.rate)
	if f.acked > 0 {
		rate /= max(0.8, f.acked/(f.acked+f.lost))
	}
	return congestion.Decision{Rate: int64(rate), Window: int(2 * rate * p.SmoothedRTT.Seconds())}
}

// A program can replace the congestion controller.
func ExampleConfig_congestionControl() {
	ctx := context.Background()
	cert := testcert.New("localhost")
	listener, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{
		TLS: &tlsprovider.Config{NextProtos: []string{"echo"}, Certificates: []tlsprovider.Certificate{cert.Provider()}},
		CongestionControl: congestion.Custom("fixed rate", func() congestion.Controller {
			return &fixedRate{rate: 10 << 20}
		}),
	})
	check(err)
	defer listener.Endpoint().Close()
	go func() {
		conn, err := listener.Accept(ctx)
		check(err)
		stream, err := conn.AcceptStream(ctx)
		check(err)
		defer stream.Close()
		io.Copy(stream, stream)
		fmt.Println("server:", conn.Stats().CongestionState)
	}()

	conn, err := quic.Dial(ctx, "udp", listener.Addr().String(), &quic.Config{
		TLS:               &tlsprovider.Config{NextProtos: []string{"echo"}, RootCAs: cert.Roots()},
		ServerName:        "localhost",
		CongestionControl: congestion.BBR(),
	})
	check(err)
	defer conn.Close()
	stream, err := conn.OpenStream(ctx)
	check(err)
	stream.Write(make([]byte, 100<<10))
	check(stream.CloseWrite())
	reply, err := io.ReadAll(stream)
	check(err)
	fmt.Println(len(reply))
	// Output:
	// server: fixed rate
	// 102400
}

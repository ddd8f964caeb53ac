//go:build !race && !pqquic_fips && !pqquic_fips4

package quic

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// Packets in both directions of an established connection, with their acknowledgements, cost no allocation, from
// the application's Write to its Read, and neither do ReadFrom, WriteTo, Peek and Discard. This test does not run with the race detector, with which pools drop items at
// random.
func TestPacketsDoNotAllocate(t *testing.T) {
	for name, open := range map[string]func() (tlsprovider.Provider, error){
		"native": func() (tlsprovider.Provider, error) { return native.New(), nil },
		"s2n":    func() (tlsprovider.Provider, error) { return s2n.New() },
	} {
		t.Run(name, func(t *testing.T) {
			for name, echo := range echoes {
				t.Run(name, func(t *testing.T) { testPacketsDoNotAllocate(t, open, echo) })
			}
		})
	}
}

// echoes copy a stream to itself.
var echoes = map[string]func(s *Stream) error{
	"Read and Write": func(s *Stream) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{s}, make([]byte, 64<<10))
		return err
	},
	"WriteTo": func(s *Stream) error {
		_, err := s.WriteTo(struct{ io.Writer }{s})
		return err
	},
	"ReadFrom": func(s *Stream) error {
		_, err := s.ReadFrom(struct{ io.Reader }{s})
		return err
	},
	"Peek and Discard": func(s *Stream) error {
		for {
			b, err := s.Peek(1)
			if err != nil {
				return err
			}
			n, err := s.Write(b)
			if err == nil {
				_, err = s.Discard(n)
			}
			if err != nil {
				return err
			}
		}
	},
}

func testPacketsDoNotAllocate(t *testing.T, open func() (tlsprovider.Provider, error), echo func(*Stream) error) {
	p, err := open()
	if errors.Is(err, s2n.ErrNotLinked) {
		t.Skip("the s2n provider is not linked")
	}
	require.NoError(t, err)
	sc, cc := serverConfig(), clientConfig()
	sc.Provider, cc.Provider = p, p
	l, err := Listen("udp", "127.0.0.1:0", sc)
	require.NoError(t, err)
	defer l.Endpoint().Close()
	client, err := Dial(t.Context(), "udp", l.Addr().String(), cc)
	require.NoError(t, err)
	defer client.CloseWithError(0, "")
	s, err := client.OpenStream(t.Context())
	require.NoError(t, err)
	server, err := l.Accept(t.Context())
	require.NoError(t, err)
	echoed := start(func() error {
		s, err := server.AcceptStream(t.Context())
		if err != nil {
			return err
		}
		if err := echo(s); err != io.EOF {
			return err
		}
		return nil
	})
	for _, size := range []int{1000, 100_000} { // one packet, and trains of them
		buf := make([]byte, size)
		round := func() {
			_, err := s.Write(buf)
			require.NoError(t, err)
			_, err = io.ReadFull(s, buf)
			require.NoError(t, err)
		}
		for range 200 {
			round()
		}
		const batch = 50
		packets := client.Stats().PacketsSent
		allocs := testing.AllocsPerRun(10, func() {
			for range batch {
				round()
			}
		})
		packets = (client.Stats().PacketsSent - packets) / 11
		// A garbage collection empties the pools, which costs a few allocations.
		require.LessOrEqual(t, allocs, float64(packets)/50, "allocations for %d packets, %d messages of %d bytes", packets, batch, size)
	}
	require.NoError(t, s.CloseWrite())
	require.NoError(t, <-echoed)
}

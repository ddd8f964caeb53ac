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
// the application's Write to its Read. This test does not run with the race detector, with which pools drop items at
// random.
func TestPacketsDoNotAllocate(t *testing.T) {
	for name, open := range map[string]func() (tlsprovider.Provider, error){
		"native": func() (tlsprovider.Provider, error) { return native.New(), nil },
		"s2n":    func() (tlsprovider.Provider, error) { return s2n.New() },
	} {
		t.Run(name, func(t *testing.T) {
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
				_, err = io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{s}, make([]byte, 64<<10))
				return err
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
		})
	}
}

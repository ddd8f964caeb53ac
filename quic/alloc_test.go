//go:build !race && !asan && !pqquic_fips && !pqquic_fips4

package quic

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// Packets in both directions of an established connection, with their acknowledgements, cost no allocation, from
// the application's Write to its Read, and neither do ReadFrom, WriteTo, Peek and Discard. It does not run with the race detector, with which pools drop items at
// random, nor with AddressSanitizer, with which Go allocates more.
func TestPacketsDoNotAllocate(t *testing.T) {
	for name, open := range map[string]func() (tlsprovider.Provider, error){
		"native": func() (tlsprovider.Provider, error) { return native.New(), nil },
		"s2n":    func() (tlsprovider.Provider, error) { return s2n.New() },
	} {
		t.Run(name, func(t *testing.T) {
			for name, echo := range echoes {
				t.Run(name, func(t *testing.T) { testPacketsDoNotAllocate(t, open, 0, 0, echo) })
			}
			for _, ids := range [][2]int{{-1, 4}, {20, 20}} {
				t.Run(fmt.Sprintf("connection IDs %v", ids), func(t *testing.T) {
					testPacketsDoNotAllocate(t, open, ids[0], ids[1], echoes["Read and Write"])
				})
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

func testPacketsDoNotAllocate(t *testing.T, open func() (tlsprovider.Provider, error), clientIDs, serverIDs int, echo func(*Stream) error) {
	p, err := open()
	if errors.Is(err, s2n.ErrNotLinked) {
		t.Skip("the s2n provider is not linked")
	}
	require.NoError(t, err)
	sc, cc := serverConfig(), clientConfig()
	sc.Provider, cc.Provider = p, p
	cc.ConnIDLength, sc.ConnIDLength = clientIDs, serverIDs
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

// A goroutine that serves one message on a stream does not outgrow its first stack. Growing it costs more CPU time
// than all the rest of its calls. (The workload streams-32 of bench/peers shows it.)
func TestServingStack(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64: the sizes of stack frames differ elsewhere")
	}
	sc := serverConfig()
	sc.MaxIncomingStreams = 1000
	l, err := Listen("udp", "127.0.0.1:0", sc)
	require.NoError(t, err)
	defer l.Endpoint().Close()
	client, err := Dial(t.Context(), "udp", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	defer client.CloseWithError(0, "")
	server, err := l.Accept(t.Context())
	require.NoError(t, err)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which shrinks stacks

	const streams = 500
	served, end := make(chan error, streams), make(chan struct{})
	defer close(end)
	var list []*Stream
	for range streams {
		c, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = c.Write([]byte{1})
		require.NoError(t, err)
		s, err := server.AcceptStream(t.Context())
		require.NoError(t, err)
		list = append(list, s)
	}
	before := stackMemory()
	for _, s := range list {
		go func() {
			served <- serveByte(s)
			<-end
		}()
	}
	for range streams {
		require.NoError(t, <-served)
	}
	const first, second = 2048, 4096
	require.Less(t, stackMemory()-before, int64(streams*(first+second)/2), "most goroutines have outgrown their first stack")
}

// serveByte reads a byte, writes another, and ends the stream.
func serveByte(s *Stream) error {
	var b [1]byte
	if _, err := s.Read(b[:]); err != nil {
		return err
	}
	if _, err := s.Write(b[:]); err != nil {
		return err
	}
	return s.Close()
}

// stackMemory returns the memory of all stacks.
func stackMemory() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

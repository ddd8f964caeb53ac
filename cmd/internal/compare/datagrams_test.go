package compare

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/relay"
)

// Types of long headers.
const (
	initialType   = 0xc0
	zeroRTTType   = 0xd0
	handshakeType = 0xe0
	retryType     = 0xf0
)

// long returns the first bytes of a datagram with a long header.
func long(first byte, destination, source string) []byte {
	b := []byte{first, 0, 0, 0, 1, byte(len(destination))}
	b = append(b, destination...)
	b = append(b, byte(len(source)))
	return append(append(b, source...), 1, 2, 3)
}

func TestDatagramCounter(t *testing.T) {
	var c datagramCounter
	require.Nil(t, c.fewest())
	toServer := func(b []byte) { c.see(true, b) }
	toClient := func(b []byte) { c.see(false, b) }
	for _, client := range []string{"aaaa", "bbbb", "cccc"} {
		toServer(long(initialType, "first", client))
		toServer(long(initialType, "first", client))
		toClient(long(retryType, client, "server"))
		toServer(long(zeroRTTType, "first", client))
		toClient(long(initialType, client, "server"))
		toClient(long(handshakeType, client, "server"))
		toServer(long(handshakeType, "server", client))
		toServer([]byte{0x40, 1, 2, 3, 4, 5, 6, 7, 8}) // a short header
	}
	require.Equal(t, &Datagrams{ClientHello: 2, Client: 3, Server: 2}, c.fewest())

	// Repetitions in other connections do not count, nor does a connection without an answer.
	toServer(long(initialType, "first", "dddd"))
	toServer(long(handshakeType, "server", "bbbb"))
	toClient(long(handshakeType, "bbbb", "server"))
	toServer(long(handshakeType, "server", "cccc"))
	require.Equal(t, &Datagrams{ClientHello: 2, Client: 3, Server: 2}, c.fewest())
}

func TestDatagramCounterIgnores(t *testing.T) {
	version2 := long(initialType, "first", "aaaa")
	version2[1] = 0x6b
	for name, b := range map[string][]byte{
		"nothing":             {},
		"short":               {initialType, 0, 0, 0, 1, 0},
		"another version":     version2,
		"cut in the first ID": long(initialType, "first", "aaaa")[:8],
		"cut in the second":   long(initialType, "first", "aaaa")[:13],
		"no second":           long(initialType, "first", "aaaa")[:11],
		"long ID":             append([]byte{initialType, 0, 0, 0, 1, 21}, make([]byte, 40)...),
		"without an ID":       long(initialType, "first", ""),
	} {
		var c datagramCounter
		c.see(true, b)
		require.Nil(t, c.fewest(), name)
	}
	var c datagramCounter
	c.see(false, long(initialType, "aaaa", "server"))
	require.Nil(t, c.fewest(), "the client's first datagram was sent before the count")
}

// The counter sees what a relay forwards.
func TestRelayTap(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close()
	path, err := relay.New(server.LocalAddr().String(), relay.Link{}, relay.Link{}, 1)
	require.NoError(t, err)
	defer path.Close()
	var mu sync.Mutex
	var seen []string
	path.Tap(func(toServer bool, b []byte) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, map[bool]string{true: "up ", false: "down "}[toServer]+string(b))
	})
	client, err := net.Dial("udp", path.Addr())
	require.NoError(t, err)
	defer client.Close()
	buffer := make([]byte, 100)
	require.NoError(t, client.SetDeadline(time.Now().Add(time.Minute)))
	require.NoError(t, server.SetDeadline(time.Now().Add(time.Minute)))
	_, err = client.Write([]byte("question"))
	require.NoError(t, err)
	_, from, err := server.ReadFrom(buffer)
	require.NoError(t, err)
	_, err = server.WriteTo([]byte("answer"), from)
	require.NoError(t, err)
	_, err = client.Read(buffer)
	require.NoError(t, err)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"up question", "down answer"}, seen)
}

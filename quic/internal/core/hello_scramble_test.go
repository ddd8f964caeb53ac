package core

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/tlsprovider"
)

// No frame, no packet in the order of its bytes, and no datagram of a post-quantum ClientHello put in order contains the
// server's name, however it is cut. The frames together are the ClientHello, and the handshake completes.
func TestHelloIsScrambled(t *testing.T) {
	for _, name := range []string{"ab", "server.test", strings.Repeat("long.", 40) + "test"} {
		for random := range byte(60) {
			r := newRig(t, rigOptions{client: func(c *Config) {
				c.ScrambleHello, c.ServerName = true, name
				fill := c.Rand
				c.Rand = func(b []byte) {
					if fill(b); len(b) == 1 {
						b[0] = random
					}
				}
			}})
			reader, hello, datagrams := newHelloReader(t, r.client), []byte(nil), 0
			r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
				if from == tlsprovider.Server {
					return true
				}
				if datagrams++; datagrams > 2 {
					return true
				}
				var inOrder, alone []byte
				for _, f := range reader.frames(t, d) {
					if need := int(f.Offset) + len(f.Data) - len(hello); need > 0 {
						hello = append(hello, make([]byte, need)...)
					}
					copy(hello[f.Offset:], f.Data)
					inOrder = append(inOrder, make([]byte, max(0, int(f.Offset)+len(f.Data)-len(inOrder)))...)
					copy(inOrder[f.Offset:], f.Data)
					alone = append(alone, f.Data...)
				}
				require.NotContains(t, string(inOrder), name)
				require.NotContains(t, string(alone), name)
				return true
			}
			r.pump()
			require.GreaterOrEqual(t, datagrams, 2)
			require.Equal(t, 1, bytes.Count(hello, []byte(name)), "the test would not see the name")
			require.NotNil(t, r.server)
			require.True(t, r.client.tls.confirmed && r.server.tls.confirmed)
		}
	}
}

// The server keeps the same for half a scrambled ClientHello as for half an ordinary one, whichever half it is, and
// acknowledges it. The datagrams count towards the same budget.
func TestHalfOfScrambledHello(t *testing.T) {
	for _, o := range []rigOptions{{}, {client: scrambled}} {
		for lost := range 2 {
			r := newRig(t, o)
			n := 0
			r.onDatagram = func(from tlsprovider.Side, _ []byte) bool {
				if from == tlsprovider.Client {
					n++
				}
				return from == tlsprovider.Server || n != lost+1
			}
			r.pump()
			require.Equal(t, 1, r.endpoint.hellos.len())
			require.Equal(t, MinInitialSize, r.endpoint.hellos.bytes)
			require.Nil(t, r.server)
			r.wait(helloAckDelay)
			r.pump()
			require.Less(t, r.client.spaces[recovery.SpaceInitial].crypto.unacked.Len(), int64(MinInitialSize), "acknowledged")
			for r.server == nil && n < 10 {
				r.wait(r.client.NextTimeout().Sub(r.now))
				r.pump()
			}
			require.NotNil(t, r.server)
			require.NoError(t, errOf(r.client))
			require.Zero(t, r.endpoint.hellos.len())
		}
	}
}

// Cuts lie within the name and within the type of encrypted_client_hello.
func TestHelloCuts(t *testing.T) {
	extension := func(id uint16, data string) []byte {
		return append([]byte{byte(id >> 8), byte(id), 0, byte(len(data))}, data...)
	}
	sni := extension(extServerName, "\x00\x0b\x00\x00\x08name.com")
	ech := extension(extEncryptedClientHello, "payload")
	alpn := extension(16, "\x00\x03\x02h3")
	start := append(make([]byte, 38), 0, 0, 2, 0x13, 1, 1, 0, 0, 0) // up to the length of the extensions
	for _, tt := range []struct {
		name       string
		extensions []byte
		want       helloCuts
	}{
		{"neither", alpn, helloCuts{}},
		{"a name", append(bytes.Clone(alpn), sni...), helloCuts{0, 1000 + 47 + 9 + 9 + 3}},
		{"both", append(bytes.Clone(sni), ech...), helloCuts{1000 + 47 + 9 + 3, 1000 + 47 + 17 + 1}},
		{"the other way round", append(bytes.Clone(ech), sni...), helloCuts{1000 + 47 + 1, 1000 + 47 + 11 + 9 + 3}},
	} {
		hello := append(bytes.Clone(start), tt.extensions...)
		require.Equal(t, tt.want, scramble(hello, 1000, 2+7), tt.name)
		for n := range hello {
			for _, cut := range scramble(hello[:n], 0, 0) {
				require.LessOrEqual(t, cut, int64(n)) // and no panic
			}
		}
	}
	require.Equal(t, helloCuts{}, scramble(append(bytes.Clone(start), extension(extServerName, "\x00\x04\x00\x00\x01a")...), 0, 9),
		"a name of one byte")
}

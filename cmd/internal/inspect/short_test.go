package inspect

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// The packet and the secrets of RFC 9001, appendix A.5.
func TestShortOpener(t *testing.T) {
	const secret = "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b"
	random := [32]byte{1}
	keys := new(KeyLog)
	keys.Add([]byte("SERVER_TRAFFIC_SECRET_0 " + hex.EncodeToString(random[:]) + " " + secret + "\n"))
	c := &Connection{Hello: &ClientHello{random: random}, Suite: &Named{ID: 0x1303}}
	_, err := keys.ShortOpener(c, false, 1)
	require.ErrorContains(t, err, "no application secrets")
	_, err = keys.ShortOpener(new(Connection), true, 1)
	require.ErrorContains(t, err, "incomplete")
	o, err := keys.ShortOpener(c, true, 1)
	require.NoError(t, err)
	o.keys.largest = 654360563
	packet := unhex(t, "4cfe4189655e5cd55c41f69080575d7999c25a5bfb")
	payload, phase, ok := o.Open(packet, 0)
	require.True(t, ok)
	require.False(t, phase)
	require.Equal(t, []byte{1}, payload)

	next, err := o.next()
	require.NoError(t, err)
	require.Equal(t, unhex(t, "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9"), next.secret)
	require.True(t, next.phase)
	_, _, ok = next.Open(packet, 0)
	require.False(t, ok, "a packet of the phase before")
	_, _, ok = o.Open([]byte(strings.Repeat("x", 30)), 0)
	require.False(t, ok)
}

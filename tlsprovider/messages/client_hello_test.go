package messages_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/messages"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// message returns the ClientHello of the native provider.
func message(t *testing.T) []byte {
	t.Helper()
	client, _, _ := tlstest.Configs(t)
	e, err := native.New().NewClient(client)
	require.NoError(t, err)
	t.Cleanup(e.Close)
	s, err := e.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "server.test", TransportParameters: []byte("params")})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	events, err := s.Advance(nil)
	require.NoError(t, err)
	return append([]byte(nil), events[0].Data...)
}

func TestClientHello(t *testing.T) {
	m := message(t)
	var r messages.ClientHello
	for i := range m[:len(m)-1] {
		ch, err := r.Add(tlstest.Crypt(tlsprovider.LevelInitial, m[i:i+1]))
		require.NoError(t, err)
		require.Nil(t, ch)
	}
	ch, err := r.Add(tlstest.Crypt(tlsprovider.LevelInitial, append(m[len(m)-1:], 'x')))
	require.NoError(t, err)
	require.Equal(t, "server.test", ch.ServerName)
	require.Equal(t, []string{"test"}, ch.ALPN)
	require.Equal(t, "params", string(ch.TransportParameters))
	require.Contains(t, ch.KeyShares, tlsprovider.X25519MLKEM768)
	require.Equal(t, append(m, 'x'), r.Bytes())
}

// "[...] endpoints that receive ClientHello or EncryptedExtensions messages without the quic_transport_parameters extension
// MUST close the connection with an error of type 0x016d (equivalent to a fatal TLS missing_extension alert, see Section
// 4.8)."
// https://www.rfc-editor.org/rfc/rfc9001#section-8.2-5
func TestClientHelloRefuses(t *testing.T) {
	m := message(t)
	for _, tt := range []struct {
		name  string
		level tlsprovider.Level
		data  []byte
		want  tlsprovider.Alert
	}{
		{"another level", tlsprovider.LevelHandshake, m, tlsprovider.AlertUnexpectedMessage},
		{"another message", tlsprovider.LevelInitial, []byte{2}, tlsprovider.AlertUnexpectedMessage},
		{"too long", tlsprovider.LevelInitial, []byte{1, 1, 0, 1}, tlsprovider.AlertDecodeError},
		{"junk", tlsprovider.LevelInitial, []byte{1, 0, 0, 1, 0}, tlsprovider.AlertDecodeError},
		{"no transport parameters", tlsprovider.LevelInitial, tlstest.WithoutExtension(m, 0x39), tlsprovider.AlertMissingExtension},
		{"no supported_versions", tlsprovider.LevelInitial, tlstest.WithoutExtension(m, 0x2b), tlsprovider.AlertProtocolVersion},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r messages.ClientHello
			ch, err := r.Add(tlstest.Crypt(tt.level, tt.data))
			tlstest.RequireAlert(t, tt.want, err)
			require.Nil(t, ch)
		})
	}
}

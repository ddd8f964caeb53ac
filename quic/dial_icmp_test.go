//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/udp"
)

// An ICMP message ends a Dial only if it quotes a datagram of this Dial, comes from its peer, and reports
// that the port is closed. Anyone can send such a message, but only an attacker on the path can quote a
// datagram.
//
// "ICMP message validation MUST include matching IP addresses and UDP ports [RFC8085] and, when possible, connection
// IDs to an active QUIC session."
// https://www.rfc-editor.org/rfc/rfc9000#section-14.2.1-4
func TestForgedICMP(t *testing.T) {
	remote, refused := netip.MustParseAddrPort(serverAddr), syscall.ECONNREFUSED
	for _, tc := range []struct {
		name string
		edit func(*udp.ICMPError)
		ends bool
		text string
	}{
		{"genuine", func(*udp.ICMPError) {}, true, "connection refused"},
		{"quote with another connection ID", func(e *udp.ICMPError) { e.Quoted[6] ^= 1 }, false, "no QUIC packet was received"},
		{"quote that is too short", func(e *udp.ICMPError) { e.Quoted = e.Quoted[:5] }, false, "no QUIC packet was received"},
		{"without a quote", func(e *udp.ICMPError) { e.Quoted = nil }, false, "no QUIC packet was received"},
		{"about another peer", func(e *udp.ICMPError) {
			e.Remote = netip.MustParseAddrPort("10.0.0.7:4433")
		}, false, "no QUIC packet was received"},
		{"no route", func(e *udp.ICMPError) { e.Err = syscall.EHOSTUNREACH }, false, "no route to host"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, w *world) {
				sent := quoteFirst(w, true)
				dialed := start(func() error { _, err := w.client.Dial(t.Context(), serverAddr, nil); return err })
				advance(time.Second)
				icmp := udp.ICMPError{Remote: remote, Err: refused, Quoted: *sent}
				tc.edit(&icmp)
				w.lastClient().handleICMP(icmp)
				advance(time.Second)
				require.Equal(t, tc.ends, len(dialed) == 1)
				err := <-dialed
				require.Equal(t, tc.ends, errors.Is(err, refused))
				require.ErrorContains(t, err, tc.text)
			})
		})
	}
}

// After the server has answered, ICMP messages have no effect.
func TestICMPAfterAnAnswer(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		sent := quoteFirst(w, false)
		client, server := w.connect()
		client.handleICMP(udp.ICMPError{Remote: netip.MustParseAddrPort(serverAddr), Err: syscall.ECONNREFUSED, Quoted: *sent})
		w.stream(client, server)
	})
}

// quoteFirst stores the beginning of the client's first datagram, as an ICMP message quotes it, and drops all datagrams
// if drop is true.
func quoteFirst(w *world, drop bool) *[]byte {
	var sent []byte
	w.net.SetDrop(func(from, _ netip.AddrPort, b []byte) bool {
		if from.String() == clientAddr && sent == nil {
			sent = append(sent, b[:64]...)
		}
		return drop
	})
	return &sent
}

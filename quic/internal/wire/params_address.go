package wire

import (
	"encoding/binary"
	"net/netip"
)

// PreferredAddress is the preferred_address parameter of a server. Its connection ID has sequence number 1,
// whether or not the client migrates to the address. The zero AddrPort means that there is no address of
// the family.
type PreferredAddress struct {
	IPv4, IPv6 netip.AddrPort
	ConnID     ConnID
	ResetToken [16]byte
}

func (a *PreferredAddress) size() int { return 4 + 2 + 16 + 2 + 1 + a.ConnID.Len() + 16 }

func (a *PreferredAddress) append(b []byte) []byte {
	var v4 [4]byte
	if a.IPv4.Addr().Is4() {
		v4 = a.IPv4.Addr().As4()
	}
	b = binary.BigEndian.AppendUint16(append(b, v4[:]...), a.IPv4.Port())
	var v6 [16]byte
	if a.IPv6.Addr().Is6() {
		v6 = a.IPv6.Addr().As16()
	}
	b = binary.BigEndian.AppendUint16(append(b, v6[:]...), a.IPv6.Port())
	b = a.ConnID.AppendTo(append(b, byte(a.ConnID.Len())))
	return append(b, a.ResetToken[:]...)
}

// parsePreferredAddress parses the value of the parameter.
func parsePreferredAddress(b []byte) (a PreferredAddress, ok bool) {
	r := reader{b: b}
	// IPv4 Address (32), IPv4 Port (16),
	v4, port4 := r.bytes(4), r.bytes(2)
	// IPv6 Address (128), IPv6 Port (16),
	v6, port6 := r.bytes(16), r.bytes(2)
	// Connection ID Length (8), Connection ID (..),
	id := r.bytes(uint64(r.byte()))
	// Stateless Reset Token (128),
	token := r.bytes(16)
	if r.done() != len(b) {
		return a, false
	}
	a.IPv4 = offered(netip.AddrFrom4([4]byte(v4)), port4)
	a.IPv6 = offered(netip.AddrFrom16([16]byte(v6)), port6)
	copy(a.ResetToken[:], token)
	a.ConnID, ok = MakeConnID(id)
	// "[A] server MUST NOT include a zero-length connection ID in this transport parameter. A
	// client MUST treat a violation of these requirements as a connection error of type
	// TRANSPORT_PARAMETER_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-4.32.4
	return a, ok && len(id) > 0
}

// offered reports whether an address is present: "Servers MAY choose to only send a preferred address of
// one address family by sending an all-zero address and port [...] for the other family."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-4.32.1
func offered(addr netip.Addr, port []byte) netip.AddrPort {
	p := binary.BigEndian.Uint16(port)
	if addr.IsUnspecified() && p == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, p)
}

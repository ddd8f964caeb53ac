package recovery

import "math"

// Amplification counts what was received from and sent to an address that is not validated, and limits what may be
// sent there.
//
// "Prior to validating the client address, servers MUST NOT send more than three times as many bytes
// as the number of bytes they have received."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-4
type Amplification struct {
	validated      bool
	received, sent int // bytes of UDP payload
}

// minCredit is the minimum credit for sending: a header, a tag and a small frame.
const minCredit = 64

// DatagramReceived counts a datagram of n bytes from the address. Every datagram that belongs to the
// connection counts, whatever it contains.
func (a *Amplification) DatagramReceived(n int) {
	if !a.validated {
		a.received += n
	}
}

// DatagramSent counts n bytes sent.
func (a *Amplification) DatagramSent(n int) {
	if !a.validated {
		a.sent += n
	}
}

// Validate lifts the limit because the peer has shown that it owns the address.
func (a *Amplification) Validate() { a.validated = true }

// Credit returns how many bytes may be sent: math.MaxInt if the address is validated. A datagram must fit into the
// credit; it is not enough that some credit remains.
func (a *Amplification) Credit() int {
	if a.validated {
		return math.MaxInt
	}
	return 3*a.received - a.sent
}

// DatagramReceived counts a datagram of n bytes from the peer's address.
func (p *Path) DatagramReceived(n int) { p.amp.DatagramReceived(n) }

// DatagramSent counts n bytes sent.
func (p *Path) DatagramSent(n int) { p.amp.DatagramSent(n) }

// ValidateAddress lifts the limit because the peer has shown that it owns its address.
func (p *Path) ValidateAddress() { p.amp.Validate() }

// AmplificationCredit returns how many bytes may be sent.
func (p *Path) AmplificationCredit() int { return p.amp.Credit() }

package sim

import (
	"net/netip"
	"slices"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A nat is in front of a Node. It gives the Node the address public, and drops what arrives at another address. It also
// counts, independently of the core, what the Node exchanges with each of its peer's addresses after the first one.
type nat struct {
	public netip.AddrPort
	others []netip.AddrPort            // further addresses of the Node, which the nat does not change
	relay  netip.AddrPort              // an attacker's address, at which everything is passed on to the Node
	peers  map[netip.AddrPort]*contact // nil before the peer's address changes
}

// A contact is an address of the peer.
type contact struct {
	in, out int
	// reached is set when a datagram to the address has arrived, and answered when a datagram of the peer has arrived
	// after that. Only then can the Node know that the peer is at the address.
	reached, answered bool
}

// Rebind changes the address that a NAT has given to the Node. Datagrams that are under way to the old one are lost.
func (n *Node) Rebind(addr netip.AddrPort) {
	n.nat.public = addr
	n.peer.watch(addr)
}

// AddAddr gives the Node another address.
func (n *Node) AddAddr(addr netip.AddrPort) {
	n.nat.others = append(n.nat.others, addr)
	n.peer.watch(addr)
}

// RemoveAddr takes an address of AddAddr from the Node.
func (n *Node) RemoveAddr(addr netip.AddrPort) {
	n.nat.others = slices.DeleteFunc(n.nat.others, func(a netip.AddrPort) bool { return a == addr })
}

// source returns the address from which the peer sees a datagram that is sent from a local one.
func (n *Node) source(local netip.AddrPort) netip.AddrPort {
	if local.IsValid() && local != n.Addr {
		return local
	}
	return n.nat.public
}

// local returns the local address that belongs to the address to which a datagram was sent.
func (n *Node) local(addr netip.AddrPort) netip.AddrPort {
	if addr == n.nat.public || addr == n.nat.relay {
		return n.Addr
	}
	return addr
}

// watch begins to count what the Node exchanges with an address of its peer.
func (n *Node) watch(addr netip.AddrPort) {
	if n.nat.peers == nil {
		n.nat.peers = make(map[netip.AddrPort]*contact)
	}
	n.nat.peers[addr] = new(contact)
}

// RebindEvery changes the Node's address at the time first and at each interval after it. If wholeAddr is false, only
// the port changes.
func (n *Node) RebindEvery(first, interval monotime.Time, wholeAddr bool) {
	next := netip.AddrPortFrom(n.nat.public.Addr(), n.nat.public.Port()+1)
	if wholeAddr {
		next = netip.AddrPortFrom(n.nat.public.Addr().Next().Next(), n.nat.public.Port())
	}
	n.w.At(first, func() {
		n.Rebind(next)
		n.RebindEvery(first+interval, interval, wholeAddr)
	})
}

// admits reports whether a datagram that from has sent to an address arrives at the Node.
func (n *Node) admits(from *Node, addr netip.AddrPort) bool {
	if addr != n.nat.public && addr != n.nat.relay && !slices.Contains(n.nat.others, addr) {
		return false
	}
	if k := from.nat.peers[addr]; k != nil {
		k.reached = true
	}
	return true
}

// receivedFrom counts a datagram from an address.
func (n *Node) receivedFrom(addr netip.AddrPort, size int) {
	if k := n.nat.peers[addr]; k != nil {
		k.in += size
	}
	for _, k := range n.nat.peers {
		k.answered = k.answered || k.reached
	}
}

// sentTo checks the anti-amplification limit of a new address.
//
// "Until a peer's address is deemed valid, an endpoint limits the amount of data it sends to that address; see Section
// 8."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3.1-2
func (n *Node) sentTo(addr netip.AddrPort, size int) {
	k := n.nat.peers[addr]
	if k == nil {
		return
	}
	k.out += size
	if n.accept != nil && !k.answered && k.out > 3*k.in {
		n.w.Fail("%s: sent %d bytes for %d to %v, which is not validated", n.Name, k.out, k.in, addr)
	}
}

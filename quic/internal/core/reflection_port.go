package core

import (
	"net/netip"
	"slices"
)

// reflectionPorts are the ports of services that answer forged packets, so that an attacker can have them send to a
// third party. What comes from such a port is the answer of such a service to a packet with our forged address, or a
// packet with the service's forged address, which our answer would reach. RFC 9308, section 8.1, names five of them. The
// others have been used in the same way, or answer anything, so that two services could answer each other for ever.
// Clients do not use these ports: systems choose from the ephemeral ones, and NATs rarely choose others.
var reflectionPorts = []uint16{
	0, // nothing can be sent to it
	17, 19, 53, 111, 123, 137, 138, 161, 389, 500, 1900, 3702, 5353, 5355, 11211,
}

// mayFollow reports whether a server may follow its client to an address. What a client on another host could make a server
// send to the server's own host would reach services that trust it.
//
// "Endpoints SHOULD NOT allow connections or migration to a loopback address if the same service was previously available
// at a different interface or if the address was provided by a service at a non-loopback address."
// https://www.rfc-editor.org/rfc/rfc9000#section-21.5.6-2
func (c *Conn) mayFollow(to netip.AddrPort) bool {
	return (c.cfg.AllowReflectionPorts || !isReflectionPort(to)) &&
		(!to.Addr().IsLoopback() || c.path.Remote.Addr().IsLoopback())
}

// isReflectionPort reports whether nothing should be sent to an address because of its port.
//
// "However, it might be possible over time to identify specific UDP ports that are common targets of attacks [...].
// Endpoints MAY choose to avoid sending datagrams to these ports or not send datagrams that match these patterns prior to
// validating the destination address."
// https://www.rfc-editor.org/rfc/rfc9000#section-21.5.6-5
func isReflectionPort(a netip.AddrPort) bool {
	_, found := slices.BinarySearch(reflectionPorts, a.Port())
	return found
}

package core

import (
	"net/netip"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// The preferred address of a server (RFC 9000, section 9.6). The connection ID that comes with it has sequence number 1 and
// is like any other.

// handlePreferredAddress handles the transport parameter on a client.
//
// "If the preferred_address transport parameter is sent, the sequence number of the supplied connection ID is 1."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-1
func (c *Conn) handlePreferredAddress(a *wire.PreferredAddress) {
	c.ids.remote = append(c.ids.remote, remoteID{seq: 1, id: a.ConnID, token: a.ResetToken, hasToken: true})
	if c.cfg.IgnorePreferredAddress {
		return
	}
	// "A client that migrates to a new address SHOULD use a preferred address from the same address family for the server."
	// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.3-5
	to := a.IPv6
	if c.path.Remote.Addr().Is4() {
		to = a.IPv4
	}
	if mayPrefer(c.path.Remote, to) {
		c.newMigration()
		c.mig.preferred = to
	}
}

// mayPrefer reports whether a client follows a server to an address that the server has chosen. A server on the Internet must
// not make a client send datagrams to hosts of the client's own network, or to the client itself (RFC 9000, section 21.5.3).
func mayPrefer(from, to netip.AddrPort) bool {
	a := to.Addr()
	switch {
	case !to.IsValid() || to.Port() == 0 || to == from || a.IsUnspecified() || a.IsMulticast():
		return false
	case a.IsLoopback():
		return from.Addr().IsLoopback()
	case a.IsPrivate():
		return from.Addr().IsPrivate() || from.Addr().IsLoopback()
	case a.IsLinkLocalUnicast():
		return false // it has no zone
	}
	return true
}

// probePreferred validates the path to the server's preferred address.
//
// "Once the handshake is confirmed, the client SHOULD select one of the two addresses provided by the server and initiate path
// validation (see Section 8.2). A client constructs packets using any previously unused active connection ID, taken from
// either the preferred_address transport parameter or a NEW_CONNECTION_ID frame."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.1-3
func (c *Conn) probePreferred() {
	if c.mig == nil || !c.mig.preferred.IsValid() {
		return
	}
	to := c.mig.preferred
	c.mig.preferred = netip.AddrPort{}
	if _, ok := c.unusedRemote(); ok {
		c.probe(Path{Local: c.path.Local, Remote: to}).auto = true
	}
}

// arriveAtPreferred makes a path that has been validated the one in use, if only that was missing.
//
// "A client MUST NOT send non-probing frames to a preferred address prior to validating that address; see Section 8."
// https://www.rfc-editor.org/rfc/rfc9000#section-21.5.3-2
//
// "As soon as path validation succeeds, the client SHOULD begin sending all future packets to the new server address using the
// new connection ID and discontinue use of the old server address."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.1-4
// "If path validation of the server's preferred address succeeds, the client MUST abandon validation of the original
// address and migrate to using the server's preferred address."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.3-2
func (c *Conn) arriveAtPreferred(p *netPath) {
	m := c.mig
	switch {
	case p == m.active:
	case c.side == tlsprovider.Client && p.auto:
		p.auto = false
		c.switchPath(p)
		c.ids.stay = false // disable_active_migration is for the address of the handshake
		c.idle.ping = true
	case c.side == tlsprovider.Server && p.addrs.Local != m.active.addrs.Local && p.wanted == m.largest:
		c.switchPath(p)
	}
}

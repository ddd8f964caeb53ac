package core

import (
	"errors"
	"net/netip"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
)

// The errors of AddPath, SwitchPath and RemovePath.
var (
	ErrServerMigrates = errors.New("only a client can change its address")
	ErrNotConfirmed   = errors.New("the handshake is not confirmed yet")
	ErrMustStay       = errors.New("the server does not permit clients to change their address (disable_active_migration)")
	ErrNoUnusedConnID = errors.New("the server has not provided an unused connection ID for another path")
	ErrLinkable       = errors.New("the server uses empty connection IDs, which would link the two addresses")
	ErrTooManyPaths   = errors.New("the connection has as many paths as are possible")
	ErrPathGone       = errors.New("the path has been given up")
	ErrPathInUse      = errors.New("the path is in use")
)

// AddPath adds a path from a local address to the server, and begins to validate it. It returns the number of the path for
// SwitchPath and RemovePath. EventPathValidated or EventPathGone follows.
func (c *Conn) AddPath(now monotime.Time, local netip.AddrPort) (uint32, error) {
	c.clamp(now)
	switch {
	case c.side == tlsprovider.Server:
		return 0, ErrServerMigrates
	case c.closing.state != stateOpen:
		return 0, c.closing.err
	case !c.tls.confirmed:
		// "An endpoint MUST NOT initiate connection migration before the handshake is confirmed".
		// https://www.rfc-editor.org/rfc/rfc9000#section-9-2
		return 0, ErrNotConfirmed
	case c.ids.stay:
		// "If the peer sent the disable_active_migration transport parameter, an endpoint also MUST NOT send packets
		// (including probing packets; see Section 9.1) from a different local address to the address the peer used
		// during the handshake, unless the endpoint has acted on a preferred_address transport parameter from the
		// peer."
		// https://www.rfc-editor.org/rfc/rfc9000#section-9-3
		return 0, ErrMustStay
	case c.migrating() && len(c.mig.paths) >= maxPaths:
		return 0, ErrTooManyPaths
	}
	// "An endpoint SHOULD NOT initiate migration with a peer that has requested a zero-length connection ID".
	// https://www.rfc-editor.org/rfc/rfc9000#section-9.5-7
	if c.ids.dst().Len() == 0 {
		return 0, ErrLinkable
	}
	if _, ok := c.unusedForPath(); !ok {
		return 0, ErrNoUnusedConnID
	}
	p := c.probe(Path{Local: local, Remote: c.path.Remote})
	c.mig.lastID++
	p.id = c.mig.lastID
	return p.id, nil
}

// probe begins to validate a new path of a client, for which there is an unused connection ID.
//
// "An endpoint MUST NOT reuse a connection ID when sending from more than one local address".
// https://www.rfc-editor.org/rfc/rfc9000#section-9.5-3
func (c *Conn) probe(addrs Path) *netPath {
	c.wake()
	p := c.addPath(addrs, true)
	c.routeRemote(addrs.Remote)
	// "An endpoint that initiates migration and requires non-zero-length connection IDs SHOULD ensure that the pool of
	// connection IDs available to its peer allows the peer to use a new connection ID on migration, as the peer will be unable
	// to respond if the pool is exhausted."
	// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-7
	c.ids.issueSpares(c, len(c.mig.paths)-1)
	p.amp.Validate() // the limit is for servers
	c.validate(p)
	return p
}

// SwitchPath makes a path the one in use. Its validation need not be complete; if it fails, the connection returns to the
// path before.
func (c *Conn) SwitchPath(now monotime.Time, id uint32) error {
	c.clamp(now)
	if c.closing.state != stateOpen {
		return c.closing.err
	}
	p, err := c.pathByID(id)
	if p == nil || err != nil {
		return err
	}
	c.wake()
	c.switchPath(p)
	c.idle.ping = true // the server follows when it receives a packet with more than probing frames
	c.releaseFallback()
	c.endMigration()
	return nil
}

// RemovePath gives up a path that is not in use.
func (c *Conn) RemovePath(now monotime.Time, id uint32) error {
	c.clamp(now)
	if c.closing.state != stateOpen {
		return nil
	}
	p, err := c.pathByID(id)
	switch {
	case err != nil:
		return nil
	case p == nil:
		return ErrPathInUse
	}
	c.wake()
	c.removePath(p)
	c.endMigration()
	return nil
}

// pathByID returns the path with a number, or nil if it is the one in use.
func (c *Conn) pathByID(id uint32) (*netPath, error) {
	if c.mig == nil {
		return nil, ErrPathGone
	}
	for _, p := range c.mig.paths {
		if p.id == id && p != c.mig.active {
			return p, nil
		}
	}
	if id != c.mig.current {
		return nil, ErrPathGone
	}
	return nil, nil
}

// CurrentPath returns the number of the path in use, which is 0 for that of the handshake.
func (c *Conn) CurrentPath() uint32 {
	if c.mig == nil {
		return 0
	}
	return c.mig.current
}

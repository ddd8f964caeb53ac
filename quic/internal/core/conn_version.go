package core

import (
	"encoding/binary"
	"slices"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Version negotiation (RFC 9368) between versions 1 and 2, which are compatible with each other (RFC 9369).
//
// A client begins with its original version and lists the others in its transport parameters. A server that prefers
// another one switches to it when the ClientHello has arrived: what it sends from then on, beginning with the Initial
// packet that carries the ServerHello, is of the new version. The client switches when it opens that packet. Both keep
// the keys with which they open Initial packets of the original version, until they discard the Initial space.

// versionState is the state of a connection that has changed its version.
type versionState struct {
	original wire.Version
	open     tlsprovider.Opener // of Initial packets of the original version; nil once they are discarded
}

func (v *versionState) close() {
	if v != nil && v.open != nil {
		tlsprovider.Keys{Opener: v.open}.Close()
		v.open = nil
	}
}

// maxVersionSwitches bounds how many Initial packets of another version a client tries to open.
const maxVersionSwitches = 8

// FirstVersion returns the version of a client's first packets, if it does not know what the server supports: Version1
// if that is among versions, because servers know it, and otherwise the preferred one.
func FirstVersion(versions []wire.Version) wire.Version {
	if len(versions) == 0 || slices.Contains(versions, wire.Version1) {
		return wire.Version1
	}
	return versions[0]
}

func (cfg *Config) firstVersion() wire.Version {
	if cfg.Version != 0 {
		return cfg.Version
	}
	return FirstVersion(cfg.Versions)
}

// originalVersion returns the version of the client's first packets.
func (c *Conn) originalVersion() wire.Version {
	if v := c.ext.versions; v != nil {
		return v.original
	}
	return c.version
}

// packetVersion returns the version of our packets of a type.
//
// "The client MUST NOT send 0-RTT packets using the negotiated version, even after processing a packet of that version
// from the server."
// https://www.rfc-editor.org/rfc/rfc9369#section-4.1-8
func (c *Conn) packetVersion(t wire.PacketType) wire.Version {
	if t == wire.Packet0RTT {
		return c.originalVersion()
	}
	return c.version
}

// setVersionInfo adds a client's version_information to its transport parameters. A server adds its own in TLSJob.decide.
//
// "Clients and servers MAY both include versions following the pattern 0x?a?a?a?a in their Available Versions list."
// https://www.rfc-editor.org/rfc/rfc9368#section-3-6
func (c *Conn) setVersionInfo(p *wire.TransportParameters) {
	if len(c.cfg.Versions) == 0 || c.side == tlsprovider.Server {
		return
	}
	var random [4]byte
	c.cfg.Rand(random[:])
	p.ChosenVersion, p.HasVersionInfo = c.version, true
	p.AvailableVersions = wire.EncodeVersions(c.cfg.Versions...) + wire.EncodeVersions(greaseVersion(random))
}

// greaseVersion returns a version that is reserved to exercise version negotiation.
func greaseVersion(random [4]byte) wire.Version {
	return wire.Version(binary.BigEndian.Uint32(random[:]))&0xf0f0f0f0 | 0x0a0a0a0a
}

// chooseVersion returns a server's choice for a ClientHello that arrived in version v, and its version_information.
//
// "In order to perform compatible version negotiation, the server MUST select one of these versions that it (1) supports
// and (2) knows the client's Chosen Version is compatible with."
// https://www.rfc-editor.org/rfc/rfc9368#section-2.3-2
func (cfg *Config) chooseVersion(v wire.Version, clientParams, ours []byte) (wire.Version, []byte) {
	if len(cfg.Versions) == 0 {
		return v, ours
	}
	p, code := wire.ParseTransportParameters(clientParams, false)
	if code == wire.NoError && p.HasVersionInfo && p.ChosenVersion == v {
		for _, preferred := range cfg.Versions {
			if p.HasVersion(preferred) {
				v = preferred
				break
			}
		}
	}
	return v, wire.AppendVersionInformation(slices.Clip(ours), v, wire.EncodeVersions(cfg.Versions...))
}

// checkVersionInfo returns the reason of a VERSION_NEGOTIATION_ERROR if the peer's version_information shows that the
// version is not the one that both sides would have chosen without an attacker.
func (c *Conn) checkVersionInfo(p *wire.TransportParameters) string {
	if len(c.cfg.Versions) == 0 {
		return ""
	}
	if c.side == tlsprovider.Server {
		// "When the server then processes the client's Version Information, the server MUST validate that the
		// client's Chosen Version matches the version in use for the connection. If the two differ, the server MUST
		// close the connection with a version negotiation error."
		// https://www.rfc-editor.org/rfc/rfc9368#section-4-5
		if p.HasVersionInfo && p.ChosenVersion != c.originalVersion() {
			return "the client's Chosen Version is not the one of its packets"
		}
		return ""
	}
	switch {
	case !p.HasVersionInfo && c.ext.versions != nil:
		return "the server has changed the version without version_information"
	case !p.HasVersionInfo && c.cfg.Negotiated && c.version != wire.Version1:
		// "If a client has reacted to a Version Negotiation packet and the server's Version Information was
		// missing, the client MUST close the connection with a version negotiation error." A server of version 1
		// need not know version_information.
		// https://www.rfc-editor.org/rfc/rfc9368#section-4-8
		return "version_information is missing after Version Negotiation"
	case !p.HasVersionInfo:
		return ""
	case p.ChosenVersion != c.version:
		// "[C]lients MUST validate that the server's Chosen Version is equal to the Negotiated Version; if they do
		// not match, the client MUST close the connection with a version negotiation error."
		// https://www.rfc-editor.org/rfc/rfc9368#section-4-11
		return "the server's Chosen Version is not the one of its packets"
	case !slices.Contains(c.cfg.Versions, p.ChosenVersion):
		// "If a client receives Version Information where the server's Chosen Version was not sent by the client as
		// part of its Available Versions, the client MUST close the connection with a version negotiation error."
		// https://www.rfc-editor.org/rfc/rfc9368#section-4-8
		return "the server's Chosen Version was not offered"
	case c.cfg.Negotiated && c.wouldChoose(p) != c.originalVersion():
		// "If the client would have selected a different version, the client MUST close the connection with a version
		// negotiation error."
		// https://www.rfc-editor.org/rfc/rfc9368#section-4-9
		return "the Version Negotiation packet did not list the versions that the server supports"
	}
	return ""
}

// wouldChoose returns the version that a client would have chosen from a Version Negotiation packet with the versions
// that the server supports. It is 0 if the server lists none.
func (c *Conn) wouldChoose(p *wire.TransportParameters) wire.Version {
	if p.AvailableVersions == "" {
		return 0
	}
	for _, v := range c.cfg.Versions {
		if p.HasVersion(v) || v == c.version {
			return v
		}
	}
	return 0
}

// switchVersion changes the version of the connection after its first packets. It reports whether the connection goes
// on.
func (c *Conn) switchVersion(v wire.Version) bool {
	dst := c.initialDst()
	k, err := c.cfg.Provider.InitialKeys(uint32(v), dst.Bytes(), c.side)
	if err != nil {
		c.abort(&CloseError{Code: uint64(wire.InternalError), Reason: "Initial keys", Cause: err})
		return false
	}
	c.adoptVersion(v, k)
	return true
}

// adoptVersion changes the version and takes over the Initial keys.
func (c *Conn) adoptVersion(v wire.Version, k tlsprovider.Keys) {
	sp := c.spaces[recovery.SpaceInitial]
	if sp.discarded {
		k.Close()
		return
	}
	c.extend().versions = &versionState{original: c.version, open: sp.open}
	tlsprovider.Keys{Sealer: sp.seal}.Close()
	sp.seal, sp.open = k.Sealer, k.Opener
	c.version = v
	c.traced(TraceEvent{Kind: TraceVersion, Version: v})
}

// initialDst returns the client's connection ID from which the Initial keys are derived: that of its first packet, or of
// the Retry packet.
func (c *Conn) initialDst() wire.ConnID {
	if c.ids.retried {
		return c.ids.retrySrc
	}
	return c.ids.originalDst
}

// acceptsVersion reports whether to process a long header packet of another version than the connection's.
func (c *Conn) acceptsVersion(h *wire.LongHeader, pkt []byte) bool {
	if v := c.ext.versions; v != nil {
		// "Servers can accept 0-RTT and then process 0-RTT packets from the original version."
		// https://www.rfc-editor.org/rfc/rfc9369#section-4.1-8
		return h.Version == v.original && (h.Type == wire.PacketInitial && v.open != nil || h.Type == wire.Packet0RTT)
	}
	return c.side == tlsprovider.Client && h.Type == wire.PacketInitial && c.followVersion(h, pkt)
}

// followVersion switches a client to the version of a server's Initial packet, if the client has offered the version, the
// packet is authentic, and no CRYPTO data has arrived that would show that the server has chosen the original version.
//
// "The client learns the negotiated version by observing the first long header Version field that differs from the
// original version. If the client receives a CRYPTO frame from the server in the original version, it indicates that the
// negotiated version is equal to the original version."
// https://www.rfc-editor.org/rfc/rfc9369#section-4.1-5
func (c *Conn) followVersion(h *wire.LongHeader, pkt []byte) bool {
	in := &c.spaces[recovery.SpaceInitial].in
	if !slices.Contains(c.cfg.Versions, h.Version) || c.spaces[recovery.SpaceInitial].discarded ||
		in.base > 0 || in.have.NumRanges() > 0 || !c.ids.accepts(c, h.DstID.Bytes()) || c.ids.versionTries >= maxVersionSwitches {
		return false
	}
	c.ids.versionTries++
	dst := c.initialDst()
	k, err := c.cfg.Provider.InitialKeys(uint32(h.Version), dst.Bytes(), c.side)
	if err != nil {
		return false
	}
	// The packet is opened in a copy, because it is opened again.
	d := [1]tlsprovider.OpenDesc{{Len: uint32(len(pkt)), PNOffset: uint32(h.PNOffset)}}
	k.Opener.Open(append([]byte(nil), pkt...), d[:], int64(c.spaces[recovery.SpaceInitial].acks.Largest()))
	if d[0].Status != tlsprovider.OpenOK {
		k.Close()
		return false
	}
	c.adoptVersion(h.Version, k)
	return true
}

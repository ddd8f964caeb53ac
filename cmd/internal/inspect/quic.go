package inspect

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/pqquic/pqquic/tlsprovider"
)

// quicState is the state for following a QUIC connection's handshake.
type quicState struct {
	dcids    [][]byte // determine the Initial keys: the client's first one, and those of Retry packets
	keys     []initialKeys
	seen     []uint64 // hashes of earlier datagrams: captures on loopback contain each twice
	hs       *handshakeReader
	finished bool // the client has moved on to Handshake packets
}

// initialKeys holds both sides' Initial keys for a version and a connection ID.
type initialKeys struct {
	version uint32
	dcid    []byte
	side    [2]tlsprovider.Opener // fromClient, fromServer
	largest [2]int64
}

// Directions.
const (
	fromClient = 0
	fromServer = 1
)

// maxRetries bounds the Retry packets whose connection IDs are tried.
const maxRetries = 4

// maxSeen bounds the datagrams that are compared to find duplicates.
const maxSeen = 32

func (q *quicState) size() int {
	if q.hs == nil {
		return 0
	}
	return q.hs.size()
}

func (q *quicState) close() {
	for _, k := range q.keys {
		for _, o := range k.side {
			o.Close()
		}
	}
	q.keys, q.hs, q.seen = nil, nil, nil
}

// udp examines the long header packets of a datagram.
func (in *Inspector) udp(d *datagram) bool {
	if len(d.payload) == 0 || d.payload[0]&0x80 == 0 {
		return false
	}
	h, rest, ok := parseLong(d.payload)
	if !ok {
		return false
	}
	c, dir := in.find(d, &h)
	switch {
	case c == nil:
		if h.kind == packetInitial {
			in.stats.Orphans++
		}
		return false
	case c.reported:
		in.touch(c, d.time)
		return h.kind != packetZeroRTT
	}
	if d.cut {
		c.report.problem("a datagram was cut short by the capture")
	}
	if c.quic.duplicate(maphash.Bytes(in.seed, d.payload)) {
		return true
	}
	hasInitial := false
	for {
		hasInitial = hasInitial || h.kind == packetInitial
		in.packet(c, dir, &h)
		// Some stacks pad the datagram after its packets.
		rest = bytes.TrimLeft(rest, "\x00")
		if h, rest, ok = parseLong(rest); !ok {
			break
		}
	}
	if hasInitial {
		c.report.countInitial(dir, len(d.payload))
	}
	in.touch(c, d.time)
	if c.quic.done(c) {
		in.emit(c)
		in.touch(c, d.time)
	}
	return true
}

func (r *Connection) countInitial(dir, n int) {
	i := &r.ClientInitials
	if dir == fromServer {
		i = &r.ServerInitials
	}
	if *i == nil {
		*i = &Initials{}
	}
	(*i).count(n)
}

func (q *quicState) duplicate(sum uint64) bool {
	if slices.Contains(q.seen, sum) {
		return true
	}
	if len(q.seen) < maxSeen {
		q.seen = append(q.seen, sum)
	}
	return false
}

// done reports whether nothing more can be learned.
func (q *quicState) done(c *conn) bool {
	return c.report.Hello != nil && c.report.ServerHello != nil && q.finished && (q.hs == nil || q.hs.done())
}

// find returns the connection of a packet and its direction. A client's first Initial creates a connection.
func (in *Inspector) find(d *datagram, h *longHeader) (*conn, int) {
	key := connKey{client: d.src, server: d.dst, cid: string(h.src)}
	if c := in.conns[key]; c != nil {
		// A client with an empty connection ID may use its port for several connections in sequence. A
		// packet that no key of the last connection opens may be the first packet of the next.
		if len(h.src) > 0 || h.kind != packetInitial || c.quic.knows(h.dst) {
			return c, fromClient
		}
		if first := in.first(d, h, key); first != nil {
			return first, fromClient
		}
		return c, fromClient
	}
	if c := in.conns[connKey{client: d.dst, server: d.src, cid: string(h.dst)}]; c != nil {
		return c, fromServer
	}
	if h.kind != packetInitial {
		return nil, 0
	}
	return in.first(d, h, key), fromClient
}

// knows reports whether this connection has Initial keys derived from id.
func (q *quicState) knows(id []byte) bool {
	return slices.ContainsFunc(q.dcids, func(d []byte) bool { return string(d) == string(id) })
}

// first creates a connection from a client's first Initial packet. Its keys follow from its destination
// connection ID; a packet of anything else does not open.
func (in *Inspector) first(d *datagram, h *longHeader, key connKey) *conn {
	pkt := slices.Clone(h.packet)
	if _, ok := in.provider.OpenInitial(h.version, h.dst, pkt, h.pnOffset); !ok {
		return nil
	}
	if old := in.conns[key]; old != nil {
		in.remove(old)
	}
	c := in.add(d, key, "quic")
	c.quic = &quicState{dcids: [][]byte{slices.Clone(h.dst)}}
	if in.opt.KeyLog != nil {
		c.quic.hs = &handshakeReader{log: in.opt.KeyLog}
	}
	return c
}

// packet reads one packet of a connection.
func (in *Inspector) packet(c *conn, dir int, h *longHeader) {
	q := c.quic
	if h.version != 0 {
		c.report.Version = quicVersionName(h.version)
	}
	switch h.kind {
	case packetInitial:
		in.initial(c, dir, h)
	case packetHandshake:
		q.finished = q.finished || dir == fromClient
		if q.hs != nil {
			q.hs.packet(c, dir, h)
		}
	case packetRetry:
		// A ClientHello of two datagrams may be answered by two Retry packets. The client follows the one
		// that it sees first; the capture does not show which.
		if dir == fromServer && len(q.dcids) <= maxRetries && !q.knows(h.src) && in.retryIsGenuine(q.dcids[0], h) {
			c.report.Retry = true
			q.dcids = append(q.dcids, slices.Clone(h.src))
		}
	case packetVersionNegotiation:
		if dir == fromServer && c.report.VersionNegotiation == nil {
			c.report.VersionNegotiation = h.versions()
		}
	}
}

func (in *Inspector) retryIsGenuine(original []byte, h *longHeader) bool {
	n := len(h.packet) - tlsprovider.TagLen
	tag, err := in.provider.RetryTag(h.version, original, h.packet[:n])
	return err == nil && string(tag[:]) == string(h.packet[n:])
}

// initial opens an Initial packet and reads its CRYPTO frames.
func (in *Inspector) initial(c *conn, dir int, h *longHeader) {
	payload := in.open(c, dir, h)
	if payload == nil {
		c.report.problem(fmt.Sprintf("an Initial packet to %s cannot be decrypted", hex.EncodeToString(h.dst)))
		return
	}
	closed, ok := walkFrames(payload, func(off uint64, data []byte) error {
		if dir == fromClient {
			return c.note(c.client.add(off, data, c.fromClient))
		}
		return c.note(c.server.add(off, data, c.fromServer))
	})
	if !ok {
		c.report.problem("an Initial packet contains frames that are not permitted in it")
	}
	if closed != nil && c.report.Close == "" {
		c.report.Close = closed.String()
	}
	if c.quic.hs != nil {
		c.quic.hs.ready(c)
	}
}

// note records an error as a problem of the connection.
func (c *conn) note(err error) error {
	if err != nil {
		c.report.problem(err.Error())
	}
	return err
}

// open opens an Initial packet with each key that may fit.
func (in *Inspector) open(c *conn, dir int, h *longHeader) []byte {
	q := c.quic
	for i := len(q.dcids) - 1; i >= 0; i-- {
		k := q.keysFor(in.provider, h.version, q.dcids[i])
		if k == nil {
			continue
		}
		pkt := slices.Clone(h.packet) // a failed attempt destroys the packet
		d := []tlsprovider.OpenDesc{{Len: uint32(len(pkt)), PNOffset: uint32(h.pnOffset)}}
		k.side[dir].Open(pkt, d, k.largest[dir])
		if d[0].Status != tlsprovider.OpenOK {
			continue
		}
		k.largest[dir] = max(k.largest[dir], int64(d[0].PacketNumber))
		return pkt[d[0].HeaderLen:][:d[0].PayloadLen]
	}
	return nil
}

func (q *quicState) keysFor(p tlsprovider.Provider, version uint32, dcid []byte) *initialKeys {
	for i := range q.keys {
		if k := &q.keys[i]; k.version == version && string(k.dcid) == string(dcid) {
			return k
		}
	}
	asServer, err := p.InitialKeys(version, dcid, tlsprovider.Server)
	if err != nil {
		return nil
	}
	asClient, err := p.InitialKeys(version, dcid, tlsprovider.Client)
	if err != nil {
		asServer.Close()
		return nil
	}
	// Each side opens what the other sends.
	asServer.Sealer.Close()
	asClient.Sealer.Close()
	q.keys = append(q.keys, initialKeys{
		version: version, dcid: dcid, largest: [2]int64{-1, -1},
		side: [2]tlsprovider.Opener{fromClient: asServer.Opener, fromServer: asClient.Opener},
	})
	return &q.keys[len(q.keys)-1]
}

func (f *closeFrame) String() string {
	s := fmt.Sprintf("error 0x%x", f.code)
	if f.code>>8 == 1 { // RFC 9001, 4.8: CRYPTO_ERROR holds a TLS alert
		s = fmt.Sprintf("TLS alert %d (0x%x)", f.code&0xff, f.code)
	}
	if f.reason != "" {
		s += fmt.Sprintf(" %q", f.reason)
	}
	return s
}

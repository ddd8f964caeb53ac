// Package inspect finds TLS handshakes in captured packets, over QUIC and over TCP. It reports which key
// exchange each used, whether it was post-quantum, and if not, why.
//
// An Inspector reads frame by frame and keeps a bounded amount of state, so that it can run at the end of a
// pipe for days. It opens Initial packets, whose keys anyone on the path can derive (RFC 9001, 5.2). Later
// packets need a [KeyLog].
package inspect

import (
	"container/list"
	"hash/maphash"
	"net/netip"
	"slices"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// Options configure an Inspector. A zero limit means the default.
type Options struct {
	// Report is called once for each connection, when no more of it is expected.
	Report func(*Connection)
	// KeyLog holds the secrets of the captured connections; nil for none.
	KeyLog *KeyLog
	// Ports selects packets from or to these ports. An empty list selects all packets.
	Ports []uint16

	// MaxConnections bounds the concurrent connections. Beyond it, the connection that was silent the
	// longest is reported as far as it is known. Default 65536.
	MaxConnections int
	// MaxBuffered bounds the bytes of unfinished hellos of all connections. Default 64 MiB.
	MaxBuffered int
	// Idle is how long a connection may be silent, by the capture's clock, before it is reported. Default
	// 30 s.
	Idle time.Duration
}

// Stats counts what an Inspector has seen.
type Stats struct {
	Frames      int64 `json:"frames"`
	Datagrams   int64 `json:"datagrams"`
	Truncated   int64 `json:"truncated"` // frames that the capture cut short
	Connections int64 `json:"connections"`
	PostQuantum int64 `json:"post_quantum"`
	Classical   int64 `json:"classical"`
	Unknown     int64 `json:"unknown"`
	Evicted     int64 `json:"evicted"` // reported early, to stay within the limits
	// Orphans counts Initial packets of connections whose first packet, which determines the keys, is not
	// in the capture.
	Orphans int64 `json:"orphans"`
}

// An Inspector examines frames. It must be used by one goroutine.
type Inspector struct {
	opt      Options
	provider tlsprovider.Provider
	decoder  *decoder
	seed     maphash.Seed
	stats    Stats

	conns    map[connKey]*conn
	recent   *list.List // of *conn, most recently seen first
	buffered int
	pqServer map[netip.AddrPort]bool // servers that have chosen a post-quantum group
}

// connKey identifies a connection. cid is the connection ID that the client chose for itself; over TCP it
// is empty and tcp is set.
type connKey struct {
	client, server netip.AddrPort
	cid            string
	tcp            bool
}

// conn is a connection under examination.
type conn struct {
	key      connKey
	report   *Connection
	heard    time.Time
	place    *list.Element
	reported bool

	client, server hellos // unencrypted messages of each side
	buffered       int    // share of Inspector.buffered
	quic           *quicState
	tcp            *tcpState
}

// New returns an Inspector.
func New(opt Options) *Inspector {
	if opt.MaxConnections == 0 {
		opt.MaxConnections = 65536
	}
	if opt.MaxBuffered == 0 {
		opt.MaxBuffered = 64 << 20
	}
	if opt.Idle == 0 {
		opt.Idle = 30 * time.Second
	}
	return &Inspector{
		opt: opt, provider: native.New(), decoder: newDecoder(), seed: maphash.MakeSeed(),
		conns: make(map[connKey]*conn), recent: list.New(), pqServer: make(map[netip.AddrPort]bool),
	}
}

// Frame examines one frame. It reports whether the frame belongs to a handshake, or may.
func (in *Inspector) Frame(f capture.Frame) (relevant bool) {
	in.stats.Frames++
	if f.Length > len(f.Data) {
		in.stats.Truncated++
	}
	d, ok := in.decoder.decode(f.Time, f.Link, f.Data)
	if !ok {
		return in.decoder.fragment
	}
	if p := in.opt.Ports; len(p) > 0 && !slices.Contains(p, d.src.Port()) && !slices.Contains(p, d.dst.Port()) {
		return false
	}
	in.stats.Datagrams++
	in.expire(d.time)
	if d.tcp {
		return in.tcp(&d) || in.decoder.fragment
	}
	return in.udp(&d) || in.decoder.fragment
}

// Finish reports the remaining connections.
func (in *Inspector) Finish() Stats {
	for e := in.recent.Back(); e != nil; e = in.recent.Back() {
		in.remove(e.Value.(*conn))
	}
	return in.stats
}

// Stats returns the counts so far.
func (in *Inspector) Stats() Stats { return in.stats }

func (in *Inspector) add(d *datagram, key connKey, transport string) *conn {
	for len(in.conns) >= in.opt.MaxConnections {
		in.evict()
	}
	c := &conn{key: key, heard: d.time, report: &Connection{
		Start: d.time, Transport: transport, Client: key.client, Server: key.server,
	}}
	c.place = in.recent.PushFront(c)
	in.conns[key] = c
	return c
}

// touch records activity of a connection and enforces the common limits.
func (in *Inspector) touch(c *conn, t time.Time) {
	if t.After(c.heard) {
		c.heard = t
	}
	in.recent.MoveToFront(c.place)
	size := c.client.size() + c.server.size() + c.report.size()
	if c.quic != nil {
		size += c.quic.size()
	}
	if c.tcp != nil {
		size += c.tcp.size()
	}
	in.buffered += size - c.buffered
	c.buffered = size
	for in.buffered > in.opt.MaxBuffered && in.recent.Len() > 1 {
		in.evict()
	}
}

func (in *Inspector) evict() {
	c := in.recent.Back().Value.(*conn)
	if !c.reported && (c.tcp == nil || c.tcp.tls || c.report.Hello != nil) {
		in.stats.Evicted++
		c.report.problem("examination stopped early: too many concurrent connections")
	}
	in.remove(c)
}

// expire reports and removes connections that have been silent for too long.
func (in *Inspector) expire(now time.Time) {
	for e := in.recent.Back(); e != nil; e = in.recent.Back() {
		c := e.Value.(*conn)
		if now.Sub(c.heard) < in.opt.Idle {
			return
		}
		in.remove(c)
	}
}

func (in *Inspector) remove(c *conn) {
	in.emit(c)
	in.recent.Remove(c.place)
	delete(in.conns, c.key)
	in.buffered -= c.buffered
	c.buffered = 0
}

// emit reports a connection, once. A connection that never was TLS is not reported.
func (in *Inspector) emit(c *conn) {
	if c.reported {
		return
	}
	c.reported = true
	if c.quic != nil {
		c.quic.close()
	}
	c.client.stream.drop()
	c.server.stream.drop()
	if c.tcp != nil && !c.tcp.tls && c.report.Hello == nil {
		return
	}
	r := c.report
	// The entry stays so that later packets are not taken for a new connection.
	c.report = nil
	in.judge(r)
	in.stats.Connections++
	switch r.Verdict.Result {
	case PostQuantum:
		in.stats.PostQuantum++
	case Classical:
		in.stats.Classical++
	default:
		in.stats.Unknown++
	}
	if in.opt.Report != nil {
		in.opt.Report(r)
	}
}

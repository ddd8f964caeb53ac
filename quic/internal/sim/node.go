package sim

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A Node is a host with one Endpoint. Like package quic, but without locks, it passes inputs to its
// connections and then polls every output until it is empty.
type Node struct {
	w        *World
	Name     string
	Addr     netip.AddrPort
	nat      nat
	Endpoint *core.Endpoint
	Conns    map[core.ConnRef]*Conn

	ids    *ConnIDs
	peer   *Node
	link   direction // towards the peer
	accept *core.Config
	app    func() *App
	// validation is the policy of a server for clients' addresses.
	validation core.Validation
	nextRef    core.ConnRef
	timer      monotime.Time
	buf        []byte

	// TLSDelay, if set, returns how long a TLS job takes.
	TLSDelay func() time.Duration
	// TLSQueue, if set, makes TLS jobs run one at a time and clients be postponed when TLSQueue jobs wait.
	TLSQueue int
	queue    []func()
	working  bool
	// Refuse, if set, reports whether to refuse a client. Refused counts the refused clients.
	Refuse  func() bool
	Refused int
	// Tap, if set, is called with every datagram sent.
	Tap func(now monotime.Time, b []byte)
	// BytesIn and BytesOut count bytes of UDP payload.
	BytesIn, BytesOut int
	validated         bool
	checks            int // checks of the Endpoint, done or skipped
}

// A Conn is a connection on a Node.
type Conn struct {
	*core.Conn
	App       *App
	Connected monotime.Time
	Early     monotime.Time // when streams could first be used, if that was before the end of the handshake
	Drained   bool
	// LastPathEvent is the latest event of a path.
	LastPathEvent PathEvent

	node    *Node
	ref     core.ConnRef
	timer   monotime.Time
	driving bool
	again   bool
	checks  int // done or skipped
}

// A PathEvent is an event of a path that a client has added.
type PathEvent struct {
	Kind core.EventKind
	Path uint32
}

// ConnIDs are the connection IDs of a node.
type ConnIDs struct {
	Len int
	// Generate returns a new ID. nil means random ones.
	Generate func() (wire.ConnID, error)
}

// newNode returns a new host.
func (w *World) newNode(name string, addr netip.AddrPort, cfg *core.EndpointConfig, ids *ConnIDs) *Node {
	if ids == nil {
		ids = &ConnIDs{Len: core.ConnIDLen}
	}
	if ids.Generate == nil {
		ids = &ConnIDs{Len: ids.Len, Generate: w.randomIDs(ids.Len)}
	}
	cfg.Rand = w.fill
	cfg.NewConnID, cfg.ConnIDLen = ids.Generate, ids.Len
	n := &Node{
		w: w, ids: ids, Name: name, Addr: addr, nat: nat{public: addr}, Endpoint: core.NewEndpoint(cfg),
		Conns: make(map[core.ConnRef]*Conn), buf: make([]byte, 64<<10),
	}
	w.nodes = append(w.nodes, n)
	return n
}

// fill fills b with random bytes of the world.
func (w *World) fill(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, w.Rand.Uint64())
		b = b[8:]
	}
	for i := range b {
		b[i] = byte(w.Rand.Uint32())
	}
}

// randomIDs returns a function that returns random connection IDs.
func (w *World) randomIDs(length int) func() (wire.ConnID, error) {
	return func() (wire.ConnID, error) {
		b := make([]byte, length)
		w.fill(b)
		id, _ := wire.MakeConnID(b)
		return id, nil
	}
}

// dial starts a connection to the peer.
func (n *Node) dial(cfg *core.Config, app *App) (*Conn, error) {
	cc, err := core.NewClientConn(n.w.now, cfg, datagram.Path{Local: n.Addr, Remote: n.peer.Addr})
	if err != nil {
		return nil, err
	}
	c := n.add(cc, app)
	n.Endpoint.Add(n.w.now, c.ref, nil)
	c.drive()
	return c, nil
}

func (n *Node) add(cc *core.Conn, app *App) *Conn {
	n.nextRef++
	c := &Conn{Conn: cc, App: app, node: n, ref: n.nextRef}
	n.Conns[c.ref] = c
	return c
}

// transmit sends a train on the link.
func (n *Node) transmit(tx datagram.Transmit) {
	from, to := n.source(tx.Path.Local), tx.Path.Remote
	for b := tx.Data; len(b) > 0; {
		size := min(len(b), max(1, tx.SegmentSize))
		n.BytesOut += size
		n.w.sent(b[:size])
		n.checkAmplification()
		n.sentTo(to, size)
		if n.Tap != nil {
			n.Tap(n.w.now, b[:size])
		}
		for _, a := range n.link.send(n.w.now, b[:size], tx.ECN, n.w.Rand) {
			n.w.At(a.at, func() {
				if n.peer.admits(n, to) {
					n.peer.validated = n.peer.validated || validates(a.data, a.sent)
					n.peer.receiveAt(n.peer.local(to), a.data, a.ecn, from)
				}
			})
		}
		b = b[size:]
	}
}

// checkAmplification checks the anti-amplification limit from the bytes on the wire over all connections,
// independently of the core.
//
// "Prior to validating the client address, servers MUST NOT send more than three times as many bytes
// as the number of bytes they have received."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-4
func (n *Node) checkAmplification() {
	if n.accept != nil && !n.validated && n.BytesOut > 3*n.BytesIn {
		n.w.Fail("%s: sent %d bytes for %d to an address that is not validated", n.Name, n.BytesOut, n.BytesIn)
	}
}

// validates reports whether a datagram that arrived proves its sender's address, because it contains a
// packet that arrived unchanged.
func validates(arrived, sent []byte) bool {
	for at := 0; at < min(len(arrived), len(sent)); {
		h, n := wire.ParseGreasedLongHeader(arrived[at:])
		if n < 0 {
			return false
		}
		intact := bytes.HasPrefix(sent[at:], arrived[at:at+h.Len])
		if intact && (h.Type == wire.PacketHandshake || len(h.Token) > 0) {
			return true
		}
		at += h.Len
	}
	return false
}

// receive processes a datagram from the peer.
func (n *Node) receive(b []byte, from netip.AddrPort) {
	n.receiveAt(n.Addr, b, datagram.NotECT, from)
}

func (n *Node) receiveAt(local netip.AddrPort, b []byte, ecn datagram.ECN, from netip.AddrPort) {
	n.BytesIn += len(b)
	n.receivedFrom(from, len(b))
	t := datagram.Train{Path: datagram.Path{Local: local, Remote: from}, ECN: ecn, Data: b, SegmentSize: len(b)}
	for len(t.Data) > 0 {
		r := n.Endpoint.Receive(n.w.now, &t, n.validation, n.buf)
		switch r.Kind {
		case core.RouteConn:
			if c := n.Conns[r.Conn]; c != nil {
				c.HandleTrain(n.w.now, r.Train)
				c.drive()
			}
		case core.RouteReset:
			if c := n.Conns[r.Conn]; c != nil {
				c.HandleStatelessReset(n.w.now)
				c.drive()
			}
		case core.RouteReply:
			n.transmit(r.Reply)
		case core.RouteAdmit:
			n.admit(r.Incoming)
		}
	}
	n.armEndpoint()
}

// admitPostponed admits postponed clients while there is room.
func (n *Node) admitPostponed() {
	for !n.busy() {
		in := n.Endpoint.NextPostponed(n.w.now)
		if in == nil {
			return
		}
		n.admit(in)
	}
}

func (n *Node) busy() bool { return n.TLSQueue > 0 && len(n.queue) >= n.TLSQueue }

func (n *Node) admit(in *core.Incoming) {
	switch {
	case n.Refuse != nil && n.Refuse():
		n.refuse(in)
		return
	case n.busy():
		if !n.Endpoint.Postpone(n.w.now, in) {
			n.refuse(in)
		}
		return
	}
	cc, err := core.NewServerConn(n.w.now, n.accept, in)
	if err != nil {
		n.w.Fail("%s: %w", n.Name, err)
		return
	}
	var app *App
	if n.app != nil {
		app = n.app()
	}
	c := n.add(cc, app)
	n.Endpoint.Add(n.w.now, c.ref, in)
	c.drive()
}

func (n *Node) refuse(in *core.Incoming) {
	n.Refused++
	if tx, ok := n.Endpoint.Refuse(n.w.now, in, uint64(wire.ConnectionRefused), "", n.buf); ok {
		n.transmit(tx)
	}
}

// armEndpoint schedules the Endpoint's timer and checks its invariants.
func (n *Node) armEndpoint() {
	if n.w.checkDue(&n.checks) {
		n.check()
	}
	t := n.Endpoint.NextTimeout()
	if t.IsZero() || !n.timer.IsZero() && !t.Before(n.timer) {
		return
	}
	n.timer = t
	n.w.At(t, func() {
		n.timer = 0
		n.Endpoint.HandleTimeout(n.w.now)
		for tx, ok := n.Endpoint.PollTransmit(); ok; tx, ok = n.Endpoint.PollTransmit() {
			n.transmit(tx)
		}
		n.admitPostponed()
		n.armEndpoint()
	})
}

// drive polls every output of a connection until it is empty.
func (c *Conn) drive() {
	if c.driving {
		c.again = true
		return
	}
	c.driving = true
	for c.again = true; c.again; {
		c.again = false
		c.driveOnce()
	}
	c.driving = false
	c.arm()
	if c.node.w.checkDue(&c.checks) {
		c.check()
	}
}

// check fails the world if an invariant of the Endpoint does not hold.
func (n *Node) check() {
	if err := n.Endpoint.CheckInvariants(); err != nil {
		n.w.Fail("%s endpoint: %w", n.Name, err)
	}
}

// check fails the world if an invariant of the connection does not hold.
func (c *Conn) check() {
	if err := c.CheckInvariants(); err != nil {
		c.node.w.Fail("%s connection: %w", c.node.Name, err)
	}
}

func (c *Conn) driveOnce() {
	n, w := c.node, c.node.w
	has := c.HasOutput()
	for j := c.PollTLS(); j != nil; j = c.PollTLS() {
		if !has {
			w.Fail("%s connection: HasOutput is false, but PollTLS returns a job", n.Name)
		}
		c.startTLS(j)
	}
	has = c.HasOutput()
	for ev, ok := c.PollEvent(); ok; ev, ok = c.PollEvent() {
		if !has {
			w.Fail("%s connection: HasOutput is false, but PollEvent returns %v", n.Name, ev)
		}
		c.event(ev)
	}
	c.App.run(c)
	c.passEndpointEvents()
	for {
		expected := c.HasTransmit(w.now)
		tx, ok := c.PollTransmit(w.now, n.buf)
		if !ok {
			break
		}
		if !expected {
			w.Fail("%s connection: HasTransmit is false, but PollTransmit returns a train", n.Name)
		}
		n.transmit(tx)
		c.HandleSendResult(w.now, tx, nil)
	}
	// Sending may have ended the connection.
	for ev, ok := c.PollEvent(); ok; ev, ok = c.PollEvent() {
		c.event(ev)
	}
	c.passEndpointEvents()
	n.armEndpoint()
}

// passEndpointEvents passes the connection's events to the Endpoint.
func (c *Conn) passEndpointEvents() {
	for evs := c.PollEndpointEvents(); evs != nil; evs = c.PollEndpointEvents() {
		for _, ev := range evs {
			if !c.node.Endpoint.HandleConnEvent(c.node.w.now, c.ref, ev) {
				c.HandleIDConflict(c.node.w.now, ev)
			}
		}
	}
}

// startTLS runs a job and returns it to the connection after its delay, or queues it.
func (c *Conn) startTLS(j *core.TLSJob) {
	n := c.node
	if n.TLSQueue > 0 && n.working {
		n.queue = append(n.queue, func() { c.runTLS(j) })
		return
	}
	c.runTLS(j)
}

func (c *Conn) runTLS(j *core.TLSJob) {
	n, w := c.node, c.node.w
	var delay time.Duration
	if n.TLSDelay != nil {
		delay = n.TLSDelay()
	}
	n.working = true
	w.At(w.now.Add(delay), func() {
		for j.Run(); j.Signing() != nil; j.Run() {
			j.Signing().Run(randReader{w})
		}
		n.working = false
		if len(n.queue) > 0 {
			next := n.queue[0]
			n.queue = n.queue[1:]
			next()
		}
		c.HandleTLSResult(w.now, j)
		c.drive()
	})
}

type randReader struct{ w *World }

func (r randReader) Read(b []byte) (int, error) {
	r.w.fill(b)
	return len(b), nil
}

func (c *Conn) event(ev core.Event) {
	switch ev.Kind {
	case core.EventConnected:
		c.Connected = c.node.w.now
	case core.EventEarlyData:
		c.Early = c.node.w.now
	case core.EventPathValidated, core.EventPathGone:
		c.LastPathEvent = PathEvent{ev.Kind, ev.Path}
	case core.EventDrained:
		c.Drained = true
		delete(c.node.Conns, c.ref)
	}
}

// arm schedules the connection's timer.
func (c *Conn) arm() {
	w := c.node.w
	t := c.NextTimeout()
	if t.IsZero() || !c.timer.IsZero() && !t.Before(c.timer) && !c.timer.Before(w.now) {
		return
	}
	c.timer = t
	w.At(t, func() {
		if c.timer == t {
			c.timer = 0
		}
		if c.Drained {
			return
		}
		for range 4 {
			c.HandleTimeout(w.now)
			c.drive()
			if t := c.NextTimeout(); t.IsZero() || t.After(w.now) {
				return
			}
		}
		w.Fail("%s connection: its timer expires again and again", c.node.Name)
	})
}

// Side returns the node's role in a connection.
func (c *Conn) Side() tlsprovider.Side {
	if c.node.accept != nil {
		return tlsprovider.Server
	}
	return tlsprovider.Client
}

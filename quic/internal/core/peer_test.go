package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// A rig connects a client and a server with the fake provider, without loss or delay. A test can replace
// one side and send packets with its keys.
type rig struct {
	t              *testing.T
	now            monotime.Time
	endpoint       *Endpoint // the server's
	client, server *Conn
	serverConfig   *Config
	random         uint64

	// onDatagram is called with each datagram of the handshake. If it returns false, the datagram is
	// dropped.
	onDatagram func(from tlsprovider.Side, d []byte) bool
	// onPacket is called with the frames of each packet that the test opens, without PADDING.
	onPacket func(s recovery.Space, pn uint64, frames []wire.Frame)
	// routed counts the results of Endpoint.Receive.
	routed map[RouteKind]int
	ref    ConnRef
	pn     [recovery.NumSpaces]wire.PacketNumber
	// validation is passed to Endpoint.Receive.
	validation Validation
	buf        []byte
	// sending is the train that step delivers. nat is the client's address as the server sees it, if it is not clientAddr.
	sending Transmit
	nat     netip.AddrPort
}

var (
	clientAddr = netip.MustParseAddrPort("192.0.2.1:1111")
	serverAddr = netip.MustParseAddrPort("192.0.2.2:4433")
	testSecret = []byte("a secret of thirty-two bytes, yes")
)

// rigOptions configure a rig.
type rigOptions struct {
	provider fake.Options
	client   func(*Config)
	server   func(*Config)
	endpoint func(*EndpointConfig)
	// validation is the server's policy for clients' addresses.
	validation Validation
}

func newRig(t *testing.T, o rigOptions) *rig {
	t.Helper()
	o.provider.Misuse = func(err error) { t.Errorf("%v", err) }
	r := &rig{t: t, validation: o.validation, now: monotime.Time(time.Second), routed: make(map[RouteKind]int), buf: make([]byte, 64<<10)}
	p := fake.New(o.provider)
	t.Cleanup(func() {
		for _, c := range []*Conn{r.client, r.server} {
			if c != nil {
				c.end(&CloseError{}, Remnant{}) // a side that the test replaces cannot seal
			}
		}
	})
	tokenKey, err := p.NewTokenKey(testSecret)
	require.NoError(t, err)
	resetKey, err := p.NewResetKey(testSecret)
	require.NoError(t, err)
	ec := &EndpointConfig{Provider: p, Accept: true, TokenKey: tokenKey, ResetKey: resetKey, NewConnID: r.newConnID, ConnIDLen: ConnIDLen, Rand: r.fill,
		MaxHandshakes: 10_000, Versions: []wire.Version{wire.Version1}}
	if o.endpoint != nil {
		o.endpoint(ec)
	}
	r.endpoint = NewEndpoint(ec)

	config := func(side tlsprovider.Side, te tlsprovider.Endpoint, edit func(*Config)) *Config {
		cfg := &Config{
			Side: side, Provider: p, TLS: te, ServerName: "server.test", NextProtos: []string{"test"},
			Rand: r.fill, NewConnID: r.newConnID, ResetToken: func(id wire.ConnID) [16]byte { return resetKey.Token(id.Bytes()) },
			HandshakeTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, DatagramSize: MinInitialSize,
			Streams: streams.Config{RecvWindow: 64 << 10, MaxRecvWindow: 1 << 20, ConnWindow: 128 << 10, MaxConnWindow: 2 << 20,
				SendBuffer: 1 << 20, MaxBidi: 10, MaxUni: 10, AbortRate: 200, SendMemory: streams.NewBudget(1 << 30), RecvMemory: streams.NewBudget(1 << 30)},
			DatagramSendQueue: 4, DatagramReceiveQueue: 4,
		}
		if edit != nil {
			edit(cfg)
		}
		return cfg
	}
	tc := &tlsprovider.Config{NextProtos: []string{"test"}}
	ce, err := p.NewClient(tc)
	require.NoError(t, err)
	se, err := p.NewServer(tc)
	require.NoError(t, err)
	r.serverConfig = config(tlsprovider.Server, se, o.server)
	r.client, err = NewClientConn(r.now, config(tlsprovider.Client, ce, o.client), Path{Remote: serverAddr})
	require.NoError(t, err)
	return r
}

// connected returns a rig whose handshake is confirmed on both sides.
func connected(t *testing.T, o rigOptions) *rig {
	t.Helper()
	r := newRig(t, o)
	r.pump()
	require.NotNil(t, r.server)
	require.NoError(t, errOf(r.client))
	require.NoError(t, errOf(r.server))
	require.True(t, r.client.tls.confirmed && r.server.tls.confirmed)
	r.wait(time.Second) // let delayed acknowledgements be sent
	r.pump()
	return r
}

func errOf(c *Conn) error {
	if err := c.Err(); err != nil {
		return err
	}
	return nil
}

func (r *rig) fill(b []byte) {
	for i := range b {
		r.random = r.random*6364136223846793005 + 1442695040888963407
		b[i] = byte(r.random >> 33)
	}
}

func (r *rig) connID() wire.ConnID {
	var b [ConnIDLen]byte
	r.fill(b[:])
	id, _ := wire.MakeConnID(b[:])
	return id
}

func (r *rig) newConnID() (wire.ConnID, error) { return r.connID(), nil }

// pump moves datagrams and runs TLS jobs until neither side has anything to send.
func (r *rig) pump() {
	r.t.Helper()
	for range 1000 {
		moved := r.step(r.client, tlsprovider.Client)
		if r.server != nil {
			moved = r.step(r.server, tlsprovider.Server) || moved
		}
		if !moved {
			return
		}
	}
	require.Fail(r.t, "the two sides do not stop sending")
}

// step polls the outputs of one side once.
func (r *rig) step(c *Conn, side tlsprovider.Side) (moved bool) {
	r.t.Helper()
	for j := c.PollTLS(); j != nil; j = c.PollTLS() {
		j.Run()
		c.HandleTLSResult(r.now, j)
		moved = true
	}
	for tx, ok := c.PollTransmit(r.now, r.buf); ok; tx, ok = c.PollTransmit(r.now, r.buf) {
		moved = true
		c.HandleSendResult(r.now, tx, nil)
		t := Train{Data: append([]byte(nil), tx.Data...), SegmentSize: tx.SegmentSize}
		r.sending = tx
		for d := t.Next(); len(d) > 0; d = t.Next() {
			if r.onDatagram == nil || r.onDatagram(side, d) {
				r.deliver(side, d)
			}
		}
	}
	r.sending = Transmit{}
	r.events(c, side)
	require.NoError(r.t, c.CheckInvariants())
	return moved
}

func (r *rig) events(c *Conn, side tlsprovider.Side) {
	has := c.HasOutput()
	for ev, ok := c.PollEvent(); ok; ev, ok = c.PollEvent() {
		require.True(r.t, has, "HasOutput missed %v", ev)
	}
	for _, ev := range c.PollEndpointEvents() {
		require.True(r.t, has, "HasOutput missed %v", ev)
		if side == tlsprovider.Server {
			r.endpoint.HandleConnEvent(r.now, r.ref, ev)
		}
	}
}

// deliver passes a datagram to the other side.
func (r *rig) deliver(from tlsprovider.Side, d []byte) {
	r.t.Helper()
	if from == tlsprovider.Server {
		path := Path{Remote: serverAddr}
		if to := r.sending.Path.Remote; to.IsValid() && to != clientAddr && to != r.nat {
			path.Local = to
		}
		r.client.HandleTrain(r.now, Train{Path: path, ECN: r.sending.ECN, Data: d, SegmentSize: len(d)})
		return
	}
	train := Train{Path: Path{Remote: clientAddr}, ECN: r.sending.ECN, Data: d, SegmentSize: len(d)}
	switch {
	case r.sending.Path.Local.IsValid():
		train.Path.Remote = r.sending.Path.Local
	case r.nat.IsValid():
		train.Path.Remote = r.nat
	}
	for len(train.Data) > 0 {
		got := r.endpoint.Receive(r.now, &train, r.validation, make([]byte, MaxUnknownSize))
		r.routed[got.Kind]++
		require.NoError(r.t, r.endpoint.CheckInvariants())
		switch got.Kind {
		case RouteConn:
			r.server.HandleTrain(r.now, got.Train)
		case RouteReset:
			r.server.HandleStatelessReset(r.now)
		case RouteReply:
			r.deliver(tlsprovider.Server, append([]byte(nil), got.Reply.Data...))
		case RouteAdmit:
			c, err := NewServerConn(r.now, r.serverConfig, got.Incoming)
			require.NoError(r.t, err)
			r.ref++
			r.endpoint.Add(r.now, r.ref, got.Incoming)
			r.server = c
			r.events(c, tlsprovider.Server)
		}
	}
}

// wait lets time pass and handles the timeouts of both sides and of the Endpoint.
func (r *rig) wait(d time.Duration) {
	r.t.Helper()
	end := r.now.Add(d)
	for range 10_000 {
		next := end
		for _, c := range []*Conn{r.client, r.server} {
			if c != nil {
				next = monotime.Min(next, c.NextTimeout())
			}
		}
		next = monotime.Min(next, r.endpoint.NextTimeout())
		if next.After(r.now) {
			r.now = next
		}
		r.client.HandleTimeout(r.now)
		if r.server != nil {
			r.server.HandleTimeout(r.now)
		}
		r.endpoint.HandleTimeout(r.now)
		for tx, ok := r.endpoint.PollTransmit(); ok; tx, ok = r.endpoint.PollTransmit() {
			r.deliver(tlsprovider.Server, tx.Data)
		}
		r.pump()
		if next == end {
			return
		}
	}
	require.Fail(r.t, "the timeouts do not advance")
}

// side returns the connection of a side and the opposite one.
func (r *rig) side(s tlsprovider.Side) (c, opposite *Conn) {
	if s == tlsprovider.Client {
		return r.client, r.server
	}
	return r.server, r.client
}

// packet seals frames in a space with the keys of the opposite side, which must not seal anything itself
// afterwards.
func (r *rig) packet(to tlsprovider.Side, s recovery.Space, frames []byte, edit func(header []byte)) []byte {
	r.t.Helper()
	c, puppet := r.side(to)
	if r.pn[s] == 0 {
		r.pn[s] = puppet.loss.NextNumber(s) + 100
	}
	pn := r.pn[s]
	r.pn[s]++
	const pnLen = 4
	dst := c.ids.local[0].id
	if to == tlsprovider.Server && s == recovery.SpaceInitial {
		dst = puppet.ids.dst()
	}
	var b []byte
	if s == recovery.SpaceApp {
		b = wire.AppendShortHeader(nil, dst, false, puppet.keys.sealPhase&1 == 1, pn, pnLen)
	} else {
		b = wire.AppendLongHeader(nil, packetTypeOf[s], c.version, dst, puppet.ids.src(), nil, pn, pnLen)
	}
	headerLen := len(b)
	b = append(append(b, frames...), zeroTag[:]...)
	if s != recovery.SpaceApp {
		wire.PatchLength(b, headerLen, len(frames)+tlsprovider.TagLen)
	}
	if edit != nil {
		edit(b[:headerLen])
	}
	d := []tlsprovider.SealDesc{{HeaderLen: uint32(headerLen), PayloadLen: uint32(len(frames)), PacketNumber: uint64(pn)}}
	require.NoError(r.t, puppet.spaces[s].seal.Seal(b, d))
	return b
}

// say sends frames to a side as its peer and returns the frames of the answer.
func (r *rig) say(to tlsprovider.Side, s recovery.Space, frames ...wire.Frame) []wire.Frame {
	r.t.Helper()
	var b []byte
	for _, f := range frames {
		b = f.Append(b)
	}
	return r.sayBytes(to, s, b)
}

func (r *rig) sayBytes(to tlsprovider.Side, s recovery.Space, frames []byte) []wire.Frame {
	r.t.Helper()
	return r.give(to, r.packet(to, s, frames, nil))
}

// give passes a datagram to a side and returns the frames of the answer.
func (r *rig) give(to tlsprovider.Side, datagram []byte) []wire.Frame {
	r.t.Helper()
	c, puppet := r.side(to)
	c.HandleTrain(r.now, Train{Path: c.path, Data: datagram, SegmentSize: len(datagram)})
	require.NoError(r.t, c.CheckInvariants())
	return r.heard(c, puppet)
}

// heard opens the packets that a side sends with the keys of the opposite side.
func (r *rig) heard(c, puppet *Conn) (out []wire.Frame) {
	r.t.Helper()
	for j := c.PollTLS(); j != nil; j = c.PollTLS() {
		j.Run()
		c.HandleTLSResult(r.now, j)
	}
	trains := 0
	for tx, ok := c.PollTransmit(r.now, r.buf); ok; tx, ok = c.PollTransmit(r.now, r.buf) {
		trains++
		require.Less(r.t, trains, 1000, "the connection does not stop sending")
		c.HandleSendResult(r.now, tx, nil)
		t := Train{Data: tx.Data, SegmentSize: tx.SegmentSize}
		for d := t.Next(); len(d) > 0; d = t.Next() {
			out = append(out, r.read(puppet, d)...)
		}
	}
	return out
}

// read opens a datagram's packets and skips those that do not open.
func (r *rig) read(puppet *Conn, d []byte) (out []wire.Frame) {
	r.t.Helper()
	for len(d) > 0 {
		s, off, n := recovery.SpaceApp, 1+int(puppet.ids.length), len(d)
		if d[0]&0x80 != 0 {
			h, size := wire.ParseLongHeader(d)
			require.Positive(r.t, size)
			s, off, n = recovery.SpaceInitial, h.PNOffset, h.Len
			if h.Type == wire.PacketHandshake {
				s = recovery.SpaceHandshake
			}
		}
		pkt := d[:n]
		d = d[n:]
		sp := puppet.spaces[s]
		if sp.open == nil {
			continue
		}
		desc := []tlsprovider.OpenDesc{{Len: uint32(len(pkt)), PNOffset: uint32(off)}}
		sp.open.Open(pkt, desc, int64(sp.acks.Largest()))
		switch desc[0].Status {
		case tlsprovider.OpenOK:
		case tlsprovider.OpenNextPhase:
			require.NoError(r.t, sp.open.Update(desc[0].PacketNumber))
		default:
			continue
		}
		from := len(out)
		// "The payload of a packet that contains frames MUST contain at least one frame, and MAY contain multiple
		// frames and multiple frame types."
		// https://www.rfc-editor.org/rfc/rfc9000#section-12.4-3
		require.NotZero(r.t, desc[0].PayloadLen)
		for b := pkt[desc[0].HeaderLen:][:desc[0].PayloadLen]; len(b) > 0; {
			f, n := wire.ParseFrame(b)
			require.Positive(r.t, n)
			if _, pad := f.(wire.Padding); !pad {
				out = append(out, f)
			}
			b = b[n:]
		}
		if r.onPacket != nil {
			r.onPacket(s, desc[0].PacketNumber, out[from:])
		}
	}
	return out
}

// requireClosed requires that a side closed with the given error and sent it.
//
// "Errors that result in the connection being unusable, such as an obvious violation of protocol semantics or
// corruption of state that affects an entire connection, MUST be signaled using a CONNECTION_CLOSE frame (Section
// 19.19)."
// https://www.rfc-editor.org/rfc/rfc9000#section-11.1-1
// "An endpoint that wishes to communicate a fatal connection error MUST use a CONNECTION_CLOSE frame if it is able."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-2
func (r *rig) requireClosed(side tlsprovider.Side, code wire.ErrorCode, answer []wire.Frame) {
	r.t.Helper()
	c, _ := r.side(side)
	err := c.Err()
	require.NotNil(r.t, err, "still open")
	require.False(r.t, err.Remote)
	require.Equal(r.t, code, wire.ErrorCode(err.Code), "%v", err)
	for _, f := range answer {
		if cc, ok := f.(wire.ConnectionClose); ok {
			require.Equal(r.t, uint64(code), cc.Code)
			return
		}
	}
	require.Fail(r.t, "no CONNECTION_CLOSE was sent", "%v", answer)
}

// nothingArrives is an onDatagram function that drops everything.
func nothingArrives(tlsprovider.Side, []byte) bool { return false }

package core

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// The operations of FuzzEvents. Each is followed by an argument of one byte, whose lowest bit selects the
// side.
const (
	opStep     = iota // the side sends what it has to send
	opTime            // time passes, in milliseconds
	opLose            // the next datagrams to the side are lost
	opTamper          // a byte of the next datagram to the side is changed
	opRepeat          // the previous datagram arrives again
	opSay             // frames arrive at the side, in a space, sealed as its peer would
	opOpen            // the side opens a stream
	opWrite           // it writes
	opRead            // it reads what has arrived
	opEnd             // it ends a stream in one of several ways
	opUpdate          // it updates its keys
	opClose           // it closes
	opMTU             // it writes enough for a probe, or its system or a router refuses datagrams
	opDatagram        // it sends or receives a datagram
	opLend            // it lends a buffer to a stream
	opPeek            // it peeks, and discards what it has seen
	opPath            // it adds a path, uses it or gives it up, or a NAT changes the client's address
	opEarly           // early data are offered, accepted or rejected, or arrive
	numOps
)

// events runs a program of FuzzEvents.
type events struct {
	*rig
	b      []byte
	lose   [2]int
	tamper [2]int
	last   [2][]byte
	loans  int // not returned
	early  *earlySender
}

func (e *events) byte() byte {
	if len(e.b) == 0 {
		return 0
	}
	b := e.b[0]
	e.b = e.b[1:]
	return b
}

// onWay is the simulated network of the rig: it decides about a datagram.
func (e *events) onWay(from tlsprovider.Side, d []byte) bool {
	to := 1 - from&1
	e.last[to] = bytes.Clone(d)
	if e.lose[to] > 0 {
		e.lose[to]--
		return false
	}
	if at := e.tamper[to]; at > 0 {
		d[at%len(d)] ^= byte(at)
		e.tamper[to] = 0
	}
	return true
}

// say delivers frames that the peer could have sent and keeps both sides consistent.
func (e *events) say(to tlsprovider.Side, s recovery.Space, frames []byte) {
	c, puppet := e.side(to)
	if c == nil || puppet == nil || puppet.spaces[s].seal == nil || c.closing.state != stateOpen {
		return
	}
	for len(frames) < 4 || to == server && s == recovery.SpaceInitial && len(frames) < MinInitialSize {
		frames = append(frames, 0)
	}
	e.pn[s] = puppet.loss.NextNumber(s)
	d := e.packet(to, s, frames, nil)
	puppet.loss.SetNextNumber(s, e.pn[s])
	c.HandleTrain(e.now, Train{Path: c.path, Data: d, SegmentSize: len(d)})
}

func (e *events) run() {
	for len(e.b) > 0 {
		op, arg := e.byte()%numOps, e.byte()
		side := tlsprovider.Side(arg & 1)
		c, _ := e.side(side)
		if c == nil {
			c, side = e.client, client
		}
		n := int(arg >> 1)
		switch op {
		case opStep:
			e.step(c, side)
		case opTime:
			e.now = e.now.Add(time.Duration(n*n) * time.Millisecond)
			for _, c := range []*Conn{e.client, e.server} {
				if c != nil {
					c.HandleTimeout(e.now)
				}
			}
			e.endpoint.HandleTimeout(e.now)
		case opLose:
			e.lose[side&1] = n & 7
		case opTamper:
			e.tamper[side&1] = n * 7
		case opRepeat:
			if d := e.last[side&1]; d != nil {
				e.deliver(1-side&1, bytes.Clone(d))
			}
		case opSay:
			e.say(side, recovery.Space(n%int(recovery.NumSpaces)), e.frames())
		case opEarly:
			e.useEarly(n)
		default:
			e.call(c, op, n)
		}
		e.returned()
		e.check()
	}
}

// frames returns the bytes that follow their number.
func (e *events) frames() []byte {
	k := min(int(e.byte()), len(e.b))
	frames := bytes.Clone(e.b[:k])
	e.b = e.b[k:]
	return frames
}

// returned counts the loans that were returned.
func (e *events) returned() {
	for _, c := range []*Conn{e.client, e.server} {
		if c != nil {
			for l := c.PollReturned(); l != nil; l = l.Next() {
				e.loans--
			}
		}
	}
}

// call performs an operation of the application.
func (e *events) call(c *Conn, op byte, n int) {
	id := streams.ID(n & 31)
	switch op {
	case opOpen:
		_, _ = c.OpenStream(e.now, n&1 == 1)
	case opWrite:
		_, _ = c.Write(e.now, id, make([]byte, n*50))
	case opRead:
		_, _ = c.AcceptStream(n&1 == 1)
		_, _ = c.Read(e.now, id, make([]byte, 1<<14))
	case opEnd:
		switch n % 4 {
		case 0:
			_ = c.CloseWrite(e.now, id)
		case 1:
			_ = c.ResetStream(e.now, id, uint64(n))
		case 2:
			_ = c.StopSending(e.now, id, uint64(n))
		case 3:
			_ = c.ResetStreamAt(e.now, id, uint64(n), int64(10*n))
			c.SetStreamPriority(id+4, uint8(n&7), n&8 != 0)
		}
	case opUpdate:
		c.UpdateKeys()
	case opMTU:
		switch size := MinInitialSize + 70*n; n % 4 {
		case 0, 1:
			_, _ = c.Write(e.now, id, make([]byte, 60_000))
		case 2:
			c.HandleTooLarge(e.now, size)
		case 3:
			c.HandlePacketTooBig(e.now, size, c.ids.dst().AppendTo([]byte{0x40}))
		}
	case opDatagram:
		if n&1 == 0 {
			_ = c.SendDatagram(e.now, make([]byte, 9*n))
		} else {
			_, _ = c.ReceiveDatagram()
		}
	case opLend:
		l := streams.NewLoan(make([]byte, n*200), nil)
		e.loans++
		_, _ = c.Lend(e.now, id, l)
		c.EndLoan(l)
	case opPeek:
		b, err := c.Peek(id, n*8)
		require.True(e.t, err != nil || len(b) >= n*8)
		_ = c.PeekBehind(id, n)
		_, _ = c.Discard(e.now, id, int64(n*4))
	case opPath:
		e.usePath(c, n)
	case opClose:
		if n > 100 {
			c.Close(e.now, n&1 == 1, uint64(n), "reason")
		}
	}
}

// usePath changes the paths of a connection.
func (e *events) usePath(c *Conn, n int) {
	id := uint32(n >> 2 & 7)
	switch n % 4 {
	case 0:
		_, _ = c.AddPath(e.now, netip.AddrPortFrom(newLocal.Addr(), newLocal.Port()+uint16(n)))
	case 1:
		_ = c.SwitchPath(e.now, id)
	case 2:
		_ = c.RemovePath(e.now, id)
	case 3:
		e.nat = []netip.AddrPort{clientAddr, otherPort, otherAddr, thirdAddr}[id&3]
	}
}

// useEarly does what a TLS session that resumes would cause at the same time, which the fake does not do.
func (e *events) useEarly(n int) {
	c, s := e.client, e.server
	open := func(c *Conn) bool { return c != nil && c.closing.state == stateOpen }
	switch n % 4 {
	case 0:
		if open(c) && c.zero == nil && !c.tls.gotParams {
			c.handleEarlyParams(earlyParams())
			keys, err := e.serverConfig.Provider.InitialKeys(1, []byte("earlykey"), client)
			require.NoError(e.t, err)
			keys.Opener.Close()
			c.installEarlyKeys(tlsprovider.Keys{Sealer: keys.Sealer}, &tlsprovider.State{EarlyData: tlsprovider.EarlyDataOffered})
		}
	case 1:
		if open(s) && s.zero == nil && !s.tls.complete {
			e.early = newEarlySender(e.rig, true)
		}
	case 2:
		if open(c) && !c.tls.complete {
			c.rejectEarly()
		}
	case 3:
		frames := e.frames()
		for len(frames) < 4 {
			frames = append(frames, 0)
		}
		if open(s) && e.early != nil {
			d := e.early.packet(s.ids.local[0].id, c.ids.src(), frames)
			s.HandleTrain(e.now, Train{Path: s.path, Data: d, SegmentSize: len(d)})
		}
	}
}

// earlyParams are the parameters that a client remembers, which are lower than those of the rig.
func earlyParams() []byte {
	p := wire.DefaultTransportParameters()
	p.MaxData, p.MaxStreamDataBidiRemote, p.MaxStreamDataUni, p.MaxStreamsBidi, p.MaxStreamsUni = 3000, 2000, 2000, 1, 2
	return p.Append(nil)
}

func (e *events) check() {
	e.t.Helper()
	for _, c := range []*Conn{e.client, e.server} {
		if c != nil {
			require.NoError(e.t, c.CheckInvariants())
		}
	}
	require.NoError(e.t, e.endpoint.CheckInvariants())
}

// program concatenates operations.
func program(ops ...[]byte) []byte { return bytes.Join(ops, nil) }

func op(o byte, side tlsprovider.Side, n int) []byte { return []byte{o, byte(n<<1) | byte(side&1)} }

func opFrames(to tlsprovider.Side, s recovery.Space, frames ...wire.Frame) []byte {
	var b []byte
	for _, f := range frames {
		b = f.Append(b)
	}
	return append(append(op(opSay, to, int(s)), byte(len(b))), b...)
}

// FuzzEvents combines the actions of two applications, time, the network and an authenticated peer in any
// order, at any moment of the handshake. The connections stay consistent or close.
func FuzzEvents(f *testing.F) {
	both := program(op(opStep, client, 0), op(opStep, server, 0))
	shake := program(both, both, both, both, both)
	f.Add(false, shake)
	f.Add(true, program(shake, op(opOpen, client, 0), op(opWrite, client, 0), both, op(opRead, server, 0), both))
	f.Add(false, program(op(opLose, server, 1), both, op(opTime, client, 20), op(opTime, client, 40), shake))
	f.Add(true, program(both, opFrames(client, recovery.SpaceInitial, wire.Crypto{Offset: 5000, Data: []byte{1}}), shake))
	f.Add(false, program(both, opFrames(server, recovery.SpaceInitial, wire.ConnectionClose{Code: 1}), shake))
	f.Add(false, program(both, both, opFrames(client, recovery.SpaceHandshake, wire.Crypto{Data: []byte{8, 0, 0, 2, 0, 0}}), shake))
	f.Add(true, program(shake, op(opUpdate, client, 0), both, op(opUpdate, server, 0), both, opFrames(server, recovery.SpaceApp, wire.Ping{}), both))
	f.Add(false, program(shake, op(opTamper, client, 9), both, op(opRepeat, client, 0), op(opRepeat, server, 0), op(opClose, server, 120), both))
	f.Add(true, program(shake, op(opOpen, server, 1), op(opWrite, server, 3), op(opLose, client, 3), both, op(opTime, server, 30), both,
		op(opEnd, server, 3), both, opFrames(server, recovery.SpaceApp, wire.StopSending{ID: 3}, wire.MaxData{Max: 1 << 40}), both))
	f.Add(false, program(shake, opFrames(client, recovery.SpaceApp, wire.HandshakeDone{}, wire.NewToken{Token: []byte("token")}),
		opFrames(server, recovery.SpaceApp, wire.RetireConnectionID{Seq: 1}, wire.PathChallenge{}), both, op(opTime, client, 127), both))
	f.Add(false, program(shake, op(opOpen, client, 1), op(opMTU, client, 0), bytes.Repeat(both, 40), op(opMTU, client, 0), op(opTime, client, 3),
		op(opLose, server, 1), both, both, op(opMTU, client, 3), both, op(opMTU, client, 6), bytes.Repeat(both, 10)))
	f.Add(true, program(shake, bytes.Repeat(op(opDatagram, client, 100), 6), op(opOpen, client, 0), op(opWrite, client, 100), both, op(opLose, server, 1),
		op(opDatagram, server, 2), both, op(opDatagram, server, 1), opFrames(server, recovery.SpaceApp, wire.Datagram{Data: make([]byte, 60)}),
		op(opTime, client, 60), both, op(opMTU, client, 2), op(opDatagram, client, 126), both))
	f.Add(false, program(shake, op(opOpen, client, 1), op(opWrite, client, 12), op(opOpen, client, 1), op(opWrite, client, 16), op(opEnd, client, 15),
		both, op(opLose, server, 1), both, op(opRead, server, 1), opFrames(server, recovery.SpaceApp, wire.ResetStreamAt{ID: 2, Code: 3, FinalSize: 100, ReliableSize: 50}),
		both, op(opTime, client, 60), both))
	f.Add(false, program(shake, op(opOpen, client, 1), op(opLend, client, 127), op(opLend, client, 34), both, op(opLose, server, 1), both,
		op(opPeek, server, 2), op(opPeek, server, 66), both, op(opTime, client, 60), both, op(opEnd, client, 3), op(opLend, client, 3), both))
	f.Add(true, program(shake, op(opTime, client, 30), both, op(opOpen, client, 1), op(opPath, client, 0), both, both, op(opPath, client, 5), op(opWrite, client, 50),
		both, both, op(opTime, client, 40), both, op(opPath, client, 2), op(opPath, client, 7), op(opWrite, client, 50), both, op(opLose, client, 2), both,
		op(opTime, server, 60), both, op(opPath, client, 15), op(opUpdate, client, 0), op(opWrite, client, 20), bytes.Repeat(both, 4)))
	early := program(op(opEarly, client, 0), op(opOpen, client, 1), op(opWrite, client, 34), op(opOpen, client, 0), op(opWrite, client, 120),
		op(opWrite, client, 32))
	f.Add(false, program(early, op(opStep, client, 0), op(opEarly, server, 1), op(opStep, client, 0), shake, op(opRead, server, 0), both))
	f.Add(true, program(early, op(opStep, client, 0), op(opStep, client, 0), op(opStep, server, 0), op(opEarly, client, 2), shake, op(opTime, client, 30), both))
	f.Add(false, program(early, op(opLose, server, 1), both, both, op(opEarly, server, 1), append(op(opEarly, server, 3), 2, byte(wire.FramePing), 0),
		op(opTime, client, 40), shake, op(opOpen, server, 1), op(opWrite, server, 7), op(opClose, client, 101), both))
	f.Add(false, program(both, op(opOpen, server, 1), op(opWrite, server, 7), op(opStep, server, 0), shake, op(opRead, client, 3), both))
	allowAll := func(c *Config) {
		c.HalfRTT = true
		allowProbes(c)
		c.MaxDatagramFrame = 1000
		c.Streams.ResetStreamAt, c.ECN = true, true
	}
	f.Fuzz(func(t *testing.T, classical bool, b []byte) {
		if len(b) > 2000 {
			return
		}
		o := rigOptions{provider: fake.Options{Classical: classical}, client: allowAll, server: allowAll}
		e := &events{rig: newRig(t, o), b: b}
		e.onDatagram = e.onWay
		e.run()
		for _, c := range []*Conn{e.client, e.server} {
			if c != nil {
				c.end(&CloseError{}, Remnant{})
			}
		}
		e.returned()
		require.Zero(t, e.loans, "each loan is returned once")
	})
}

// firstFlight returns a client's Initial packet with the given token and frames, sealed correctly.
func (r *rig) firstFlight(dst wire.ConnID, token, frames []byte) []byte {
	r.t.Helper()
	return r.editedFirstFlight(dst, token, frames, func([]byte) {})
}

// editedFirstFlight is firstFlight with a change of the header before it is sealed.
func (r *rig) editedFirstFlight(dst wire.ConnID, token, frames []byte, edit func(header []byte)) []byte {
	r.t.Helper()
	keys, err := r.serverConfig.Provider.InitialKeys(uint32(wire.Version1), dst.Bytes(), client)
	require.NoError(r.t, err)
	defer keys.Close()
	b := wire.AppendLongHeader(nil, wire.PacketInitial, wire.Version1, dst, r.client.ids.src(), token, 0, 4)
	headerLen := len(b)
	b = append(b, frames...)
	for len(b) < MinInitialSize-tlsprovider.TagLen {
		b = append(b, 0)
	}
	payload := len(b) - headerLen
	b = append(b, zeroTag[:]...)
	wire.PatchLength(b, headerLen, payload+tlsprovider.TagLen)
	edit(b[:headerLen])
	require.NoError(r.t, keys.Sealer.Seal(b, []tlsprovider.SealDesc{{HeaderLen: uint32(headerLen), PayloadLen: uint32(payload)}}))
	return b
}

// FuzzFirstDatagrams sends the server junk and Initial packets with any token and any frames. No answer is
// larger than three times its cause, and the state that is kept is bounded.
func FuzzFirstDatagrams(f *testing.F) {
	hello := wire.Crypto{Data: []byte{1, 0, 0, 2, 3, 3}}
	f.Add([]byte{}, []byte{}, hello.Append(nil))
	f.Add([]byte{0xc0, 0, 0, 0, 1}, []byte("R"), hello.Append(nil))
	f.Add([]byte{0x40, 1, 2, 3}, append([]byte("R"), make([]byte, 60)...), wire.Ping{}.Append(nil))
	f.Add(append([]byte{0xc0, 0x57, 0x41, 0x49, 0x54, 0, 0}, make([]byte, 1200)...), []byte("other"), wire.ConnectionClose{}.Append(nil))
	f.Add([]byte{0xf0, 0, 0, 0, 1, 0, 0}, []byte{}, []byte{0x02, 0, 0, 0, 0})
	f.Add([]byte{0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, []byte{}, wire.Crypto{Offset: 1 << 40, Data: []byte{1}}.Append(nil))
	f.Fuzz(func(t *testing.T, junk, token, frames []byte) {
		if len(junk) > 1500 || len(token) > 500 || len(frames) > 600 {
			return
		}
		r := newRig(t, rigOptions{})
		receive := func(d []byte) {
			sent := len(d)
			train := Train{Path: Path{Remote: clientAddr}, Data: d, SegmentSize: max(len(d), 1)}
			for len(train.Data) > 0 {
				got := r.endpoint.Receive(r.now, &train, r.validation, make([]byte, MaxUnknownSize))
				require.LessOrEqual(t, len(got.Reply.Data), 3*sent)
				require.NoError(t, r.endpoint.CheckInvariants())
				if got.Kind != RouteAdmit {
					continue
				}
				c, err := NewServerConn(r.now, r.serverConfig, got.Incoming)
				require.NoError(t, err)
				r.server = c
				r.heard(c, r.client)
				require.NoError(t, c.CheckInvariants())
			}
		}
		dst, _ := wire.MakeConnID([]byte("12345678"))
		receive(bytes.Clone(junk))
		first := r.firstFlight(dst, token, frames)
		receive(bytes.Clone(first))
		receive(append(first, junk...))
	})
}

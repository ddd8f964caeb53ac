package interop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// A shuffler forwards packets between one client and a server. It opens the packets of the ClientHello,
// whose keys are public, divides the message into pieces of any size, shuffles them and adds PINGs, and
// sends the packets under their own numbers, in reverse order if requested. Other packets pass unchanged.
type shuffler struct {
	front, back *net.UDPConn
	client      atomic.Pointer[netip.AddrPort]
	rand        *rand.Rand
	reverse     bool
	held        []initial
	// pieces is the number of CRYPTO frames in which the ClientHello was sent; 0 before that.
	pieces atomic.Int64
}

// initial is a client's Initial packet without protection.
type initial struct {
	datagram  int    // its size
	prefix    []byte // the header up to its Length field, which is not included
	dcid      []byte
	number    uint64
	numberLen int
	pieces    []piece
}

type piece struct {
	offset int
	data   []byte
}

// shuffle starts a shuffler in front of a server and returns it with its address.
func shuffle(t *testing.T, server string, seed uint64, reverse bool) (*shuffler, string) {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", server)
	require.NoError(t, err)
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	back, err := net.DialUDP("udp", nil, to)
	require.NoError(t, err)
	s := &shuffler{front: front, back: back, reverse: reverse, rand: rand.New(rand.NewPCG(seed, 1))}
	done := make(chan struct{}, 2)
	go func() { s.forward(); done <- struct{}{} }()
	go func() { s.answer(); done <- struct{}{} }()
	t.Cleanup(func() {
		front.Close()
		back.Close()
		<-done
		<-done
	})
	return s, front.LocalAddr().String()
}

func (s *shuffler) answer() {
	buf := make([]byte, 2048)
	for {
		n, err := s.back.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if to := s.client.Load(); err == nil && to != nil {
			_, _ = s.front.WriteToUDPAddrPort(buf[:n], *to)
		}
	}
}

func (s *shuffler) forward() {
	buf := make([]byte, 2048)
	for {
		n, from, err := s.front.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		s.client.Store(&from)
		if s.pieces.Load() == 0 {
			if p, ok := openInitial(bytes.Clone(buf[:n])); ok {
				s.held = append(s.held, p)
				if hello := s.hello(); hello != nil {
					s.release(hello)
				}
				continue
			}
		}
		_, _ = s.back.Write(buf[:n])
	}
}

// hello returns the ClientHello once the held packets contain all of it.
func (s *shuffler) hello() []byte {
	var msg [1 << 14]byte
	var have [1 << 14]bool
	for _, p := range s.held {
		for _, c := range p.pieces {
			copy(msg[c.offset:], c.data)
			for i := range c.data {
				have[c.offset+i] = true
			}
		}
	}
	total := 4 + int(binary.BigEndian.Uint32(msg[:4])&0xffffff) // RFC 8446, section 4
	for i := range min(total, len(have)) {
		if !have[i] {
			return nil
		}
	}
	return msg[:total]
}

// release sends the ClientHello in a new division.
func (s *shuffler) release(hello []byte) {
	var pieces []piece
	for at := 0; at < len(hello); {
		n := min(1+s.rand.IntN(1+s.rand.IntN(150)), len(hello)-at)
		pieces = append(pieces, piece{at, hello[at : at+n]})
		at += n
	}
	s.rand.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	count := int64(len(pieces))
	keys, err := native.New().InitialKeys(1, s.held[0].dcid, tlsprovider.Client)
	if err != nil {
		panic(err)
	}
	defer keys.Close()
	var out [][]byte
	for _, p := range s.held {
		var pkt []byte
		pkt, pieces = p.seal(keys.Sealer, pieces, s.rand)
		out = append(out, pkt)
	}
	if len(pieces) > 0 {
		return // no room: the case fails because pieces stays 0
	}
	s.pieces.Store(count)
	if s.reverse {
		slices.Reverse(out)
	}
	for _, pkt := range out {
		_, _ = s.back.Write(pkt)
	}
}

// openInitial removes a packet's protection. It returns false for any packet but a client's Initial packet
// (RFC 9000, 17.2.2). Bytes after the packet in its datagram are padding.
func openInitial(b []byte) (p initial, ok bool) {
	const longInitial, mask = 0xc0, 0xf0
	if len(b) < 1200 || b[0]&mask != longInitial || binary.BigEndian.Uint32(b[1:]) != 1 {
		return p, false
	}
	p.datagram = len(b)
	at := 5
	p.dcid = b[at+1:][:b[at]]
	at += 1 + len(p.dcid)
	at += 1 + int(b[at])
	token, n := varint(b[at:])
	at += n + token
	end := at
	length, n := varint(b[at:])
	at += n
	pkt := b[:at+length]
	in, ok := native.New().OpenInitial(1, p.dcid, pkt, at)
	if !ok {
		return p, false
	}
	p.prefix = pkt[:end]
	p.number, p.numberLen = in.PacketNumber, in.HeaderLen-at
	return p, p.parse(pkt[in.HeaderLen:][:in.PayloadLen])
}

// parse reads the CRYPTO frames. It returns false for frames that do not occur in a ClientHello's packet.
func (p *initial) parse(b []byte) bool {
	const padding, ping, crypto = 0, 1, 6
	for len(b) > 0 {
		switch b[0] {
		case padding, ping:
			b = b[1:]
		case crypto:
			offset, n := varint(b[1:])
			size, m := varint(b[1+n:])
			p.pieces = append(p.pieces, piece{offset, b[1+n+m:][:size]})
			b = b[1+n+m+size:]
		default:
			return false
		}
	}
	return len(p.pieces) > 0
}

// seal fills the packet with as many pieces as fit and returns the others.
func (p *initial) seal(s tlsprovider.Sealer, pieces []piece, r *rand.Rand) ([]byte, []piece) {
	const tag, frame = 16, 1 + 2 + 2
	b := bytes.Clone(p.prefix)
	b = binary.BigEndian.AppendUint16(b, 0x4000|uint16(p.datagram-len(b)-2))
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], p.number)
	b = append(b, number[8-p.numberLen:]...)
	header, end := len(b), p.datagram-tag
	for len(pieces) > 0 && len(b)+1+frame+len(pieces[0].data) <= end {
		if r.IntN(4) == 0 {
			b = append(b, 1) // PING
		}
		b = append(b, 6) // CRYPTO
		b = binary.BigEndian.AppendUint16(b, 0x4000|uint16(pieces[0].offset))
		b = binary.BigEndian.AppendUint16(b, 0x4000|uint16(len(pieces[0].data)))
		b = append(b, pieces[0].data...)
		pieces = pieces[1:]
	}
	b = append(b, make([]byte, p.datagram-len(b))...)
	err := s.Seal(b, []tlsprovider.SealDesc{{
		HeaderLen: uint32(header), PayloadLen: uint32(end - header), PacketNumber: p.number,
	}})
	if err != nil {
		panic(err)
	}
	return b, pieces
}

// varint reads a variable-length integer and returns its length (RFC 9000, section 16).
func varint(b []byte) (value, length int) {
	length = 1 << (b[0] >> 6)
	value = int(b[0] & 0x3f)
	for _, c := range b[1:length] {
		value = value<<8 | int(c)
	}
	return value, length
}

// TestShuffledClientHello sends a ClientHello in pieces of one byte and more, in any order, over two
// datagrams of which the second arrives first. (An x/net server, as of 0.62, does not accept a ClientHello
// whose packets are reordered, not even from its own client; for it they keep their order.)
func TestShuffledClientHello(t *testing.T) {
	pairs(t, func(t *testing.T, client, server stack) {
		if !postQuantum(client) || !postQuantum(server) {
			t.Skip("a classical ClientHello fits into one datagram")
		}
		_, inOrder := server.(xNet)
		for seed := range uint64(4) {
			var s *shuffler
			via := func(addr string) string {
				s, addr = shuffle(t, addr, seed, !inOrder)
				return addr
			}
			cc, sc := connect(t, client, server,
				options{groups: pq, alpn: alpn, via: via}, options{groups: pq, alpn: alpn})
			require.Greater(t, s.pieces.Load(), int64(10), "the ClientHello was divided")
			require.Len(t, s.held, 2, "a post-quantum ClientHello takes two datagrams")
			require.Equal(t, tlsprovider.X25519MLKEM768, cc.group())
			require.Equal(t, tlsprovider.X25519MLKEM768, sc.group())
			exchange(t, cc, sc, 1, 10_000)
		}
	})
}

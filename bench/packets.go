package main

import (
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
)

const (
	headerLen = 13 // short header, 8-byte connection ID, 4-byte packet number
	pnOffset  = 9
)

// packets measures sealing and opening 1-RTT packets with header protection, one at a time and in trains of
// 32.
func (b *bench) packets() (out []subject, err error) {
	ps, err := providers()
	if err != nil {
		return nil, err
	}
	for _, size := range []int{64, 1200, 8900} {
		for _, train := range []int{1, 32} {
			for _, op := range []string{"Seal", "Open"} {
				shape := fmt.Sprintf("%dx%d", size, train)
				moved := int64(size * train)
				if b.c != "" {
					verb := map[string]string{"Seal": "seal", "Open": "open"}[op]
					out = append(out, subject{name: op + "/c/" + shape, bytes: moved,
						run: b.cProgram(verb, fmt.Sprint(size), fmt.Sprint(train))})
				}
				for _, p := range ps {
					l, err := newLoop(p, size, train)
					if err != nil {
						return nil, err
					}
					run := l.seal
					if op == "Open" {
						run = l.open
					}
					out = append(out, subject{name: op + "/" + p.Name() + "/" + shape, bytes: moved, run: loop(run), close: l.close})
				}
			}
		}
	}
	return out, nil
}

// packetLoop is the loop of the C program in Go.
type packetLoop struct {
	sealer tlsprovider.Sealer
	opener tlsprovider.Opener
	slab   []byte
	sealed []byte
	sd     []tlsprovider.SealDesc
	od     []tlsprovider.OpenDesc
	step   int
	pn     uint64
}

// newLoop takes the 1-RTT keys of a handshake.
func newLoop(p tlsprovider.Provider, size, train int) (*packetLoop, error) {
	c, err := newCreds()
	if err != nil {
		return nil, err
	}
	defer c.remove()
	ce, err := p.NewClient(&tlsprovider.Config{NextProtos: []string{alpn}, RootCAs: c.Roots(), DisableTickets: true})
	if err != nil {
		return nil, err
	}
	defer ce.Close()
	se, err := p.NewServer(&tlsprovider.Config{NextProtos: []string{alpn}, Certificates: []tlsprovider.Certificate{c.Provider()}})
	if err != nil {
		return nil, err
	}
	defer se.Close()
	l := &packetLoop{
		step: headerLen + size + tlsprovider.TagLen,
		sd:   make([]tlsprovider.SealDesc, train), od: make([]tlsprovider.OpenDesc, train),
	}
	l.slab, l.sealed = make([]byte, train*l.step), make([]byte, train*l.step)
	for i := range train {
		l.sd[i] = tlsprovider.SealDesc{Offset: uint32(i * l.step), HeaderLen: headerLen, PayloadLen: uint32(size)}
	}
	return l, l.takeKeys(ce, se)
}

func (l *packetLoop) takeKeys(ce, se tlsprovider.Endpoint) error {
	c, err := ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: serverName, TransportParameters: params})
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := se.NewSession(tlsprovider.SessionParams{Version: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := handshake(c, s); err != nil {
		return err
	}
	ck, err := c.TakeKeys(tlsprovider.LevelApp, 1)
	if err != nil {
		return err
	}
	sk, err := s.TakeKeys(tlsprovider.LevelApp, 1)
	if err != nil {
		return err
	}
	ck.Opener.Close()
	sk.Sealer.Close()
	l.sealer, l.opener = ck.Sealer, sk.Opener
	return nil
}

func (l *packetLoop) close() {
	l.sealer.Close()
	l.opener.Close()
}

func (l *packetLoop) fill() error {
	for i := range l.sd {
		p := l.slab[i*l.step:]
		p[0] = 0x43
		p[9], p[10], p[11], p[12] = byte(l.pn>>24), byte(l.pn>>16), byte(l.pn>>8), byte(l.pn)
		l.sd[i].PacketNumber = l.pn
		l.pn++
	}
	return l.sealer.Seal(l.slab, l.sd)
}

func (l *packetLoop) seal(n int) error {
	for range n {
		if err := l.fill(); err != nil {
			return err
		}
	}
	return nil
}

func (l *packetLoop) open(n int) error {
	if l.pn == 0 {
		if err := l.fill(); err != nil {
			return err
		}
		copy(l.sealed, l.slab)
	}
	for range n {
		copy(l.slab, l.sealed)
		for i := range l.od {
			l.od[i] = tlsprovider.OpenDesc{Offset: uint32(i * l.step), Len: uint32(l.step), PNOffset: pnOffset}
		}
		if l.opener.Open(l.slab, l.od, -1) != len(l.od) || l.od[len(l.od)-1].Status != tlsprovider.OpenOK {
			return errors.New("a packet cannot be opened")
		}
	}
	return nil
}

// junk measures an Endpoint's cost for junk that looks like a client's first packet.
func (b *bench) junk() (out []subject, err error) {
	ps, err := providers()
	if err != nil {
		return nil, err
	}
	for _, p := range ps {
		junk, dcid := make([]byte, 1200), make([]byte, 8)
		junk[0] = 0xc3
		out = append(out, subject{name: "OpenInitialJunk/" + p.Name(), run: loop(func(n int) error {
			for range n {
				if _, ok := p.OpenInitial(1, dcid, junk, 18); ok {
					return errors.New("junk was opened")
				}
			}
			return nil
		})})
	}
	return out, nil
}

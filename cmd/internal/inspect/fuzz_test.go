package inspect

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/cmd/internal/capturetest"
	"github.com/pqquic/pqquic/tlsprovider"
)

// seedDatagrams returns a handshake's hellos: the client's, then the server's.
func seedDatagrams(t testing.TB) (client, server [][]byte) {
	hello := makeClientHello(t, 0, true, offer{0x11ec, 1216})
	answer := makeServerHello(offer{0x11ec, 1120}, true)
	s := &sealer{version: quicV1, dcid: testDCID, dst: testDCID, src: []byte("client"), side: tlsprovider.Client, size: 1200}
	back := &sealer{version: quicV1, dcid: testDCID, dst: s.src, src: []byte("server"), side: tlsprovider.Server, size: 1200}
	client = [][]byte{s.datagram(t, 0, hello, []span{{600, 1300}, {0, 20}}), s.datagram(t, 1, hello, []span{{20, 600}, {1300, len(hello)}})}
	server = [][]byte{back.datagram(t, 0, answer, []span{{0, 600}}), back.datagram(t, 1, answer, []span{{600, len(answer)}})}
	return client, server
}

// seedFiles returns captures: pcap and pcapng, the latter with secrets, and TLS over TCP.
func seedFiles(f *testing.F) (out [][]byte) {
	client, server := seedDatagrams(f)
	var packets [][]byte
	for i, b := range append(client, server...) {
		src, dst := clientEnd, serverEnd
		if i >= 2 {
			src, dst = dst, src
		}
		data, err := capture.UDPPacket(src, dst, b)
		if err != nil {
			f.Fatal(err)
		}
		packets = append(packets, data)
	}
	hello := makeClientHello(f, 0, false, offer{0x11ec, 1216})
	record := append([]byte{recordHandshake, 3, 1, byte(len(hello) >> 8), byte(len(hello))}, hello...)
	data, err := capture.TCPPacket(clientEnd, serverEnd, 1, false, true, false, record)
	if err != nil {
		f.Fatal(err)
	}
	packets = append(packets, data)
	var ng, pcap bytes.Buffer
	w := capture.NewWriter(&ng)
	p := pcapgo.NewWriter(&pcap)
	_ = p.WriteFileHeader(65535, layers.LinkTypeEthernet)
	for _, data := range packets {
		_ = w.Write(capture.Frame{Time: time.Unix(1, 0), Link: layers.LinkTypeRaw, Data: data, Length: len(data)})
		data = append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 42, 8, 0}, data...)
		_ = p.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(data), Length: len(data)}, data)
	}
	_ = w.Close()
	return [][]byte{ng.Bytes(), pcap.Bytes(), pcap.Bytes()[:pcap.Len()-700]}
}

// FuzzFile checks that reading any file ends without a panic and with bounded memory, and gives the same
// result however the bytes arrive.
func FuzzFile(f *testing.F) {
	for _, b := range seedFiles(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		whole := fileStats(bytes.NewReader(file))
		if halves := fileStats(iotest.HalfReader(bytes.NewReader(file))); halves != whole {
			t.Fatalf("read in pieces: %+v, at once: %+v", halves, whole)
		}
	})
}

func fileStats(r io.Reader) Stats {
	in := New(Options{KeyLog: new(KeyLog), MaxConnections: 8, MaxBuffered: 1 << 20})
	s, err := capture.NewReader(r)
	for err == nil {
		var f capture.Frame
		if f, err = s.Next(); err == nil {
			in.opt.KeyLog.Add(s.Secrets())
			in.Frame(f)
		}
	}
	return in.Finish()
}

// FuzzDatagrams reads any content of the Initial packets of two peers, whose keys are known to all.
func FuzzDatagrams(f *testing.F) {
	client, server := seedDatagrams(f)
	f.Add(client[0], client[1], server[0])
	f.Add(client[1], server[0], server[1])
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		in := New(Options{KeyLog: new(KeyLog), MaxConnections: 2, MaxBuffered: 1 << 16})
		for i, p := range [][]byte{a, b, c, a} {
			src, dst := clientEnd, serverEnd
			if i == 2 {
				src, dst = dst, src
			}
			in.udp(&datagram{time: time.Unix(int64(i), 0), src: src, dst: dst, payload: p})
			in.tcp(&datagram{time: time.Unix(int64(i), 0), src: src, dst: dst, payload: p, tcp: true, seq: uint32(len(p))})
		}
		in.Finish()
	})
}

// FuzzFrames reads any content of an Initial packet that opens.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{framePing, frameCrypto, 0, 4, 1, 0, 0, 0}, []byte{frameACK, 0, 0, 0, 0, frameConnectionClose, 0x41, 0x28, 0, 2, 'n', 'o'})
	f.Fuzz(func(t *testing.T, client, server []byte) {
		c := &conn{report: &Connection{}, quic: &quicState{}}
		for _, side := range []*hellos{&c.client, &c.server} {
			payload, read := client, c.fromClient
			if side == &c.server {
				payload, read = server, c.fromServer
			}
			_, _ = walkFrames(payload, func(off uint64, data []byte) error { return c.note(side.add(off, data, read)) })
			if side.size() > maxHello {
				t.Fatalf("%d bytes are kept", side.size())
			}
		}
		New(Options{}).judge(c.report)
	})
}

// FuzzHellos reads any cleartext of two peers.
func FuzzHellos(f *testing.F) {
	f.Add(makeClientHello(f, 0, false, offer{0x11ec, 1216}, offer{0x1d, 32}), makeServerHello(offer{0x11ec, 1120}, false))
	f.Add(makeClientHello(f, 0, true, offer{0x2f39, 836}), makeServerHello(offer{}, true))
	f.Fuzz(func(t *testing.T, client, server []byte) {
		c := &conn{report: &Connection{}}
		_ = c.client.add(0, client, c.fromClient)
		_ = c.server.add(0, server, c.fromServer)
		New(Options{}).judge(c.report)
		if n := c.report.size(); n > 20*(len(client)+len(server))+2048 {
			t.Fatalf("a report of %d bytes from hellos of %d", n, len(client)+len(server))
		}
	})
}

// FuzzHandshake reads any content of the encrypted flights.
func FuzzHandshake(f *testing.F) {
	cert := capturetest.Certificate()
	der := cert.X509.Raw
	n := len(der)
	f.Add(append([]byte{11, 0, byte((n + 9) >> 8), byte(n + 9), 0, 0, byte((n + 5) >> 8), byte(n + 5), 0, byte(n >> 8), byte(n)}, append(der, 0, 0)...))
	f.Add([]byte{8, 0, 0, 11, 0, 9, 0, 57, 0, 5, 1, 1, 30, 0x0c, 0})
	f.Add([]byte{15, 0, 0, 4, 4, 3, 0, 0})
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) < 4 {
			return
		}
		h := &Handshake{}
		h.message(fromServer, msg)
		h.message(fromClient, msg)
	})
}

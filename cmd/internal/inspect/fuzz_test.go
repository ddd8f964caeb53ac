package inspect

import (
	"bytes"
	"encoding/pem"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/pqquic/pqquic/cmd/internal/capture"
)

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// FuzzFile: whatever a file holds, reading it ends, without a panic and with bounded memory.
func FuzzFile(f *testing.F) {
	packet, err := capture.UDPPacket(mustAddr("10.0.0.1:1"), mustAddr("10.0.0.2:443"), append([]byte{0xc3, 0, 0, 0, 1, 8}, make([]byte, 1200)...))
	if err != nil {
		f.Fatal(err)
	}
	var ng bytes.Buffer
	w := capture.NewWriter(&ng)
	_ = w.Write(capture.Frame{Time: time.Unix(1, 0), Link: layers.LinkTypeRaw, Data: packet, Length: len(packet)})
	_ = w.Close()
	f.Add(ng.Bytes())
	f.Add([]byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0})
	f.Fuzz(func(t *testing.T, file []byte) {
		in := New(Options{KeyLog: new(KeyLog)})
		s, err := capture.NewReader(bytes.NewReader(file))
		for err == nil {
			var fr capture.Frame
			if fr, err = s.Next(); err == nil {
				in.Frame(fr)
			}
			s.Secrets()
		}
		in.Finish()
	})
}

// FuzzHellos: whatever two peers say in the clear.
func FuzzHellos(f *testing.F) {
	f.Add([]byte{1, 0, 0, 40, 3, 3}, []byte{2, 0, 0, 40, 3, 3})
	f.Fuzz(func(t *testing.T, client, server []byte) {
		in := New(Options{})
		c := &conn{report: &Connection{}}
		_ = c.client.add(0, client, c.fromClient)
		_ = c.server.add(0, server, c.fromServer)
		in.judge(c.report)
	})
}

// FuzzHandshake: whatever stands in the encrypted flights.
func FuzzHandshake(f *testing.F) {
	f.Add([]byte{11, 0, 0, 4, 0, 0, 0, 0})
	f.Add([]byte{8, 0, 0, 2, 0, 0})
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) < 4 {
			return
		}
		h := &Handshake{}
		h.message(fromServer, msg)
		h.message(fromClient, msg)
		walkFrames(msg, func(uint64, []byte) error { return nil })
	})
}

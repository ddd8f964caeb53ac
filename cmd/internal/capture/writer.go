package capture

import (
	"fmt"
	"io"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// A Writer writes frames as pcapng, with an interface for each link type.
type Writer struct {
	w   io.Writer
	ng  *pcapgo.NgWriter // nil until the first frame, which determines the link type
	ids map[layers.LinkType]int
}

// NewWriter returns a Writer on w. Nothing is written before the first frame or Close.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w, ids: make(map[layers.LinkType]int)} }

// Write writes a frame.
func (w *Writer) Write(f Frame) error {
	id, err := w.interfaceFor(f.Link)
	if err != nil {
		return err
	}
	return w.ng.WritePacket(gopacket.CaptureInfo{
		Timestamp: f.Time, CaptureLength: len(f.Data), Length: max(f.Length, len(f.Data)), InterfaceIndex: id,
	}, f.Data)
}

func (w *Writer) interfaceFor(link layers.LinkType) (int, error) {
	if id, ok := w.ids[link]; ok {
		return id, nil
	}
	desc := pcapgo.NgInterface{Name: fmt.Sprint(link), LinkType: link, TimestampResolution: 9}
	id := 0
	var err error
	if w.ng == nil {
		w.ng, err = pcapgo.NewNgWriterInterface(w.w, desc, pcapgo.DefaultNgWriterOptions)
	} else {
		id, err = w.ng.AddInterface(desc)
	}
	if err == nil {
		w.ids[link] = id
	}
	return id, err
}

// Close writes buffered data and does not close the file. A capture without frames is a valid capture too.
func (w *Writer) Close() error {
	if w.ng == nil {
		if _, err := w.interfaceFor(layers.LinkTypeEthernet); err != nil {
			return err
		}
	}
	return w.ng.Flush()
}

// Package capture reads and writes packet captures: pcap and pcapng files, a stream on standard input, and
// a network interface where the system permits it.
package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// A Frame is one captured frame. Data belongs to the Source and is valid until the next call.
type Frame struct {
	Time   time.Time
	Link   layers.LinkType
	Data   []byte
	Length int // on the wire; more than len(Data) if the capture cut the frame short
}

// A Source yields frames until io.EOF. It must be used by one goroutine.
type Source interface {
	// Next returns the next frame. After an error other than io.EOF nothing more can be read.
	Next() (Frame, error)
	// Secrets returns the TLS key log lines found in the capture since the last call.
	Secrets() []byte
	Close() error
}

// maxFrame is the largest frame that is read. It equals libpcap's limit.
const maxFrame = 256 << 10

// ErrFormat reports that a file is not a capture.
var ErrFormat = errors.New("not a capture: neither pcap nor pcapng")

// Open opens a capture file; "-" is standard input.
func Open(name string) (Source, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
	}
	s, err := NewReader(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.closer = f
	return s, nil
}

// A Reader is a Source that reads a pcap or pcapng stream.
type Reader struct {
	next    func() ([]byte, gopacket.CaptureInfo, error)
	link    func(gopacket.CaptureInfo) layers.LinkType
	secrets *secretsReader // nil for pcap, which has no secrets
	closer  io.Closer
}

// NewReader determines the format of a stream and reads its header.
func NewReader(r io.Reader) (*Reader, error) {
	b := bufio.NewReaderSize(r, 1<<20)
	magic, err := b.Peek(4)
	if err != nil {
		if err == io.EOF {
			return nil, fmt.Errorf("%w: the file ends within its first %d bytes", ErrFormat, len(magic))
		}
		return nil, err
	}
	if binary.BigEndian.Uint32(magic) == blockSection {
		return newNg(b)
	}
	p, err := pcapgo.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	// The header's limit is 0 or too small in files of some tools. This limit bounds the allocation for a
	// frame.
	p.SetSnaplen(maxFrame)
	link := p.LinkType()
	return &Reader{
		next: p.ZeroCopyReadPacketData,
		link: func(gopacket.CaptureInfo) layers.LinkType { return link },
	}, nil
}

func newNg(r io.Reader) (*Reader, error) {
	secrets := &secretsReader{r: r}
	ng, err := pcapgo.NewNgReader(secrets, pcapgo.NgReaderOptions{
		WantMixedLinkType: true, SkipUnknownVersion: true,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	return &Reader{
		next:    ng.ZeroCopyReadPacketData,
		secrets: secrets,
		link: func(ci gopacket.CaptureInfo) layers.LinkType {
			if len(ci.AncillaryData) > 0 {
				if l, ok := ci.AncillaryData[0].(layers.LinkType); ok {
					return l
				}
			}
			return ng.LinkType()
		},
	}, nil
}

// Next implements Source.
func (r *Reader) Next() (f Frame, err error) {
	// The file may come from anyone and make the library panic. That ends the file, not the program.
	defer func() {
		if p := recover(); p != nil {
			f, err = Frame{}, fmt.Errorf("corrupt capture: %v", p)
		}
	}()
	data, ci, err := r.next()
	switch {
	case err == io.EOF:
		return f, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return f, errors.New("the capture ends in the middle of a frame")
	case err != nil:
		return f, fmt.Errorf("corrupt capture: %w", err)
	}
	return Frame{Time: ci.Timestamp, Link: r.link(ci), Data: data, Length: ci.Length}, nil
}

// Secrets implements Source.
func (r *Reader) Secrets() []byte {
	if r.secrets == nil {
		return nil
	}
	s := r.secrets.found
	r.secrets.found = nil
	return s
}

// Close implements Source.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/pqquic/pqquic/quic"
)

// As much of HTTP/3 (RFC 9114) as peers need that speak nothing else: requests without content, and their answers. The
// dynamic table of QPACK is not used, because no settings permit it.

const (
	h3ALPN     = "h3"
	h3Control  = 0x00 // type of a stream
	h3Data     = 0x00 // types of frames
	h3Headers  = 0x01
	h3Settings = 0x04
)

// openControl opens the control stream with empty settings, and reads the peer's unidirectional streams.
func openControl(ctx context.Context, c *quic.Conn) error {
	go func() {
		for {
			s, err := c.AcceptUniStream(ctx)
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, s) }()
		}
	}()
	s, err := c.OpenUniStream(ctx)
	if err != nil {
		return err
	}
	_, err = s.Write([]byte{h3Control, h3Settings, 0})
	return err
}

// serveH3 answers each request on a connection.
func serveH3(ctx context.Context, c *quic.Conn, answer answerer) error {
	if err := openControl(ctx, c); err != nil {
		return err
	}
	for {
		s, err := c.AcceptStream(ctx)
		if err != nil {
			return err
		}
		go func() {
			defer s.Close()
			fields, _, err := readMessage(s)
			if err != nil || fields[":method"] != "GET" {
				_ = s.Reset(0x10e) // H3_MESSAGE_ERROR
				return
			}
			_, _ = s.Write(answer(c, s))
			_ = s.CloseWrite()
		}()
	}
}

// getH3 requests a path and returns the content of the answer.
func getH3(ctx context.Context, c *quic.Conn, path string) ([]byte, error) {
	s, err := c.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	request := appendFields(nil, ":method", "GET", ":scheme", "https", ":authority", serverName, ":path", path)
	if _, err := s.Write(request); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	fields, content, err := readMessage(s)
	if err == nil && fields[":status"] != "200" {
		err = fmt.Errorf("the status is %q", fields[":status"])
	}
	return content, err
}

// readMessage reads a request or an answer to the end of the stream.
func readMessage(r io.Reader) (fields map[string]string, content []byte, err error) {
	in := bufio.NewReader(r)
	for {
		kind, err := quicvarint.Read(in)
		if errors.Is(err, io.EOF) {
			return fields, content, nil
		} else if err != nil {
			return nil, nil, err
		}
		n, err := quicvarint.Read(in)
		if err != nil {
			return nil, nil, err
		}
		var frame bytes.Buffer
		if _, err := io.CopyN(&frame, in, int64(n)); err != nil {
			return nil, nil, err
		}
		switch {
		case kind == h3Headers && fields == nil:
			if fields, err = decodeFields(frame.Bytes()); err != nil {
				return nil, nil, err
			}
		case kind == h3Data:
			content = append(content, frame.Bytes()...)
		}
	}
}

func decodeFields(section []byte) (map[string]string, error) {
	fields := make(map[string]string)
	next := qpack.NewDecoder().Decode(section)
	for {
		f, err := next()
		if errors.Is(err, io.EOF) {
			return fields, nil
		} else if err != nil {
			return nil, err
		}
		fields[f.Name] = f.Value
	}
}

// appendFields appends a HEADERS frame with names and values.
func appendFields(b []byte, fields ...string) []byte {
	var section bytes.Buffer
	e := qpack.NewEncoder(&section)
	for i := 0; i < len(fields); i += 2 {
		if err := e.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			panic(err) // a buffer takes everything
		}
	}
	return appendFrame(b, h3Headers, section.Bytes())
}

// appendFrame appends a frame whose type has one byte.
func appendFrame(b []byte, kind byte, content []byte) []byte {
	const eightBytes = 0xc0 << 56 // the size of the length
	b = binary.BigEndian.AppendUint64(append(b, kind), eightBytes|uint64(len(content)))
	return append(b, content...)
}

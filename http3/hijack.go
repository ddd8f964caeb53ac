package http3

import (
	"errors"
	"net/http"

	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic"
)

// An HTTPStreamer is a ResponseWriter that can give its stream away. The ResponseWriter of a Server is one, which also
// http.ResponseWriter wrappers with a method Unwrap do not hide from TakeStream.
type HTTPStreamer interface {
	// HTTPStream sends the header section, if that was not sent, and returns the stream. The handler may return while the stream is
	// in use, and must not use the ResponseWriter or the body any more.
	HTTPStream() (*RequestStream, error)
}

// peekType waits for the type at the beginning of a bidirectional stream, and does not consume it.
func peekType(qs *quic.Stream) (uint64, error) {
	for want := 1; ; {
		b, err := qs.Peek(want)
		if typ, n := varint.Consume(b); n > 0 {
			return typ, nil
		}
		if err != nil {
			return 0, err
		}
		want = 1 << (b[0] >> 6)
	}
}

// TakeStream returns the stream of a request from its ResponseWriter: see HTTPStreamer.
func TakeStream(w http.ResponseWriter) (*RequestStream, error) {
	for {
		if s, ok := w.(HTTPStreamer); ok {
			return s.HTTPStream()
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil, errors.New("http3: the ResponseWriter is not that of an HTTP/3 request: " + http.ErrNotSupported.Error())
		}
		w = u.Unwrap()
	}
}

// HTTPStream implements HTTPStreamer.
func (w *response) HTTPStream() (*RequestStream, error) {
	switch {
	case w.isDone:
		return nil, errStreamEnded
	case w.declared > 0 && w.wroteHeader:
		return nil, errors.New("http3: HTTPStream of a response with Content-Length")
	}
	if err := w.FlushError(); err != nil {
		return nil, err
	}
	w.isDone, w.isHijacked = true, true
	return &RequestStream{s: &w.x.messageStream}, nil
}

package http3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// extended is the header section of an Extended CONNECT request.
func extended(protocol string) []string {
	return []string{":method", "CONNECT", ":protocol", protocol, ":scheme", "https", ":authority", "localhost", ":path", "/tunnel"}
}

// A stream that was taken over carries bytes in both directions after the handler has returned, and datagrams.
func TestExtendedConnect(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		taken := make(chan *RequestStream, 1)
		s := serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(":protocol") != "echo" {
				w.WriteHeader(http.StatusNotImplemented)
				return
			}
			w.Header().Set("Capsule-Protocol", "?1")
			st, err := TakeStream(w)
			must(err)
			taken <- st
		}), func(s *Server) { s.EnableDatagrams = true })
		c := dialBare(t, s)
		c.uni(frame.StreamControl, settingsFrame(frame.SettingDatagram, 1))
		require.Equal(t, "501", c.roundTrip(extended("other")...).status)

		req := c.open(c.headers(extended("echo")...))
		h, payload := readFrame(t, req)
		m := req.parse(append(frame.AppendHeader(nil, h.Type, h.Length), payload...))
		require.Equal(t, "200", m.status)
		require.Equal(t, "?1", m.header.Get("Capsule-Protocol"))
		require.Empty(t, m.header.Get("Content-Type"))
		st := <-taken
		require.Equal(t, req.ID(), st.StreamID())
		_, err := req.Write(data("ping"))
		require.NoError(t, err)
		b := make([]byte, 4)
		_, err = io.ReadFull(st, b)
		require.NoError(t, err)
		require.Equal(t, "ping", string(b))
		_, err = st.Write([]byte("pong"))
		require.NoError(t, err)
		h, payload = readFrame(t, req)
		require.Equal(t, uint64(frame.Data), h.Type)
		require.Equal(t, "pong", string(payload))

		settings, err := st.Settings(t.Context())
		require.NoError(t, err)
		require.True(t, settings.Datagrams)
		require.NoError(t, c.SendDatagram(append(varint.Append(nil, uint64(req.ID())/4), "datagram"...)))
		got, err := st.ReceiveDatagram(t.Context())
		require.NoError(t, err)
		require.Equal(t, "datagram", string(got))
		require.NoError(t, st.SendDatagram([]byte("answer")))
		got, err = c.ReceiveDatagram(t.Context())
		require.NoError(t, err)
		id, answer, err := frame.ParseDatagram(got)
		require.NoError(t, err)
		require.Equal(t, uint64(req.ID()), id)
		require.Equal(t, "answer", string(answer))

		// The server waits for the stream when it shuts down.
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		require.NoError(t, req.CloseWrite())
		_, err = st.Read(b)
		require.Equal(t, io.EOF, err)
		_, err = st.ReceiveDatagram(t.Context())
		require.ErrorIs(t, err, errStreamEnded)
		require.NoError(t, st.Close())
		// "HTTP/3 Datagrams MUST NOT be sent unless the corresponding stream's send side is open."
		// https://www.rfc-editor.org/rfc/rfc9297#section-2.1-5
		require.Error(t, st.SendDatagram(nil))
		_, err = st.ReceiveDatagram(t.Context())
		require.Error(t, err)
		rest, err := io.ReadAll(req)
		require.NoError(t, err)
		require.Empty(t, rest)
		require.NoError(t, <-done)
	})
}

// "Once the CONNECT method has completed, only DATA frames are permitted to be sent on the stream. [...] Receipt of any other known
// frame type MUST be treated as a connection error of type H3_FRAME_UNEXPECTED."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.4-8
func TestConnectPermitsDataOnly(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		_, _ = io.Copy(w, r.Body)
	}), nil)
	c := dialRaw(t, s)
	m := c.open(join(c.headers(":method", "CONNECT", ":authority", "example.com:443"), data("a"), frameBytes(0x21, nil), data("b"))).end().response()
	require.Equal(t, "ab", m.body)
	c.open(join(c.headers(":method", "CONNECT", ":authority", "example.com:443"), data("a"), c.headers("x", "y")))
	c.wantClose(frame.FrameUnexpected)
}

// "If an HTTP Datagram is received and it is associated with a request that has no known semantics for HTTP Datagrams, the receiver
// MUST terminate the request; if HTTP/3 is in use, the request stream MUST be aborted with H3_DATAGRAM_ERROR (0x33)."
// https://www.rfc-editor.org/rfc/rfc9297#section-2-6
func TestDatagramOfOrdinaryRequest(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	s := serve(t, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { started <- struct{}{}; <-release }),
		func(s *Server) { s.EnableDatagrams = true })
	c := dialBare(t, s)
	c.uni(frame.StreamControl, settingsFrame(frame.SettingDatagram, 1))
	req := c.open(c.headers(post("/")...))
	<-started
	// One for a stream that does not exist is dropped.
	//
	// "If an HTTP/3 Datagram is received and its Quarter Stream ID maps to a stream that has not yet been created, the receiver
	// SHALL either drop that datagram silently or buffer it temporarily (on the order of a round trip) while awaiting the creation
	// of the corresponding stream."
	// https://www.rfc-editor.org/rfc/rfc9297#section-2.1-6
	require.NoError(t, c.SendDatagram(varint.Append(nil, 1000)))
	require.NoError(t, c.SendDatagram(varint.Append(nil, uint64(req.ID())/4)))
	req.wantReset(frame.DatagramError)
	// "Receipt of a QUIC DATAGRAM frame whose payload is too short to allow parsing the Quarter Stream ID field MUST be treated as an
	// HTTP/3 connection error of type H3_DATAGRAM_ERROR (0x33)."
	// https://www.rfc-editor.org/rfc/rfc9297#section-2.1-4
	require.NoError(t, c.SendDatagram([]byte{0xc0}))
	c.wantClose(frame.DatagramError)
}

// At most 32 datagrams wait for a request, and a bounded number for a connection.
func TestLimitDatagrams(t *testing.T) {
	c := conn{qc: new(quic.Conn)} // which has no log
	d := &datagrams{queues: make(map[quic.StreamID]*datagramQueue)}
	c.datagrams.Store(d)
	for id := range quic.StreamID(30) {
		c.openDatagrams(4*id, nil)
		for i := range 100 {
			must(c.handleDatagram(d, append(varint.Append(nil, uint64(id)), byte(i))))
		}
	}
	require.Len(t, d.queues[0].waiting, maxDatagrams)
	require.Equal(t, []byte{100 - maxDatagrams}, d.queues[0].waiting[0], "the oldest are dropped")
	require.Equal(t, maxAllDatagrams, d.total)
	for id := range quic.StreamID(30) {
		c.closeDatagrams(4 * id)
	}
	require.Zero(t, d.total)
	require.Empty(t, d.queues)
}

// After the end of the peer's direction, datagrams that wait can be received, and others are dropped.
//
// "If a datagram is received after the corresponding stream's receive side is closed, the received datagrams MUST be silently
// dropped."
// https://www.rfc-editor.org/rfc/rfc9297#section-2.1-5
func TestDatagramsAfterEnd(t *testing.T) {
	c := conn{qc: new(quic.Conn)} // which has no log
	d := &datagrams{queues: make(map[quic.StreamID]*datagramQueue)}
	c.datagrams.Store(d)
	c.openDatagrams(4, nil)
	require.NoError(t, c.handleDatagram(d, []byte{1, 'a'}))
	c.endDatagrams(4)
	require.NoError(t, c.handleDatagram(d, []byte{1, 'b'}))
	b, err := c.receiveDatagram(t.Context(), 4)
	require.NoError(t, err)
	require.Equal(t, "a", string(b))
	_, err = c.receiveDatagram(t.Context(), 4)
	require.ErrorIs(t, err, errStreamEnded)
}

// A server sends no datagrams unless it and the client have sent the setting.
//
// "QUIC DATAGRAM frames MUST NOT be sent until the SETTINGS_H3_DATAGRAM setting has been both sent and received with a value of 1."
// https://www.rfc-editor.org/rfc/rfc9297#section-2.1.1-3
func TestDatagramsNeedBothSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		server bool
		client []uint64
		want   error
	}{
		"both":   {true, []uint64{frame.SettingDatagram, 1}, nil},
		"server": {true, nil, ErrDatagramsUnsupported},
		"0":      {true, []uint64{frame.SettingDatagram, 0}, ErrDatagramsUnsupported},
		"client": {false, []uint64{frame.SettingDatagram, 1}, ErrDatagramsUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			errs := make(chan error, 1)
			s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				st, err := TakeStream(w)
				must(err)
				_, err = st.Settings(r.Context())
				must(err)
				errs <- st.SendDatagram([]byte("x"))
				must(st.Close())
			}), func(s *Server) { s.EnableDatagrams = tc.server })
			c := dialBare(t, s)
			c.uni(frame.StreamControl, settingsFrame(tc.client...))
			c.open(c.headers(extended("x")...))
			require.Equal(t, tc.want, <-errs)
		})
	}
}

// Streams of types that an extension knows go to it.
func TestUniStreamHijacker(t *testing.T) {
	got := make(chan string, 1)
	s := serve(t, nil, nil, func(s *Server) {
		s.AdditionalSettings = map[uint64]uint64{0x4242: 7}
		s.UniStreamHijacker = func(typ uint64, _ *quic.Conn, rs *quic.ReceiveStream) bool {
			if typ != 0x54 {
				return false
			}
			b, err := io.ReadAll(rs)
			must(err)
			got <- string(b)
			return true
		}
	})
	c := dialRaw(t, s)
	st := c.uni(0x54, []byte("payload"))
	require.NoError(t, st.Close())
	require.Equal(t, "payload", <-got)
	control, err := c.AcceptUniStream(t.Context())
	require.NoError(t, err)
	_, err = readStreamType(control)
	require.NoError(t, err)
	_, payload := readFrame(t, control)
	l, err := frame.ParseSettings(payload)
	require.NoError(t, err)
	require.Equal(t, []frame.Setting{{ID: 0x4242, Value: 7}}, l.Other)
	other := c.uni(0x55, nil)
	<-other.Context().Done()
	var se *quic.StreamError
	require.ErrorAs(t, context.Cause(other.Context()), &se)
	require.Equal(t, uint64(frame.StreamCreationError), se.Code)
}

// Streams that begin with a frame that an extension knows go to it, and others are requests.
func TestStreamHijacker(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), func(s *Server) {
		s.StreamHijacker = func(typ uint64, _ *quic.Conn, st *quic.Stream) bool {
			if typ != 0x41 {
				return false
			}
			b, err := io.ReadAll(st)
			must(err)
			_, err = st.WriteEnd(b)
			must(err)
			return true
		}
	})
	c := dialRaw(t, s)
	raw := varint.Append(nil, 0x41)
	b, err := io.ReadAll(c.sendAll(append(raw, "not a frame"...)))
	require.NoError(t, err)
	require.Equal(t, string(raw)+"not a frame", string(b))
	require.Equal(t, "200", c.roundTrip(get("/")...).status)
	m := c.sendAll(join(frameBytes(0x4242, []byte("unknown")), frameBytes(0x21, nil), c.headers(get("/")...))).response()
	require.Equal(t, "200", m.status)
	require.NoError(t, s.Shutdown(t.Context()), "no stream is left")
}

// A panic of a hijacker ends its stream, as that of a handler ends its request, and not the process. So does runtime.Goexit.
func TestHijackersPanic(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), func(s *Server) {
		s.StreamHijacker = func(typ uint64, _ *quic.Conn, _ *quic.Stream) bool {
			if typ == 0x42 {
				runtime.Goexit()
			}
			panic("of a stream")
		}
		s.UniStreamHijacker = func(uint64, *quic.Conn, *quic.ReceiveStream) bool { panic("of a unidirectional stream") }
	})
	c := dialRaw(t, s)
	c.open(varint.Append(nil, 0x41)).wantReset(frame.InternalError)
	s.wantLog(t, "of a stream")
	c.open(varint.Append(nil, 0x42)).wantReset(frame.InternalError)
	uni := c.uni(0x54, nil)
	<-uni.Context().Done()
	var se *quic.StreamError
	require.ErrorAs(t, context.Cause(uni.Context()), &se)
	require.Equal(t, uint64(frame.InternalError), se.Code)
	s.wantLog(t, "of a unidirectional stream")
	require.Equal(t, "200", c.roundTrip(get("/")...).status)
	require.NoError(t, s.Shutdown(t.Context()), "no stream is left")
}

// A handler that ends its goroutine, as testing.T.FailNow does, ends its request.
func TestHandlerExits(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() }), nil)
	c := dialRaw(t, s)
	c.sendAll(c.headers(get("/")...)).wantReset(frame.InternalError)
	require.NoError(t, s.Shutdown(t.Context()), "no request is left")
}

func TestTakeStreamErrors(t *testing.T) {
	_, err := TakeStream(nil)
	require.Error(t, err)
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		st, err := TakeStream(wrapped{w})
		must(err)
		if _, err := TakeStream(w); err == nil {
			panic("taken twice")
		}
		if _, err := w.Write([]byte("x")); err == nil {
			panic("written after the stream was taken")
		}
		must(st.Reset(ErrCodeRequestCanceled))
		st.StopSending(ErrCodeRequestCanceled)
	}), nil)
	c := dialRaw(t, s)
	c.open(c.headers(extended("x")...)).wantReset(frame.RequestCancelled)
	require.Empty(t, s.log.String())
}

// wrapped is a ResponseWriter of a middleware.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestCapsules(t *testing.T) {
	b := AppendCapsule(nil, CapsuleDatagram, []byte("one"))
	b = AppendCapsule(b, 0x4242, bytes.Repeat([]byte("x"), 1000))
	b = AppendCapsule(b, 7, nil)
	for name, r := range map[string]io.Reader{"at once": bytes.NewReader(b), "by byte": iotest.OneByteReader(bytes.NewReader(b))} {
		t.Run(name, func(t *testing.T) {
			c := NewCapsuleReader(r)
			typ, length, err := c.Next()
			require.NoError(t, err)
			require.Equal(t, []uint64{CapsuleDatagram, 3}, []uint64{typ, length})
			value, err := io.ReadAll(c)
			require.NoError(t, err)
			require.Equal(t, "one", string(value))
			typ, length, err = c.Next()
			require.NoError(t, err)
			require.Equal(t, []uint64{0x4242, 1000}, []uint64{typ, length})
			_, err = c.ReadAll(999)
			require.Error(t, err)
			// "Endpoints which receive a Capsule with an unknown Capsule Type MUST silently drop that Capsule and skip over it to
			// parse the next Capsule."
			// https://www.rfc-editor.org/rfc/rfc9297#section-3.2-7
			typ, _, err = c.Next() // skips the value
			require.NoError(t, err)
			require.Equal(t, uint64(7), typ)
			value, err = c.ReadAll(0)
			require.NoError(t, err)
			require.Empty(t, value)
			_, _, err = c.Next()
			require.Equal(t, io.EOF, err)
		})
	}
	for i := 1; i < len(b)-2; i++ {
		c := NewCapsuleReader(strings.NewReader(string(b[:i])))
		var err error
		for err == nil {
			_, _, err = c.Next()
		}
		if err == io.EOF {
			require.Contains(t, []int{5, 5 + 5 + 1000}, i)
			continue
		}
		// "If the receive side of a stream carrying capsules is terminated cleanly [...] and the last capsule on the stream was
		// truncated, this MUST be treated as if it were a malformed or incomplete message."
		// https://www.rfc-editor.org/rfc/rfc9297#section-3.3-3
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d", i)
	}
	broken := errors.New("broken")
	_, _, err := NewCapsuleReader(iotest.ErrReader(broken)).Next()
	require.ErrorIs(t, err, broken)
}

// Capsules in any bytes: nothing panics, and no more is read than there is.
func FuzzCapsules(f *testing.F) {
	f.Add(AppendCapsule(AppendCapsule(nil, 0, []byte("x")), 1<<40, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewCapsuleReader(bytes.NewReader(b))
		total := 0
		for {
			_, length, err := c.Next()
			if err != nil {
				return
			}
			if v, err := c.ReadAll(len(b)); err == nil {
				require.Len(t, v, int(length))
				total += len(v)
			}
			require.LessOrEqual(t, total, len(b))
		}
	})
}

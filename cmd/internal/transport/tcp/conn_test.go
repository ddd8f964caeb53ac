package tcp

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/driver"
	"github.com/pqquic/pqquic/cmd/internal/drivercli"
	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

func options() *drivercli.Options {
	return &drivercli.Options{Protocols: []string{"netbench"}, Multiplex: true, HandshakeTimeout: 10 * time.Second,
		IdleTimeout: 10 * time.Second, RxBuffer: 8 << 10, TxBuffer: 8 << 10}
}

// hostile dials a TLS server whose behaviour on each connection is given by a function.
func hostile(t *testing.T, o *drivercli.Options, serve func(*tls.Conn)) driver.Conn {
	t.Helper()
	certs, err := scenario.NewCertificates("x", scenario.DefaultCertificate)
	require.NoError(t, err)
	m := &drivercli.Materials{Authorities: certs[0].PEM, Key: certs[1].PEM, Chain: certs[2].PEM}
	cfg, err := Config(o, m, true)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		raw, err := l.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		c := tls.Server(raw, cfg)
		if c.Handshake() == nil {
			serve(c)
		}
	}()
	tr, err := New(o)
	require.NoError(t, err)
	d, err := tr.Client("127.0.0.1", m)
	require.NoError(t, err)
	c, err := d.Dial(t.Context(), l.Addr().String(), "0.x.net")
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Abort("")
		require.NoError(t, l.Close())
		<-ended
	})
	return c
}

// drain reads until the peer closes.
func drain(c *tls.Conn) { _, _ = io.Copy(io.Discard, c) }

// A peer that grants no window, does not answer and does not close ends every waiting call after the idle
// timeout.
func TestSilentPeer(t *testing.T) {
	o := options()
	o.IdleTimeout = 100 * time.Millisecond
	for name, wait := range map[string]func(t *testing.T, c driver.Conn) error{
		"room to write": func(t *testing.T, c driver.Conn) error {
			s, err := c.OpenStream(t.Context(), 0, true)
			require.NoError(t, err)
			n, err := s.Write(make([]byte, initialWindow+1))
			require.Equal(t, initialWindow, n)
			return err
		},
		"something to read": func(t *testing.T, c driver.Conn) error {
			s, err := c.OpenStream(t.Context(), 0, true)
			require.NoError(t, err)
			_, err = s.Read(make([]byte, 1))
			return err
		},
		"a stream": func(t *testing.T, c driver.Conn) error {
			_, _, err := c.AcceptStream(t.Context())
			return err
		},
		"to open another": func(t *testing.T, c driver.Conn) error {
			for id := range uint64(initialStreams) {
				_, err := c.OpenStream(t.Context(), id, true)
				require.NoError(t, err)
			}
			_, err := c.OpenStream(t.Context(), initialStreams, true)
			return err
		},
		"the end": func(t *testing.T, c driver.Conn) error {
			require.NoError(t, c.Close())
			return c.(*conn).err
		},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			c := hostile(t, o, func(c *tls.Conn) {
				drain(c)
				<-release
			})
			err := wait(t, c)
			close(release)
			require.ErrorIs(t, err, errIdle)
			require.Equal(t, driver.ClassIdle, (&driver.Stack{Classify: Classify}).Class(err))
			<-c.Done()
		})
	}
}

// A peer that does not read at all does not block a writer for longer than that either.
func TestPeerThatDoesNotRead(t *testing.T) {
	o := options()
	o.IdleTimeout = 100 * time.Millisecond
	release := make(chan struct{})
	defer close(release)
	c := hostile(t, o, func(c *tls.Conn) {
		_, _ = c.Write(frames(byte(tagInitialWindow), ^uint64(0), byte(tagOpen), uint64(0), byte(1)))
		<-release
	})
	_, _, err := c.AcceptStream(t.Context()) // the window arrives before the stream
	require.NoError(t, err)
	s, err := c.OpenStream(t.Context(), 0, true)
	require.NoError(t, err)
	for err == nil {
		_, err = s.Write(make([]byte, 1<<20))
	}
	require.ErrorIs(t, err, errIdle)
}

// An invalid frame ends the connection and every waiting call.
func TestHostilePeerEndsTheConnection(t *testing.T) {
	c := hostile(t, options(), func(c *tls.Conn) {
		_, _ = c.Read(make([]byte, 1)) // the frame that opened the stream
		_, _ = c.Write(frames(byte(tagData), uint64(0), ours, ^uint32(0)))
		drain(c)
	})
	s, err := c.OpenStream(t.Context(), 0, true)
	require.NoError(t, err)
	require.NoError(t, s.Flush())
	_, err = s.Read(make([]byte, 1))
	require.ErrorAs(t, err, new(*FrameError))
	_, _, err = c.AcceptStream(t.Context())
	require.ErrorAs(t, err, new(*FrameError))
	<-c.Done()
	_, err = c.OpenStream(t.Context(), 1, true)
	require.ErrorAs(t, err, new(*FrameError))
}

// A connection that is cut off is not reported as closed cleanly.
func TestTruncation(t *testing.T) {
	c := hostile(t, options(), func(c *tls.Conn) { c.NetConn().Close() })
	_, _, err := c.AcceptStream(t.Context())
	require.Error(t, err)
	require.NotErrorIs(t, err, driver.ErrClosedCleanly)
	require.Equal(t, driver.ClassPeerClosed, (&driver.Stack{Classify: Classify}).Class(err))
}

// A canceled OpenStream does not wait for the peer's permission.
func TestOpenStreamCanceled(t *testing.T) {
	c := hostile(t, options(), drain)
	for id := range uint64(initialStreams) {
		_, err := c.OpenStream(t.Context(), id, true)
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.OpenStream(ctx, initialStreams, true)
	require.ErrorIs(t, err, context.Canceled)
}

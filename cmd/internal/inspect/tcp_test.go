package inspect

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/cmd/internal/capturetest"
)

// tlsOverTCP records a TLS connection as segments.
func tlsOverTCP(t *testing.T, client, server []tls.CurveID, version uint16, size int) *recording {
	t.Helper()
	return tlsResumed(t, client, server, version, size, 0)
}

// tlsResumed records the connection after n others that share a ticket store.
func tlsResumed(t *testing.T, client, server []tls.CurveID, version uint16, size, n int) (r *recording) {
	t.Helper()
	cert := capturetest.Certificate()
	serverConfig := &tls.Config{Certificates: []tls.Certificate{cert.TLS()}, CurvePreferences: server, MaxVersion: version}
	clientConfig := &tls.Config{ServerName: name, RootCAs: cert.Pool(), CurvePreferences: client, MaxVersion: version,
		NextProtos: []string{"h2"}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for range n + 1 {
		r = oneTCP(t, clientConfig, serverConfig, size)
	}
	return r
}

func oneTCP(t *testing.T, client, server *tls.Config, size int) *recording {
	t.Helper()
	r := &recording{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	s, err := l.Accept()
	require.NoError(t, err)
	defer s.Close()
	ends := [2]netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.2:443")}
	seq := [2]uint32{0xfffffff0, 7} // the first one wraps around
	segment := func(dir int, syn, ack, fin bool, b []byte) {
		data, err := capture.TCPPacket(ends[dir], ends[1-dir], seq[dir], syn, ack, fin, b)
		require.NoError(t, err)
		r.Frame(capture.Frame{Time: time.Now(), Data: data})
		seq[dir] += uint32(len(b))
		if syn || fin {
			seq[dir]++
		}
	}
	segment(0, true, false, false, nil)
	segment(1, true, true, false, nil)
	tap := func(dir int, conn net.Conn) net.Conn {
		return &tappedConn{Conn: conn, write: func(b []byte) {
			for len(b) > 0 {
				n := min(size, len(b))
				segment(dir, false, true, false, b[:n])
				b = b[n:]
			}
		}}
	}
	done := make(chan error, 1)
	go func() {
		conn := tls.Server(tap(1, s), server)
		_, err := conn.Write([]byte("hello"))
		done <- err
	}()
	conn := tls.Client(tap(0, c), client)
	_, err = io.ReadFull(conn, make([]byte, 5)) // TLS 1.3's tickets arrive with them
	require.NoError(t, err)
	require.NoError(t, <-done)
	segment(0, false, true, true, nil)
	return r
}

type tappedConn struct {
	net.Conn
	write func([]byte)
}

func (c *tappedConn) Write(b []byte) (int, error) {
	c.write(b)
	return c.Conn.Write(b)
}

func TestTCP(t *testing.T) {
	pq, x := tls.X25519MLKEM768, tls.X25519
	for _, size := range []int{1 << 14, 536, 100} {
		c := one(t, tlsOverTCP(t, []tls.CurveID{pq, x}, nil, 0, size))
		require.Equal(t, "tcp", c.Transport)
		require.Equal(t, "TLS 1.3", c.Version)
		require.Equal(t, PostQuantum, c.Verdict.Result)
		require.Equal(t, name, c.ServerName)
		require.Equal(t, 1216, c.Hello.Shares[0].Bytes)
	}
	c := one(t, tlsOverTCP(t, []tls.CurveID{pq, x}, []tls.CurveID{x}, 0, 1000))
	require.Equal(t, CauseServer, c.Verdict.Cause)
	c = one(t, tlsOverTCP(t, []tls.CurveID{x}, nil, tls.VersionTLS12, 1000))
	require.Equal(t, CauseOldTLS, c.Verdict.Cause)
	require.Equal(t, "X25519", c.Selected.Name, "TLS 1.2 shows its group as well")
	// A HelloRetryRequest: the client's only share is of a group that the server does not support.
	c = one(t, tlsOverTCP(t, []tls.CurveID{x, tls.CurveP384}, []tls.CurveID{tls.CurveP384}, 0, 1000))
	require.NotNil(t, c.RetryRequest)
	require.Equal(t, "P-384", c.Selected.Name)
}

func TestTCPResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		require.False(t, one(t, tlsResumed(t, nil, nil, version, 1000, 0)).Resumed)
		c := one(t, tlsResumed(t, nil, nil, version, 1000, 1))
		require.True(t, c.Resumed)
		require.Equal(t, version == tls.VersionTLS13, c.Verdict.Result == PostQuantum)
	}
}

// A connection without the client's SYN, or without both, is found too. A gap in the hello gives no
// verdict.
func TestTCPPartial(t *testing.T) {
	pq := []tls.CurveID{tls.X25519MLKEM768}
	r := tlsOverTCP(t, pq, nil, 0, 1000)
	for n := range 3 {
		c := one(t, &recording{Packets: r.Packets[n:]})
		require.Equal(t, PostQuantum, c.Verdict.Result, "without the first %d segments", n)
		require.Equal(t, "10.0.0.1:40000", c.Client.String())
	}
	hole := &recording{Packets: slices.Delete(slices.Clone(r.Packets), 3, 4)} // the second half of the hello
	require.Equal(t, CauseNoHello, one(t, hole).Verdict.Cause)
	r.Packets[2].Data = r.Packets[2].Data[:500] // cut by the capture
	cs, _ := look(t, r, Options{})
	require.Len(t, cs, 1)
	require.Equal(t, CauseNoHello, cs[0].Verdict.Cause)
	require.Contains(t, cs[0].Verdict.Reason, "cut short by the capture")
}

// A connection that is not TLS is not reported and leaves no state.
func TestTCPOther(t *testing.T) {
	in := New(Options{Report: func(c *Connection) { t.Errorf("reported: %v", c.Verdict) }})
	for i := range 1000 {
		client := netip.AddrPortFrom(clientEnd.Addr(), uint16(10000+i))
		for j, b := range []string{"", "GET / HTTP/1.1\r\n\r\n", ""} {
			data, err := capture.TCPPacket(client, serverEnd, uint32(j), j == 0, false, j == 2, []byte(b))
			require.NoError(t, err)
			in.Frame(capture.Frame{Time: time.Unix(1, 0), Link: layers.LinkTypeRaw, Data: data, Length: len(data)})
		}
	}
	require.Empty(t, in.conns)
	require.Zero(t, in.Finish().Connections)
}

// A new SYN on the same ports is another connection.
func TestTCPPortsAgain(t *testing.T) {
	r := tlsOverTCP(t, []tls.CurveID{tls.X25519MLKEM768}, nil, 0, 1000)
	again := oneTCPWithSeq(t, r)
	cs, _ := look(t, &recording{Packets: append(slices.Clone(r.Packets), again.Packets...)}, Options{})
	require.Len(t, cs, 2)
}

// oneTCPWithSeq returns the same connection with other sequence numbers.
func oneTCPWithSeq(t *testing.T, r *recording) *recording {
	t.Helper()
	out := &recording{}
	for _, p := range r.Packets {
		b := bytes.Clone(p.Data)
		seq := binary.BigEndian.Uint32(b[24:])
		binary.BigEndian.PutUint32(b[24:], seq+12345678)
		out.Packets = append(out.Packets, captured{At: p.At, Data: b})
	}
	return out
}

package inspect

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
)

// frame puts an IP packet on a link.
func frame(t *testing.T, link layers.LinkType, vlan bool, ip []byte) []byte {
	t.Helper()
	ether := uint16(layers.EthernetTypeIPv4)
	if ip[0]>>4 == 6 {
		ether = uint16(layers.EthernetTypeIPv6)
	}
	switch link {
	case layers.LinkTypeEthernet:
		b := append([]byte{2, 0, 0, 0, 0, 1}, 2, 0, 0, 0, 0, 2)
		if vlan {
			b = append(b, 0x81, 0, 0, 42)
		}
		return append(binary.BigEndian.AppendUint16(b, ether), ip...)
	case layers.LinkTypeLinuxSLL:
		b := append([]byte{0, 0, 0, 1, 0, 6}, 2, 0, 0, 0, 0, 2, 0, 0)
		return append(binary.BigEndian.AppendUint16(b, ether), ip...)
	case layers.LinkTypeLinuxSLL2:
		b := binary.BigEndian.AppendUint16(nil, ether)
		b = append(b, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0)
		return append(b, ip...)
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		family := uint32(2)
		if ip[0]>>4 == 6 {
			family = 30
		}
		if link == layers.LinkTypeLoop {
			return append(binary.BigEndian.AppendUint32(nil, family), ip...)
		}
		return append(binary.LittleEndian.AppendUint32(nil, family), ip...)
	}
	return ip
}

func TestLinkTypes(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		r := record(t, setup{address: address})
		for _, link := range []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2,
			layers.LinkTypeNull, layers.LinkTypeLoop, layers.LinkTypeRaw} {
			for _, vlan := range []bool{false, true} {
				if vlan && link != layers.LinkTypeEthernet {
					continue
				}
				for _, ng := range []bool{false, true} {
					var file bytes.Buffer
					if ng {
						w := capture.NewWriter(&file)
						for _, p := range r.packets {
							data := frame(t, link, vlan, p.data)
							require.NoError(t, w.Write(capture.Frame{Time: p.at, Link: link, Data: data, Length: len(data)}))
						}
						require.NoError(t, w.Close())
					} else {
						w := pcapgo.NewWriter(&file)
						require.NoError(t, w.WriteFileHeader(65535, link))
						for _, p := range r.packets {
							data := frame(t, link, vlan, p.data)
							require.NoError(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: p.at, CaptureLength: len(data), Length: len(data)}, data))
						}
					}
					cs := readFile(t, file.Bytes(), nil)
					require.Len(t, cs, 1, "%v, %s, VLAN %v, pcapng %v", link, address, vlan, ng)
					require.Equal(t, PostQuantum, cs[0].Verdict.Result, "%v, %s, VLAN %v, pcapng %v", link, address, vlan, ng)
				}
			}
		}
	}
}

// readFile inspects a file's bytes; wantErr, if set, gets the error that ended it.
func readFile(t *testing.T, file []byte, wantErr *error) []*Connection {
	t.Helper()
	var out []*Connection
	in := New(Options{KeyLog: new(KeyLog), Report: func(c *Connection) { out = append(out, c) }})
	s, err := capture.NewReader(bytes.NewReader(file))
	for err == nil {
		var f capture.Frame
		if f, err = s.Next(); err == nil {
			in.Frame(f)
		}
	}
	in.Finish()
	if wantErr != nil {
		*wantErr = err
	} else {
		require.Equal(t, io.EOF, err)
	}
	return out
}

// IP fragments, in either order, of IPv4.
func TestFragments(t *testing.T) {
	r := record(t, setup{})
	s := &recording{}
	for i, p := range r.packets {
		if len(p.data) < 1000 {
			s.packets = append(s.packets, p)
			continue
		}
		const cut = 20 + 640
		first, second := bytes.Clone(p.data[:cut]), append(bytes.Clone(p.data[:20]), p.data[cut:]...)
		for j, f := range [][]byte{first, second} {
			binary.BigEndian.PutUint16(f[2:], uint16(len(f)))
			binary.BigEndian.PutUint16(f[4:], uint16(i+1)) // identification
			flags := uint16(0x2000)                        // more fragments
			if j == 1 {
				flags = 640 / 8
			}
			binary.BigEndian.PutUint16(f[6:], flags)
		}
		parts := []captured{{p.at, first}, {p.at, second}}
		if i%2 == 1 {
			parts[0], parts[1] = parts[1], parts[0]
		}
		s.packets = append(s.packets, parts...)
	}
	require.Greater(t, len(s.packets), len(r.packets))
	require.Equal(t, PostQuantum, s.one(t).Verdict.Result)
}

// A capture that was cut short ends in a clear message, and what came before is reported.
func TestTruncatedAndCorruptFiles(t *testing.T) {
	r := record(t, setup{})
	var file bytes.Buffer
	w := capture.NewWriter(&file)
	for _, p := range r.packets {
		require.NoError(t, w.Write(capture.Frame{Time: p.at, Link: layers.LinkTypeRaw, Data: p.data, Length: len(p.data)}))
	}
	require.NoError(t, w.Close())
	whole := file.Bytes()
	reported := 0
	for n := 0; n < len(whole); n += 7 {
		var err error
		for _, c := range readFile(t, whole[:n], &err) {
			if c.Verdict.Result == PostQuantum {
				reported++
			}
		}
		require.Error(t, err)
	}
	require.Positive(t, reported, "a handshake before the end is reported")
	for _, junk := range [][]byte{nil, []byte("x"), []byte("this is not a capture at all"), make([]byte, 1000)} {
		var err error
		require.Empty(t, readFile(t, junk, &err))
		require.ErrorIs(t, err, capture.ErrFormat)
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0xff
		var err error
		readFile(t, bad, &err) // must return
	}
}

// tlsOverTCP records a TLS connection as segments.
func tlsOverTCP(t *testing.T, client, server []tls.CurveID, version uint16, size int) *recording {
	t.Helper()
	cert, _ := testCert()
	leaf, err := tls.X509KeyPair(pemOf("CERTIFICATE", cert.Chain[0]), pemOf("PRIVATE KEY", cert.KeyDER))
	require.NoError(t, err)
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(cert.Chain[0])
	require.NoError(t, err)
	pool.AddCert(parsed)
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
	segment := func(dir int, syn, fin bool, b []byte) {
		data, err := capture.TCPPacket(ends[dir], ends[1-dir], seq[dir], syn, fin, b)
		require.NoError(t, err)
		r.frame(capture.Frame{Time: time.Now(), Data: data})
		seq[dir] += uint32(len(b))
		if syn || fin {
			seq[dir]++
		}
	}
	segment(0, true, false, nil)
	segment(1, true, false, nil)
	tap := func(dir int, conn net.Conn) net.Conn {
		return &tappedConn{Conn: conn, write: func(b []byte) {
			for len(b) > 0 {
				n := min(size, len(b))
				segment(dir, false, false, b[:n])
				b = b[n:]
			}
		}}
	}
	done := make(chan error, 1)
	go func() {
		done <- tls.Server(tap(1, s), &tls.Config{Certificates: []tls.Certificate{leaf}, CurvePreferences: server, MaxVersion: version}).Handshake()
	}()
	err = tls.Client(tap(0, c), &tls.Config{ServerName: name, RootCAs: pool, CurvePreferences: client, MaxVersion: version,
		NextProtos: []string{"h2"}}).Handshake()
	require.NoError(t, err)
	require.NoError(t, <-done)
	segment(0, false, true, nil)
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
		c := tlsOverTCP(t, []tls.CurveID{pq, x}, nil, 0, size).one(t)
		require.Equal(t, "tcp", c.Transport)
		require.Equal(t, "TLS 1.3", c.Version)
		require.Equal(t, PostQuantum, c.Verdict.Result)
		require.Equal(t, name, c.ServerName)
		require.Equal(t, 1216, c.Hello.Shares[0].Bytes)
	}
	c := tlsOverTCP(t, []tls.CurveID{pq, x}, []tls.CurveID{x}, 0, 1000).one(t)
	require.Equal(t, CauseServer, c.Verdict.Cause)
	c = tlsOverTCP(t, []tls.CurveID{x}, nil, tls.VersionTLS12, 1000).one(t)
	require.Equal(t, CauseOldTLS, c.Verdict.Cause)
	require.Equal(t, "X25519", c.Selected.Name, "TLS 1.2 shows its group as well")
	// A HelloRetryRequest: the client's only share is of a group that the server lacks.
	c = tlsOverTCP(t, []tls.CurveID{x, tls.CurveP384}, []tls.CurveID{tls.CurveP384}, 0, 1000).one(t)
	require.NotNil(t, c.RetryRequest)
	require.Equal(t, "P-384", c.Selected.Name)
}

// QUIC and TCP in one capture, among frames of other kinds.
func TestMixedCapture(t *testing.T) {
	r := record(t, setup{})
	other := tlsOverTCP(t, []tls.CurveID{tls.X25519}, nil, 0, 1000)
	noise, err := capture.UDPPacket(netip.MustParseAddrPort("10.0.0.9:53"), netip.MustParseAddrPort("10.0.0.1:999"), []byte("no quic at all"))
	require.NoError(t, err)
	r.packets = append(r.packets, other.packets...)
	r.packets = append(r.packets, captured{time.Now(), noise}, captured{time.Now(), []byte{1}}, captured{time.Now(), nil})
	cs, stats := r.look(t, Options{})
	require.Len(t, cs, 2)
	require.EqualValues(t, 1, stats.PostQuantum)
	require.EqualValues(t, 1, stats.Classical)
}

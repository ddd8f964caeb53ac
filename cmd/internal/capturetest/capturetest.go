// Package capturetest captures real connections for tests.
package capturetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// Name is the server's name.
const Name = "server.test"

// Certificate returns a certificate for Name, the same at each call.
var Certificate = sync.OnceValue(func() *testcert.Certificate { return testcert.New(Name) })

// A Recording holds the packets between a client and a server, as the client's machine sees them.
type Recording struct {
	mu      sync.Mutex
	Packets []Packet // IP packets
	KeyLog  bytes.Buffer
}

// A Packet is an IP packet of a Recording.
type Packet struct {
	At   time.Time
	Data []byte
}

// Write implements io.Writer, for the key log.
func (r *Recording) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.KeyLog.Write(b)
}

// Frame adds a frame.
func (r *Recording) Frame(f capture.Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Packets = append(r.Packets, Packet{f.Time, f.Data})
}

// A Setup describes a handshake to be recorded.
type Setup struct {
	Client, Server []tlsprovider.Group
	Retry          bool
	Address        string // of both sides; default 127.0.0.1
	Fails          bool   // the handshake must fail
}

// Record makes a QUIC connection over loopback, exchanges a message, and returns its packets.
func Record(t *testing.T, s Setup) *Recording {
	t.Helper()
	if s.Address == "" {
		s.Address = "127.0.0.1"
	}
	cert := Certificate()
	r := &Recording{}
	server := &quic.Config{Provider: native.New(), TLS: &tlsprovider.Config{Groups: s.Server, NextProtos: []string{"test"},
		Certificates: []tlsprovider.Certificate{cert.Provider()}}}
	if s.Retry {
		server.RequireAddressValidation = func(netip.AddrPort) bool { return true }
	}
	l, err := quic.Listen("udp", net.JoinHostPort(s.Address, "0"), server)
	require.NoError(t, err)
	defer l.Endpoint().Close()
	pc, err := net.ListenPacket("udp", net.JoinHostPort(s.Address, "0"))
	require.NoError(t, err)
	defer pc.Close()
	e, err := quic.NewEndpoint(capture.NewTap(pc, r.Frame), &quic.Config{Provider: native.New(), ServerName: Name,
		TLS: &tlsprovider.Config{Groups: s.Client, NextProtos: []string{"test", "other"}, RootCAs: cert.Roots(), KeyLogWriter: r}})
	require.NoError(t, err)
	defer e.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := e.Dial(ctx, l.Addr().String(), nil)
	if s.Fails {
		require.Error(t, err)
		return r
	}
	require.NoError(t, err)
	accepted, err := l.Accept(ctx)
	require.NoError(t, err)
	out, err := conn.OpenUniStream(ctx)
	require.NoError(t, err)
	_, err = io.WriteString(out, "hello")
	require.NoError(t, err)
	require.NoError(t, out.Close())
	in, err := accepted.AcceptUniStream(ctx)
	require.NoError(t, err)
	_, err = io.ReadAll(in)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	return r
}

// Ng returns the recording as a pcapng file, including the key log if secrets is set.
func (r *Recording) Ng(t *testing.T, secrets bool) []byte {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var file bytes.Buffer
	w := capture.NewWriter(&file)
	for _, p := range r.Packets {
		require.NoError(t, w.Write(capture.Frame{Time: p.At, Link: layers.LinkTypeRaw, Data: p.Data, Length: len(p.Data)}))
	}
	require.NoError(t, w.Close())
	if !secrets {
		return file.Bytes()
	}
	// Insert a Decryption Secrets Block after the Section Header Block.
	b := file.Bytes()
	head := binary.LittleEndian.Uint32(b[4:])
	lines := r.KeyLog.Bytes()
	padded := append(bytes.Clone(lines), make([]byte, -len(lines)&3)...)
	n := uint32(20 + len(padded))
	block := binary.LittleEndian.AppendUint32(nil, 0x0a)
	for _, v := range []uint32{n, 0x544c534b, uint32(len(lines))} {
		block = binary.LittleEndian.AppendUint32(block, v)
	}
	block = binary.LittleEndian.AppendUint32(append(block, padded...), n)
	return slices.Concat(b[:head], block, b[head:])
}

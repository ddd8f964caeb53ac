package inspect

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/tlsprovider"
)

func TestPostQuantum(t *testing.T) {
	for _, tt := range []struct {
		group          tlsprovider.Group
		client, server int // sizes of the shares
		halves         []half
	}{
		{tlsprovider.X25519MLKEM768, 1216, 1120, []half{{"ML-KEM-768", 1184}, {"X25519", 32}}},
		{tlsprovider.SecP256r1MLKEM768, 1249, 1153, []half{{"P-256", 65}, {"ML-KEM-768", 1184}}},
		{tlsprovider.SecP384r1MLKEM1024, 1665, 1665, []half{{"P-384", 97}, {"ML-KEM-1024", 1568}}},
	} {
		t.Run(tt.group.String(), func(t *testing.T) {
			groups := []tlsprovider.Group{tt.group}
			c := one(t, record(t, setup{Client: groups, Server: groups}))
			require.Equal(t, PostQuantum, c.Verdict.Result)
			require.Equal(t, uint16(tt.group), c.Selected.ID)
			require.Equal(t, tt.group.String(), c.Selected.Name)
			require.Equal(t, "quic", c.Transport)
			require.Equal(t, "QUIC v1", c.Version)
			require.Equal(t, name, c.ServerName)
			require.Equal(t, []string{"test", "other"}, c.ALPN)
			require.Len(t, c.Hello.Shares, 1)
			require.Equal(t, tt.client, c.Hello.Shares[0].Bytes)
			require.Equal(t, tt.halves, c.Hello.Shares[0].Halves)
			require.Equal(t, tt.server, c.ServerHello.Share.Bytes)
			require.Len(t, c.ServerHello.Share.Halves, 2)
			require.GreaterOrEqual(t, c.ClientInitials.Datagrams, 2, "a post-quantum ClientHello takes two datagrams")
			require.Equal(t, 1200, c.ClientInitials.Bytes[0])
			require.Positive(t, c.ServerInitials.Datagrams)
			require.Nil(t, c.RetryRequest)
			require.False(t, c.Retry)
			require.NotEmpty(t, c.Hello.Parameters)
			require.Equal(t, "TLS_AES_128_GCM_SHA256", c.Suite.Name)
		})
	}
}

func TestVerdicts(t *testing.T) {
	x, pq := tlsprovider.X25519, tlsprovider.X25519MLKEM768
	t.Run("the client offers none", func(t *testing.T) {
		v := one(t, record(t, setup{Client: []tlsprovider.Group{x}, Server: []tlsprovider.Group{pq, x}})).Verdict
		require.Equal(t, Verdict{Classical, CauseClient, "the client offered no post-quantum group; X25519 (0x001D) was negotiated"}, v)
	})
	t.Run("the server has none", func(t *testing.T) {
		v := one(t, record(t, setup{Client: []tlsprovider.Group{pq, x}, Server: []tlsprovider.Group{x}})).Verdict
		require.Equal(t, Verdict{Classical, CauseServer, "the client offered X25519MLKEM768, the server chose X25519 (0x001D)"}, v)
	})
	t.Run("both have some and used none", func(t *testing.T) {
		// The same server first chooses the client's post-quantum group, and then another one.
		in := New(Options{})
		var got *Connection
		in.opt.Report = func(c *Connection) { got = c }
		for i, group := range []offer{{0x11ec, 1120}, {0x1d, 32}} {
			hello, answer := makeClientHello(t, 0, false, offer{0x11ec, 0}, offer{0x1d, 32}), makeServerHello(group, false)
			id := []byte{byte(i), 2, 3, 4, 5, 6, 7, 8}
			s := &sealer{version: quicV1, dcid: id, dst: id, src: id, side: tlsprovider.Client, size: 1200}
			back := &sealer{version: quicV1, dcid: id, dst: id, src: id, side: tlsprovider.Server, size: 1300}
			in.udp(&datagram{time: time.Unix(1, 0), src: clientEnd, dst: serverEnd, payload: s.datagram(t, 0, hello, []span{{0, len(hello)}})})
			in.udp(&datagram{time: time.Unix(1, 0), src: serverEnd, dst: clientEnd, payload: back.datagram(t, 0, answer, []span{{0, len(answer)}})})
			in.expire(time.Unix(100, 0))
		}
		in.Finish()
		require.Equal(t, Verdict{Classical, CauseBothOffered, "the server supports post-quantum groups and the client offered X25519MLKEM768, " +
			"but X25519 (0x001D) was negotiated: the client sent no key share for them, and the server did not ask for one"}, got.Verdict)
	})
	t.Run("no answer", func(t *testing.T) {
		r := record(t, setup{Client: []tlsprovider.Group{pq}, Server: []tlsprovider.Group{x}, Fails: true})
		v := one(t, r).Verdict
		require.Equal(t, Unknown, v.Result)
		require.Equal(t, CauseNoAnswer, v.Cause)
		require.Contains(t, v.Reason, "TLS alert 40")
	})
	t.Run("half a ClientHello", func(t *testing.T) {
		r := record(t, setup{Client: []tlsprovider.Group{pq}, Server: []tlsprovider.Group{pq}})
		r.Packets = r.Packets[:1]
		v := one(t, r).Verdict
		require.Equal(t, CauseNoHello, v.Cause)
	})
}

func TestHelloRetryRequest(t *testing.T) {
	// The client sends a share only of its first group, which the server does not support.
	c := one(t, record(t, setup{Client: []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.SecP256r1MLKEM768, tlsprovider.SecP384r1MLKEM1024},
		Server: []tlsprovider.Group{tlsprovider.SecP384r1MLKEM1024}}))
	require.Equal(t, PostQuantum, c.Verdict.Result)
	require.NotNil(t, c.RetryRequest)
	require.Equal(t, "SecP384r1MLKEM1024", c.RetryRequest.Group.Name)
	require.NotNil(t, c.RetryHello)
	require.Equal(t, "SecP384r1MLKEM1024", c.RetryHello.Shares[0].Name)
}

func TestRetry(t *testing.T) {
	c := one(t, record(t, setup{Retry: true}))
	require.True(t, c.Retry)
	require.Equal(t, PostQuantum, c.Verdict.Result)
}

// With a key log, the report includes the encrypted part. With another connection's key log, it reports that the
// encrypted part cannot be read.
func TestKeyLog(t *testing.T) {
	r := record(t, setup{})
	keys := new(KeyLog)
	require.NoError(t, keys.Read(bytes.NewReader(r.KeyLog.Bytes())))
	cs, _ := look(t, r, Options{KeyLog: keys})
	require.Len(t, cs, 1)
	require.Empty(t, cs[0].Problems)
	h := cs[0].Handshake
	require.NotNil(t, h)
	require.Equal(t, "test", h.ALPN)
	require.Equal(t, "ECDSA P-256", h.Certificate.PublicKey)
	require.Equal(t, "ECDSA-SHA256", h.Certificate.SignatureAlgorithm)
	require.Equal(t, []string{name}, h.Certificate.DNSNames)
	require.Equal(t, "ecdsa_secp256r1_sha256", h.Signature.Name)
	require.NotEmpty(t, h.ServerParameters)

	cs, _ = look(t, r, Options{KeyLog: new(KeyLog)})
	require.Nil(t, cs[0].Handshake)
	require.Equal(t, PostQuantum, cs[0].Verdict.Result)
}

// Packets in any order, and duplicated, make the same report.
func TestShuffledAndTwice(t *testing.T) {
	r := record(t, setup{})
	want := one(t, r)
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := &recording{Packets: append(append([]captured(nil), r.Packets...), r.Packets...)}
		// The first packet determines the client's connection ID.
		random.Shuffle(len(s.Packets)-1, func(i, j int) { s.Packets[i+1], s.Packets[j+1] = s.Packets[j+1], s.Packets[i+1] })
		cs, _ := look(t, s, Options{})
		require.Len(t, cs, 1)
		require.Equal(t, want.Verdict, cs[0].Verdict, "seed %d: %v", seed, cs[0].Problems)
		require.Equal(t, want.Hello.Shares, cs[0].Hello.Shares)
	}
}

// An Inspector's memory is bounded, however long the capture and however many its connections.
func TestMemoryIsBounded(t *testing.T) {
	r := record(t, setup{})
	in := New(Options{MaxConnections: 1000, MaxBuffered: 4 << 20})
	first := r.Packets[0]
	d, ok := in.decoder.decode(first.At, 101, first.Data)
	require.True(t, ok)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 200_000 { // 250 MB of first halves of ClientHellos that are never completed
		src := d.src.Addr().As4()
		src[1], src[2], src[3] = byte(i>>16), byte(i>>8), byte(i)
		data := bytes.Clone(first.Data)
		copy(data[12:], src[:])
		in.Frame(capture.Frame{Time: first.At, Link: 101, Data: data, Length: len(data)})
		require.LessOrEqual(t, len(in.conns), 1000)
	}
	require.Less(t, int64(heap()-before), int64(32<<20))
	s := in.Finish()
	require.EqualValues(t, 200_000, s.Connections)
	require.EqualValues(t, 200_000, s.Unknown)
	require.EqualValues(t, 199_000, s.Evicted)
}

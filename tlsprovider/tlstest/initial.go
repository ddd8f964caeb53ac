package tlstest

import (
	"bytes"
	"embed"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

//go:embed testdata/*.hex
var vectors embed.FS

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	require.NoError(t, err)
	return b
}

func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := vectors.ReadFile("testdata/rfc9001-" + name + ".hex")
	require.NoError(t, err)
	return unhex(t, string(b))
}

// The QUIC versions that providers may support.
const (
	version1 = 0x00000001
	version2 = 0x6b3343cf
)

// rfcDCID is the client's destination connection ID in RFC 9001, appendix A.
var rfcDCID = []byte{0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08}

// clientInitial returns the packet of RFC 9001, A.2.
//
// "The HKDF-Expand-Label function defined in TLS 1.3 MUST be used for Initial packets even where the TLS versions
// offered do not include TLS 1.3."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.2-9
func clientInitial(t testing.TB) (header, payload, packet []byte) {
	header = unhex(t, "c300000001088394c8f03e5157080000449e00000002")
	payload = append(vector(t, "a2-payload"), make([]byte, 1162)...)[:1162]
	return header, payload, vector(t, "a2-packet")
}

func (su *Suite) initialVectors(t *testing.T) {
	cHeader, cPayload, cPacket := clientInitial(t)
	for _, tt := range []struct {
		name                    string
		side                    tlsprovider.Side
		header, payload, packet []byte
		pn                      uint64
	}{
		{"A.2", tlsprovider.Client, cHeader, cPayload, cPacket, 2},
		{"A.3", tlsprovider.Server, unhex(t, "c1000000010008f067a5502a4262b50040750001"), vector(t, "a3-payload"), vector(t, "a3-packet"), 1},
	} {
		for _, p := range []tlsprovider.Provider{su.Client, su.Server} {
			ours, err := p.InitialKeys(version1, rfcDCID, tt.side)
			require.NoError(t, err)
			theirs, err := p.InitialKeys(version1, rfcDCID, tt.side.Peer())
			require.NoError(t, err)
			slab := append(append(bytes.Clone(tt.header), tt.payload...), make([]byte, 16)...)
			require.NoError(t, ours.Sealer.Seal(slab, []tlsprovider.SealDesc{{HeaderLen: uint32(len(tt.header)),
				PayloadLen: uint32(len(tt.payload)), PacketNumber: tt.pn}}))
			require.Equal(t, tt.packet, slab, tt.name)
			d := []tlsprovider.OpenDesc{{Len: uint32(len(slab)), PNOffset: 18}}
			require.Equal(t, 1, theirs.Opener.Open(slab, d, -1))
			require.Equal(t, tlsprovider.OpenOK, d[0].Status)
			require.Equal(t, tt.pn, d[0].PacketNumber)
			require.Equal(t, tt.header, slab[:d[0].HeaderLen])
			require.Equal(t, tt.payload, slab[d[0].HeaderLen:][:d[0].PayloadLen])
			ours.Close()
			theirs.Close()
		}
	}
	for _, p := range []tlsprovider.Provider{su.Client, su.Server} {
		_, err := p.InitialKeys(0xff00001d, rfcDCID, tlsprovider.Client)
		require.Error(t, err)
		_, err = p.InitialKeys(version1, make([]byte, 21), tlsprovider.Client)
		require.Error(t, err)
	}
}

func (su *Suite) retryVectors(t *testing.T) {
	for _, p := range []tlsprovider.Provider{su.Client, su.Server} {
		tag, err := p.RetryTag(version1, rfcDCID, unhex(t, "ff000000010008f067a5502a4262b5746f6b656e"))
		require.NoError(t, err)
		require.Equal(t, unhex(t, "04a265ba2eff4d829058fb3f0f2496ba"), tag[:])
		if su.has(quicVersion2) { // RFC 9369, A.4
			tag, err = p.RetryTag(version2, rfcDCID, unhex(t, "cf6b3343cf0008f067a5502a4262b5746f6b656e"))
			require.NoError(t, err)
			require.Equal(t, unhex(t, "c8646ce8bfe33952d955543665dcc7b6"), tag[:])
		}
		_, err = p.RetryTag(0xff00001d, rfcDCID, nil)
		require.Error(t, err)
		_, err = p.RetryTag(version1, make([]byte, 21), nil)
		require.Error(t, err)
	}
}

// openInitial checks OpenInitial with the packet of the RFC and with invalid packets, and that nothing is left.
func (su *Suite) openInitial(t *testing.T) {
	header, payload, packet := clientInitial(t)
	p := su.Server
	pkt := bytes.Clone(packet)
	got, ok := p.OpenInitial(version1, rfcDCID, pkt, 18)
	require.True(t, ok)
	require.Equal(t, tlsprovider.InitialPacket{PacketNumber: 2, HeaderLen: 22, PayloadLen: 1162}, got)
	require.Equal(t, header, pkt[:22])
	require.Equal(t, payload, pkt[22:22+1162])

	refused := func(version uint32, dcid, pkt []byte, off int) {
		t.Helper()
		_, ok := p.OpenInitial(version, dcid, bytes.Clone(pkt), off)
		require.False(t, ok)
	}
	refused(0xff00001d, rfcDCID, packet, 18)
	refused(version2, rfcDCID, packet, 18)
	refused(version1, rfcDCID[:7], packet, 18)
	refused(version1, make([]byte, 21), packet, 18)
	refused(version1, rfcDCID, append([]byte{0x40}, packet[1:]...), 18)
	for n := range len(packet) {
		refused(version1, rfcDCID, packet[:n], 18)
	}
	for _, off := range []int{-1 << 40, -1, 0, 17, 19, 1179, 1180, 1184, 1199, 1200, 1 << 40} {
		refused(version1, rfcDCID, packet, off)
	}
	handles, held := su.Live()
	random := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		junk := make([]byte, random.IntN(1500))
		for i := range junk {
			junk[i] = byte(random.Uint32())
		}
		refused(version1, rfcDCID, junk, random.IntN(40))
	}
	after, heldAfter := su.Live()
	require.Equal(t, [2]int64{handles, held}, [2]int64{after, heldAfter})
}

// initialBothWays checks that each provider opens Initial packets that the other one has sealed, in both versions.
func (su *Suite) initialBothWays(t *testing.T) {
	for _, version := range su.versions() {
		for n := 0; n <= 20; n += 4 {
			dcid := bytes.Repeat([]byte{byte(n)}, n)
			ck, err := su.Client.InitialKeys(version, dcid, tlsprovider.Client)
			require.NoError(t, err)
			sk, err := su.Server.InitialKeys(version, dcid, tlsprovider.Server)
			require.NoError(t, err)
			RequireKeysFit(t, ck.Sealer, sk.Opener)
			RequireKeysFit(t, sk.Sealer, ck.Opener)
			require.Error(t, ck.Sealer.Update(), "there are no updates of Initial keys")
			ck.Close()
			sk.Close()
		}
	}
}

// tokensAndResets checks that a token opens only with the secret with which it was sealed.
func (su *Suite) tokensAndResets(t *testing.T) {
	p := su.Server
	secret, other := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	a, err := p.NewTokenKey(secret)
	require.NoError(t, err)
	defer a.Close()
	b, err := p.NewTokenKey(secret)
	require.NoError(t, err)
	defer b.Close()
	stranger, err := p.NewTokenKey(other)
	require.NoError(t, err)
	defer stranger.Close()
	plain, aad := []byte("an address and a time"), []byte("192.0.2.1")
	token, err := a.Seal([]byte("prefix"), plain, aad)
	require.NoError(t, err)
	require.Equal(t, "prefix", string(token[:6]))
	token = token[6:]
	again, err := a.Seal(nil, plain, aad)
	require.NoError(t, err)
	require.NotEqual(t, token, again, "nonces are random")
	got, ok := b.Open(nil, token, aad)
	require.True(t, ok, "another key from the same secret opens it")
	require.Equal(t, plain, got)
	_, ok = stranger.Open(nil, token, aad)
	require.False(t, ok)
	_, ok = a.Open(nil, token, []byte("192.0.2.2"))
	require.False(t, ok)
	for i := range token {
		bad := bytes.Clone(token)
		bad[i] ^= 1
		_, ok := a.Open(nil, bad, aad)
		require.False(t, ok, "byte %d", i)
		_, ok = a.Open(nil, token[:i], aad)
		require.False(t, ok, "%d bytes", i)
	}
	_, err = p.NewTokenKey(secret[:31])
	require.Error(t, err)

	ra, err := p.NewResetKey(secret)
	require.NoError(t, err)
	defer ra.Close()
	rb, err := p.NewResetKey(secret)
	require.NoError(t, err)
	defer rb.Close()
	rc, err := p.NewResetKey(other)
	require.NoError(t, err)
	defer rc.Close()
	seen := make(map[[16]byte]bool)
	for n := range 21 {
		id := bytes.Repeat([]byte{7}, n)
		require.Equal(t, ra.Token(id), rb.Token(id))
		require.NotEqual(t, ra.Token(id), rc.Token(id))
		seen[ra.Token(id)] = true
	}
	require.Len(t, seen, 21)
	_, err = p.NewResetKey(secret[:31])
	require.Error(t, err)

	var x, y [64]byte
	for _, r := range [][]byte{x[:], y[:]} {
		n, err := p.Rand().Read(r)
		require.NoError(t, err)
		require.Equal(t, 64, n)
	}
	require.NotEqual(t, x, y)
}

// chachaVector checks the packet of RFC 9001, A.5.
func chachaVector(t *testing.T, seal, open KeyMaker) {
	secret := unhex(t, "9ac312a7f877468ebe69422748ad00a1 5443f18203a07d6060f688f30f21632b")
	s, o := seal(t, version1, tlsprovider.ChaCha20Poly1305, secret), open(t, version1, tlsprovider.ChaCha20Poly1305, secret)
	defer s.Close()
	defer o.Close()
	slab := append(unhex(t, "4200bff4 01"), make([]byte, 16)...)
	require.NoError(t, s.Sealer.Seal(slab, []tlsprovider.SealDesc{{HeaderLen: 4, PayloadLen: 1, PacketNumber: 654360564}}))
	require.Equal(t, unhex(t, "4cfe4189655e5cd55c41f69080575d7999c25a5bfb"), slab)
	d := []tlsprovider.OpenDesc{{Len: 21, PNOffset: 1}}
	require.Equal(t, 1, o.Opener.Open(slab, d, 654360563))
	require.Equal(t, tlsprovider.OpenOK, d[0].Status)
	require.Equal(t, uint64(654360564), d[0].PacketNumber)
	require.Equal(t, byte(1), slab[4])
}

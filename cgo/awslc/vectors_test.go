package awslc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireLinked skips a test that needs the C library where there is none, unless the environment
// says that there has to be one.
func requireLinked(t testing.TB) {
	t.Helper()
	err := Linked()
	if errors.Is(err, ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") != "1" {
		t.Skip("not linked: run `make build` first")
	}
	require.NoError(t, err)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	require.NoError(t, err)
	return b
}

func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/rfc9001-" + name + ".hex")
	require.NoError(t, err)
	return unhex(t, string(b))
}

var rfcDCID = []byte{0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08}

// RFC 9001, A.2.
func clientInitial(t testing.TB) (header, payload, packet []byte) {
	header = unhex(t, "c300000001088394c8f03e5157080000449e00000002")
	payload = append(vector(t, "a2-payload"), make([]byte, 1162)...)[:1162]
	return header, payload, vector(t, "a2-packet")
}

func TestInitialVectors(t *testing.T) {
	requireLinked(t)
	cHeader, cPayload, cPacket := clientInitial(t)
	tests := []struct {
		name                    string
		fromServer              bool
		header, payload, packet []byte
		pn                      uint64
		pnOffset                uint32
	}{
		{"A.2 client", false, cHeader, cPayload, cPacket, 2, 18},
		{"A.3 server", true, unhex(t, "c1000000010008f067a5502a4262b50040750001"), vector(t, "a3-payload"), vector(t, "a3-packet"), 1, 18},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sealer, o, err := InitialKeys(1, rfcDCID, tt.fromServer)
			require.NoError(t, err)
			defer sealer.Close()
			o.Close()
			s, opener, err := InitialKeys(1, rfcDCID, !tt.fromServer)
			require.NoError(t, err)
			s.Close()
			defer opener.Close()

			slab := append(append(bytes.Clone(tt.header), tt.payload...), make([]byte, 16)...)
			require.NoError(t, sealer.Seal(slab, []SealDesc{{HeaderLen: uint32(len(tt.header)), PayloadLen: uint32(len(tt.payload)), PacketNumber: tt.pn}}))
			require.Equal(t, tt.packet, slab)

			train := []OpenDesc{{Len: uint32(len(slab)), PNOffset: tt.pnOffset}}
			require.Equal(t, 1, opener.Open(slab, train, -1))
			require.Equal(t, OpenOK, train[0].Status)
			require.Equal(t, tt.pn, train[0].PacketNumber)
			require.Equal(t, tt.header, slab[:train[0].HeaderLen])
			require.Equal(t, tt.payload, slab[train[0].HeaderLen:][:train[0].PayloadLen])
		})
	}
}

func TestOpenInitialVector(t *testing.T) {
	requireLinked(t)
	header, payload, packet := clientInitial(t)
	pkt := bytes.Clone(packet)
	got, ok := OpenInitial(1, rfcDCID, pkt, 18)
	require.True(t, ok)
	require.Equal(t, Initial{HeaderLen: 22, PayloadLen: 1162, PacketNumber: 2}, got)
	require.Equal(t, header, pkt[:22])
	require.Equal(t, payload, pkt[22:22+1162])

	for _, bad := range []struct {
		name    string
		version uint32
		dcid    []byte
		pkt     []byte
		off     int
	}{
		{"unknown version", 0xff00001d, rfcDCID, packet, 18},
		{"version 2", 0x6b3343cf, rfcDCID, packet, 18},
		{"another connection ID", 1, rfcDCID[:7], packet, 18},
		{"long connection ID", 1, make([]byte, 21), packet, 18},
		{"one byte less", 1, rfcDCID, packet[:1199], 18},
		{"no room for a sample", 1, rfcDCID, packet[:37], 18},
		{"offset outside", 1, rfcDCID, packet, 1200},
		{"negative offset", 1, rfcDCID, packet, -1},
		{"empty", 1, rfcDCID, nil, 18},
		{"short header", 1, rfcDCID, append([]byte{0x40}, packet[1:]...), 18},
	} {
		t.Run(bad.name, func(t *testing.T) {
			_, ok := OpenInitial(bad.version, bad.dcid, bytes.Clone(bad.pkt), bad.off)
			require.False(t, ok)
		})
	}
}

func TestRetryVector(t *testing.T) {
	requireLinked(t)
	tag, err := RetryTag(1, rfcDCID, unhex(t, "ff000000010008f067a5502a4262b5746f6b656e"))
	require.NoError(t, err)
	require.Equal(t, unhex(t, "04a265ba2eff4d829058fb3f0f2496ba"), tag[:])

	// RFC 9369, A.4.
	tag, err = RetryTag(0x6b3343cf, rfcDCID, unhex(t, "cf6b3343cf0008f067a5502a4262b5746f6b656e"))
	require.NoError(t, err)
	require.Equal(t, unhex(t, "c8646ce8bfe33952d955543665dcc7b6"), tag[:])

	_, err = RetryTag(0xff00001d, rfcDCID, nil)
	require.Error(t, err)
	_, err = RetryTag(1, make([]byte, 21), nil)
	require.Error(t, err)
	_, err = RetryTag(1, rfcDCID, make([]byte, 2049))
	require.Error(t, err)
}

// RFC 9001, A.5.
func TestChaCha20Vector(t *testing.T) {
	requireLinked(t)
	secret := unhex(t, "9ac312a7f877468ebe69422748ad00a1 5443f18203a07d6060f688f30f21632b")
	s, err := NewSealer(1, 0x1303, secret, true)
	require.NoError(t, err)
	defer s.Close()
	slab := append(unhex(t, "4200bff4 01"), make([]byte, 16)...)
	require.NoError(t, s.Seal(slab, []SealDesc{{HeaderLen: 4, PayloadLen: 1, PacketNumber: 654360564}}))
	require.Equal(t, unhex(t, "4cfe4189655e5cd55c41f69080575d7999c25a5bfb"), slab)

	o, err := NewOpener(1, 0x1303, secret, true)
	require.NoError(t, err)
	defer o.Close()
	train := []OpenDesc{{Len: 21, PNOffset: 1}}
	require.Equal(t, 1, o.Open(slab, train, 654360563))
	require.Equal(t, OpenOK, train[0].Status)
	require.EqualValues(t, 654360564, train[0].PacketNumber)
	require.Equal(t, byte(1), slab[4])
}

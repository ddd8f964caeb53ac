package sim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// digestFile has one line for each provider and block of seeds.
const digestFile = "testdata/digests.txt"

const (
	digestSeeds = 1000
	digestBlock = 100 // seeds for each line of digestFile
)

var (
	updateDigests = flag.Bool("update-digests", false, "write testdata/digests.txt from the current behavior")
	printDigests  = flag.String("print-digests", "", "write the digest of every world to this file, one a line")
)

// TestDigests compares the traffic of 1,000 random worlds for each provider with the traffic that
// testdata/digests.txt records. A change that is meant to leave the transport's behavior alone must
// leave the digests alone. A change of behavior on purpose updates them in the same commit:
//
//	go test ./quic/internal/sim -run '^TestDigests$' -update-digests
//
// The fake provider is deterministic, so its digests cover every byte. The real providers draw their
// own random numbers, so theirs cover the shape of the traffic: the time, direction and length of
// every datagram, in worlds that do not corrupt any.
//
// With -short the test runs the first block of each provider. To find the worlds that differ between
// two commits, run it at each with -print-digests=FILE and compare the files.
func TestDigests(t *testing.T) {
	providers := realProviders(t)
	providers["fake"] = nil // made for each seed
	var printed strings.Builder
	got := make(map[string]uint32)
	for _, name := range slices.Sorted(maps.Keys(providers)) {
		p := providers[name]
		for first := uint64(0); first < digestSeeds; first += digestBlock {
			if testing.Short() && !*updateDigests && first > 0 {
				break
			}
			sum := uint32(0)
			for seed := first; seed < first+digestBlock; seed++ {
				d := worldDigest(t, seed, name, p)
				fmt.Fprintf(&printed, "%s %d %08x\n", name, seed, d)
				sum = crc32.Update(sum, castagnoli, binary.LittleEndian.AppendUint32(nil, d))
			}
			got[fmt.Sprintf("%s %d-%d", name, first, first+digestBlock-1)] = sum
		}
	}
	if *printDigests != "" {
		require.NoError(t, os.WriteFile(*printDigests, []byte(printed.String()), 0o666))
	}
	if *updateDigests {
		require.Len(t, providers, 3, "every provider must be linked")
		writeDigests(t, got)
		return
	}
	want := readDigests(t)
	for key, sum := range got {
		require.Equal(t, want[key], fmt.Sprintf("%08x", sum), "worlds %s behave differently from %s", key, digestFile)
	}
}

func writeDigests(t *testing.T, got map[string]uint32) {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"fake", "native", "s2n"} {
		for first := 0; first < digestSeeds; first += digestBlock {
			key := fmt.Sprintf("%s %d-%d", name, first, first+digestBlock-1)
			fmt.Fprintf(&b, "%s %08x\n", key, got[key])
		}
	}
	require.NoError(t, os.WriteFile(digestFile, []byte(b.String()), 0o666))
}

// readDigests returns the recorded digests by provider and block.
func readDigests(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(digestFile)
	require.NoError(t, err)
	out := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		require.Positive(t, i, "%s: line %q", digestFile, line)
		out[line[:i]] = line[i+1:]
	}
	return out
}

// worldDigest runs one world until both sides have drained and returns its digest. For the fake provider,
// for which p is nil, the digest covers the bytes, and for a real provider the shape of the traffic.
func worldDigest(t *testing.T, seed uint64, name string, p tlsprovider.Provider) uint32 {
	t.Helper()
	shapeOnly := p != nil
	if !shapeOnly {
		p = fake.New(fake.Options{Seed: seed, HelloRetry: seed%7 == 0, ChainLen: 500 + int(seed%5)*3000})
	}
	o := randomOptions(seed, p)
	if seed%10 == 0 { // long enough for congestion control to matter
		o.Client.Send = append(o.Client.Send, Transfer{Size: 1 << 20})
	}
	if shapeOnly {
		cert, roots := fixedSizeCert()
		o.ClientTLS.RootCAs, o.ServerTLS.Certificates = roots, []tlsprovider.Certificate{cert}
		// A changed bit can turn a short header into a long one, whose fields, lengths among them, are
		// then bytes of ciphertext, which differ from run to run.
		o.Up.Corrupt, o.Down.Corrupt = 0, 0
	}
	pair, err := NewPair(o)
	require.NoError(t, err)
	shape := uint32(0)
	tap := func(direction byte) func(monotime.Time, []byte) {
		return func(now monotime.Time, b []byte) {
			s := binary.LittleEndian.AppendUint64([]byte{direction}, uint64(now))
			shape = crc32.Update(shape, castagnoli, binary.LittleEndian.AppendUint32(s, uint32(len(b))))
		}
	}
	pair.Client.Tap, pair.Server.Tap = tap(1), tap(2)
	c, err := pair.RunTransfers(20 * time.Minute)
	require.NoError(t, err, name)
	c.Close(pair.Now(), true, 7, "done")
	c.drive()
	require.NoError(t, pair.RunFor(5*time.Minute), name)
	if shapeOnly {
		return shape
	}
	return pair.Digest()
}

// fixedSizeCert is an RSA certificate. Unlike ECDSA's, its signatures all have the same length, so the
// length of a handshake is deterministic.
var fixedSizeCert = sync.OnceValues(func() (tlsprovider.Certificate, *tlsprovider.Roots) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	tmpl := certTemplate()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	roots := new(tlsprovider.Roots)
	roots.AddDER(der)
	return tlsprovider.Certificate{Chain: [][]byte{der}, KeyDER: keyDER}, roots
})

// certTemplate returns the template of a self-signed certificate for ServerName.
func certTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: ServerName}, DNSNames: []string{ServerName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

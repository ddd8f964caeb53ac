package s2n

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

func TestConfigErrors(t *testing.T) {
	tlstest.RefuseConfigs(t, newProvider(t), live(native.New()), append(tlstest.ConfigFaults(t), []tlstest.ConfigFault{
		tlstest.ClientFault("unknown policy", func(c *tlsprovider.Config) { c.Policy = "nonesuch" }, `unknown security policy "nonesuch": use one of s2n-tls`),
		tlstest.ClientFault("policy without TLS 1.3, client", func(c *tlsprovider.Config) { c.Policy = "20170210" }, "has no TLS 1.3"),
		tlstest.ServerFault("policy without TLS 1.3, server", func(c *tlsprovider.Config) { c.Policy = "20170210" }, "has no TLS 1.3"),
		tlstest.ClientFault("policy and groups", func(c *tlsprovider.Config) {
			c.Policy, c.Groups = "default_pq", tlsprovider.AllGroups()
		}, "leave Groups"),
		tlstest.ClientFault("suites", func(c *tlsprovider.Config) {
			c.CipherSuites = []tlsprovider.CipherSuite{tlsprovider.ChaCha20Poly1305}
		}, "CipherSuites without"),
		tlstest.ClientFault("classical policy with RequirePQ", func(c *tlsprovider.Config) {
			c.Policy, c.RequirePQ = classicalPolicy(), true
		}, "RequirePQ"),
		tlstest.ClientFault("early data", func(c *tlsprovider.Config) { c.EarlyData = true }, "s2n-tls cannot send or receive early data"),
		tlstest.ServerFault("early data", func(c *tlsprovider.Config) { c.EarlyData = true }, "s2n-tls cannot send or receive early data"),
		tlstest.ServerFault("ticket keys and client auth", func(c *tlsprovider.Config) {
			c.TicketKeys, c.ClientAuth, c.ClientCAs = [][]byte{make([]byte, 32)}, tlsprovider.RequireClientCert, tlstest.NewAuthority(t).Roots()
		}, "TicketKeys of a server with ClientAuth"),
		tlstest.ServerFault("junk for a key", func(c *tlsprovider.Config) { c.Certificates[0].KeyDER = []byte("junk") }, "not DER"),
		tlstest.ServerFault("signer of an unknown kind", func(c *tlsprovider.Config) {
			_, key, _ := ed25519.GenerateKey(rand.Reader)
			c.Certificates[0].KeyDER, c.Certificates[0].Signer = nil, key
		}, "ed25519"),
		tlstest.ServerFault("Ed25519 certificate", func(c *tlsprovider.Config) {
			_, key, _ := ed25519.GenerateKey(rand.Reader)
			c.Certificates[0] = tlstest.CertificateOf(t, key)
		}, "an Ed25519 key: use RSA"),
		tlstest.ServerFault("ECDSA on another curve, with the remedy", func(c *tlsprovider.Config) {
			key, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
			c.Certificates[0] = tlstest.CertificateOf(t, key)
		}, "an ECDSA on P-224 key: use RSA"),
		tlstest.ServerFault("timestamps", func(c *tlsprovider.Config) {
			c.Certificates[0].SignedCertificateTimestamps = [][]byte{{1}}
		}, "certificate 0: SignedCertificateTimestamps"),
		tlstest.ServerFault("signature schemes", func(c *tlsprovider.Config) {
			c.Certificates[0].SignatureSchemes = []tlsprovider.SignatureScheme{0x0403}
		}, "certificate 0: SignatureSchemes"),
		tlstest.ServerFault("key that does not sign", tlstest.KeyThatDoesNotSign(t), "does not accept the chain or its private key"),
	}...))
}

// The default ClientHello has a share of the hybrid group and one of the policy's first classical group, so that a
// classical server answers without a HelloRetryRequest, which would cost a round trip.
func TestDefaultShares(t *testing.T) {
	prov := newProvider(t)
	caps := prov.Capabilities()
	if _, ok := caps.Group(tlsprovider.X25519MLKEM768); !ok || caps.FIPS.Enabled {
		t.Skip("this variant of the library has other groups")
	}
	for _, g := range []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.P256} {
		client, server, _ := tlstest.Configs(t)
		server.Groups = []tlsprovider.Group{g}
		p := newPair(t, prov, client, server)
		cs, _ := p.MustRun(t)
		require.Equal(t, []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.P256}, p.Hello.KeyShares)
		require.Equal(t, g, cs.Group)
		require.False(t, cs.HelloRetried)
	}
}

func TestClassicalByName(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := tlstest.Configs(t)
	client.Policy = classicalPolicy()
	p := newPair(t, prov, client, server)
	cs, _ := p.MustRun(t)
	require.False(t, cs.Group.PostQuantum())
	for _, g := range p.Hello.Groups {
		require.False(t, g.PostQuantum())
	}
}

func TestSystemRoots(t *testing.T) {
	ca, other := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	dir := t.TempDir()
	block := func(a *tlstest.Authority) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.DER})
	}
	file := filepath.Join(dir, "bundle.pem")
	require.NoError(t, os.WriteFile(file, append(block(ca), block(other)...), 0o600))
	got, err := loadRoots([]string{"/nonexistent", file}, nil)
	require.NoError(t, err)
	require.Equal(t, [][]byte{ca.DER, other.DER}, got)
	got, err = loadRoots([]string{"/nonexistent"}, []string{"/nonexistent", dir, dir})
	require.NoError(t, err)
	require.Equal(t, [][]byte{ca.DER, other.DER}, got)
	_, err = loadRoots(nil, []string{t.TempDir()})
	require.ErrorContains(t, err, "SSL_CERT_FILE")
}

// TestSystemRootsMatchGo checks that the system's roots are those that crypto/x509 finds. Both read the
// environment once, so each case runs in a child process.
func TestSystemRootsMatchGo(t *testing.T) {
	if os.Getenv("PQQUIC_TEST_ROOTS") != "" {
		theirs, err := x509.SystemCertPool()
		require.NoError(t, err)
		ders, err := systemRoots()
		require.NoError(t, err)
		ours := x509.NewCertPool()
		for _, der := range ders {
			c, err := x509.ParseCertificate(der)
			require.NoError(t, err)
			ours.AddCert(c)
		}
		require.True(t, theirs.Equal(ours), "our %d roots differ", len(ders))
		return
	}
	file, dir, both, junk := t.TempDir()+"/one.pem", t.TempDir(), t.TempDir(), t.TempDir()+"/junk.pem"
	write := func(name string, block *pem.Block) {
		t.Helper()
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(block), 0o600))
	}
	root := func() *pem.Block {
		return &pem.Block{Type: "CERTIFICATE", Bytes: tlstest.NewAuthority(t).DER}
	}
	write(file, root())
	write(dir+"/two.pem", root())
	write(both+"/three.pem", root())
	// Blocks with headers, and blocks that are not certificates, are ignored.
	marked := root()
	marked.Headers = map[string]string{"Trust": "no"}
	write(both+"/four.pem", marked)
	write(both+"/five.pem", &pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0}})
	require.NoError(t, os.Symlink("three.pem", both+"/alias.0"))
	write(junk, &pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}})
	for _, env := range [][]string{
		{},
		{"SSL_CERT_FILE=" + file},
		{"SSL_CERT_DIR=" + dir},
		{"SSL_CERT_FILE=" + file, "SSL_CERT_DIR=" + dir + ":" + both},
		{"SSL_CERT_FILE=" + junk, "SSL_CERT_DIR=" + both},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSystemRootsMatchGo$")
		cmd.Env = append(append(os.Environ(), "PQQUIC_TEST_ROOTS=1"), env...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%q: %s", env, out)
	}
}

func TestTicketKeyRotation(t *testing.T) {
	prov := newProvider(t)
	needTickets(t, prov)
	client, server, _ := tlstest.Configs(t)
	now := time.Now()
	server.Time = func() time.Time { return now }
	ce, se := newEndpoints(t, prov, client, server)
	run := func() bool {
		cs, _ := tlstest.PairOf(t, ce, se, "server.test").MustRun(t)
		return cs.Resumed
	}
	require.False(t, run())
	first := se.(*endpoint).current
	now = now.Add(ticketKeyLife)
	require.True(t, run(), "the previous key opens")
	require.NotSame(t, first, se.(*endpoint).current)
	require.False(t, run())
	now = now.Add(ticketKeyLife)
	idle, err := se.NewSession(tlsprovider.SessionParams{})
	require.NoError(t, err)
	idle.Close()
	now = now.Add(ticketKeyLife)
	require.False(t, run(), "the key is discarded after two rotations")
}

// TestTicketKeysAreWiped checks that an endpoint overwrites its copies of ticket keys when it no longer needs them, and not
// the keys of a Config.
func TestTicketKeysAreWiped(t *testing.T) {
	prov := newProvider(t)
	needTickets(t, prov)
	_, server, _ := tlstest.Configs(t)
	now := time.Now()
	server.Time = func() time.Time { return now }
	se, err := prov.NewServer(server)
	require.NoError(t, err)
	e := se.(*endpoint)
	var before [][]byte // of configurations that were replaced
	current := func() [][]byte { return e.current.from.keys.secrets }
	zero := make([]byte, 32)
	for i := range 3 {
		before = append(before, current()...)
		now = now.Add(ticketKeyLife)
		e.rotate(now)
		require.Len(t, current(), 2, "rotation %d: the older key still opens", i)
		require.NotContains(t, current(), zero)
	}
	before = append(before, current()...)
	require.NoError(t, se.SetCertificates(server.Certificates))
	require.NotContains(t, current(), zero)
	last := current()
	se.Close()
	for _, k := range append(before, last...) {
		require.Equal(t, zero, k)
	}

	own := bytes.Repeat([]byte{7}, 32)
	server.TicketKeys = [][]byte{own}
	se, err = prov.NewServer(server)
	require.NoError(t, err)
	require.NoError(t, se.SetTicketKeys([][]byte{bytes.Repeat([]byte{8}, 32)}))
	se.Close()
	require.Equal(t, bytes.Repeat([]byte{7}, 32), own)
}

func TestVariants(t *testing.T) {
	fips := awslc.Info{FIPSMode: true, SelfTest: true, FIPSBuild: true, Crypto: "AWS-LC FIPS 3.1.0"}
	require.NoError(t, checkVariant("fips", fips))
	require.NoError(t, checkVariant("", awslc.Info{Crypto: "AWS-LC 5.12.0"}))
	require.ErrorContains(t, checkVariant("fips4", fips), "VARIANT=fips4")
	other := fips
	for _, version := range []string{"3.2.0", "3.6.1", "3.60.0", "4.2.0", ""} {
		other.Crypto = "AWS-LC FIPS " + version
		require.ErrorContains(t, checkVariant("fips", other), "requires AWS-LC FIPS 3.1.0, 3.6.0", version)
	}
	require.ErrorContains(t, checkVariant("fips", awslc.Info{Crypto: "AWS-LC 5.12.0"}), "VARIANT=fips")
	broken := fips
	broken.SelfTest = false
	require.ErrorContains(t, checkVariant("fips", broken), "self-test")
	old := awslc.Info{Crypto: "OpenSSL 3.0.19", S2N: "0.0.8", HistoricKEMs: "Kyber512 R3 AVX2"}
	require.NoError(t, checkVariant(historic, old))
	for _, variant := range []string{"", "fips", "openssl"} {
		require.ErrorContains(t, checkVariant(variant, old), "for measurement only", variant)
	}
	require.ErrorContains(t, checkVariant(historic, awslc.Info{Crypto: "OpenSSL 3.0.19"}), "VARIANT=historic")
}

// TestModulesAreDocumented checks that docs/fips.md names each version that a FIPS variant accepts.
func TestModulesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/fips.md")
	require.NoError(t, err)
	for variant, versions := range fipsModules {
		for _, v := range versions {
			require.Regexp(t, `\b`+regexp.QuoteMeta(v)+`\b`, string(page), variant)
		}
	}
}

func TestNotLinked(t *testing.T) {
	if p, err := New(AllowClassical()); err != nil {
		require.ErrorIs(t, err, ErrNotLinked)
		require.ErrorContains(t, err, "not linked")
		require.Nil(t, p)
	}
}

// A library without post-quantum key exchange works only with AllowClassical, and then also as the default.
func TestClassicalIsRefused(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := tlstest.Configs(t)
	_, err := New()
	if awslc.Variant == historic {
		t.Skip("the historic variant is refused for another reason, which TestHistoricIsRefused covers")
	}
	if awslc.Variant != "openssl" {
		require.NoError(t, err)
		cs, _ := newPair(t, prov, client, server).MustRun(t)
		require.True(t, cs.Group.PostQuantum())
		return
	}
	require.ErrorIs(t, err, ErrClassical)
	for _, part := range []string{"OpenSSL 3.", "only P-256,X25519,P-384,P-521", "quantum computer", "AllowClassical"} {
		require.ErrorContains(t, err, part)
	}
	cs, ss := newPair(t, prov, client, server).MustRun(t)
	require.False(t, cs.Group.PostQuantum())
	require.Equal(t, cs.Group, ss.Group)
	tlstest.RefuseConfigs(t, prov, live(native.New()), []tlstest.ConfigFault{
		tlstest.ClientFault("RequirePQ", func(c *tlsprovider.Config) { c.RequirePQ = true }, "RequirePQ is set, but policy default_pq offers only"),
		tlstest.ServerFault("a hybrid", func(c *tlsprovider.Config) {
			c.Groups = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.X25519}
		}, "s2n-tls over OpenSSL"),
	})
}

func TestCapabilities(t *testing.T) {
	prov := newProvider(t)
	c := prov.Capabilities()
	want := tlsprovider.AllGroups()
	if c.FIPS.Enabled {
		want = slices.DeleteFunc(want, func(g tlsprovider.Group) bool { return g == tlsprovider.X25519 })
	}
	switch awslc.Variant {
	case "openssl":
		want = slices.DeleteFunc(want, tlsprovider.Group.PostQuantum)
	case historic:
		want = policyBits
	}
	require.ElementsMatch(t, want, c.GroupIDs())
	for _, g := range c.Groups {
		require.Equal(t, g.ID.Info(), g)
	}
	require.Contains(t, c.CipherSuites, tlsprovider.AES128GCM)
	require.NotEmpty(t, c.SignatureSchemes)
	require.True(t, c.Policies)
	require.False(t, c.ZeroRTT)
	require.Equal(t, strings.HasPrefix(awslc.Variant, "fips"), c.FIPS.Enabled)
	openSSL := awslc.Variant == "openssl" || awslc.Variant == historic
	require.Equal(t, openSSL, strings.Contains(c.Library, ", OpenSSL 3."))
	require.Equal(t, !openSSL, strings.Contains(c.Library, ", AWS-LC"))
	require.Equal(t, awslc.Variant == historic, c.Warning != "")
	require.Equal(t, Name, prov.Name())
}

func TestDescriptorsAreTheSameBytes(t *testing.T) {
	for _, pair := range [][2]reflect.Type{
		{reflect.TypeFor[tlsprovider.SealDesc](), reflect.TypeFor[awslc.SealDesc]()},
		{reflect.TypeFor[tlsprovider.OpenDesc](), reflect.TypeFor[awslc.OpenDesc]()},
	} {
		require.Equal(t, pair[0].Size(), pair[1].Size())
		for i := range pair[0].NumField() {
			f := pair[0].Field(i)
			if f.Name == "_" {
				continue
			}
			g, ok := pair[1].FieldByName(f.Name)
			require.True(t, ok, f.Name)
			require.Equal(t, f.Offset, g.Offset, f.Name)
			require.Equal(t, f.Type.Size(), g.Type.Size(), f.Name)
		}
	}
	require.Equal(t, uint8(tlsprovider.OpenTooShort), awslc.OpenTooShort)
	require.Equal(t, uint8(tlsprovider.OpenNextPhase), awslc.OpenNextPhase)
	require.EqualValues(t, 24, unsafe.Sizeof(awslc.SealDesc{}))
	require.EqualValues(t, 32, unsafe.Sizeof(awslc.OpenDesc{}))
}

package scenario

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func generate(t testing.TB, o *Options, name string) *Scenario {
	t.Helper()
	all, err := Generate(o)
	require.NoError(t, err)
	for _, g := range all {
		if g.Name == name {
			return g.Scenario
		}
	}
	require.Fail(t, "no such scenario", name)
	return nil
}

// The reference examples of the format, with the ID, PEM and PKCS #12 replaced.
func TestReferenceExamples(t *testing.T) {
	for _, name := range []string{"request_response", "connect", "ping"} {
		o := Defaults()
		if name == "connect" {
			o.Connect.Connections = 2
		}
		s := generate(t, o, name)
		s.ID = "ID"
		for i := range s.Certificates {
			s.Certificates[i] = Certificate{PEM: "PEM"}
		}
		want, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		require.NoError(t, err)
		require.Equal(t, string(want), string(s.Marshal()), name)
	}
}

func TestReferenceIDs(t *testing.T) {
	rr := func(connections uint64) *Options {
		o := Defaults()
		o.RequestResponse.RequestSize, o.RequestResponse.ResponseSize = 1, 1
		o.RequestResponse.Connections = connections
		return o
	}
	two := Defaults()
	two.Connect.Connections = 2
	for _, c := range []struct {
		name string
		opt  *Options
		id   string
	}{
		{"request_response", Defaults(), "azgtD5DOm0VWdR0-cDNX4fZnU8iGSlSG--wagztbqSg"},
		{"request_response", rr(10000), "Tt8oUzBYO31zzkEEMNdgymawsj4fFr9XjFAldrPSg-w"},
		{"request_response", rr(2), "jPulDxLevMP5sXsMjW-Shqpudc1IdpDzFFn5-f9IAC8"},
		{"connect", Defaults(), "kUjUaNyBXyVbWEh4gh6CqCdGVXMLf29PJdDa7UTJGk4"},
		{"connect", two, "3rE0knlUNIW3IMYrYWlBvGzd9m6C-TC6v-tfmjJDvOs"},
		{"ping", Defaults(), "CPB66nPdswwoHl6ZwlRw4MaOjeDQ1kZbuhVycUfFkso"},
	} {
		require.Equal(t, c.id, generate(t, c.opt, c.name).ID)
	}
}

// every sets every option to a value that is not its default.
func every() *Options {
	o := Defaults()
	o.Ping.Connections, o.Ping.Streams, o.Ping.Size = 2, 3, ByteList{1500}
	r := &o.RequestResponse
	r.ResponseDelay = Time(20 * time.Millisecond)
	r.Count, r.Connections, r.Servers, r.Parallel = 3, 2, 2, true
	r.ClientSendRate, r.ClientReceiveRate = Rate{1000, time.Second}, Rate{2000, time.Second}
	r.ServerSendRate, r.ServerReceiveRate = Rate{3000, time.Second}, Rate{4000, 50 * time.Millisecond}
	r.ResponseUnblock = 500
	return o
}

func TestEveryOption(t *testing.T) {
	for _, g := range must(Generate(every())) {
		require.NoError(t, g.Validate(), g.Name)
		again, err := Parse(g.Marshal())
		require.NoError(t, err)
		require.Equal(t, string(g.Marshal()), string(again.Marshal()))
	}
	s := generate(t, every(), "request_response")
	require.Len(t, s.Servers, 2)
	require.Len(t, s.Clients[0].Scenario, 1, "one scope")
	require.Len(t, s.Clients[0].Scenario[0].Threads, 2)
	require.Len(t, s.Clients[0].Connections, 4, "connections have separate checkpoints")
	scope := s.Clients[0].Connections[1].Ops[0]
	require.Equal(t, Scope, scope.Kind)
	second := scope.Threads[1]
	require.Equal(t, Op{Kind: Park, ID: 3}, second[0], "parked until the previous stream has received enough")
	require.Equal(t, OpenBidirectionalStream, second[1].Kind)
	require.Equal(t, []Kind{SendRate, ReceiveRate, Profile, Profile}, kinds(second[2].Operations))
	response := second[2].Operations[3]
	require.Equal(t, []Op{receive(1, 500), {Kind: Unpark, ID: 4}, receive(1, 10e6-500)}, response.Operations)
	server := s.Servers[1].Connections[0].PeerStreams[2][0]
	require.Equal(t, []Kind{SendRate, ReceiveRate, Profile, Sleep, Profile}, kinds(server.Operations))

	ping := generate(t, every(), "ping")
	require.Equal(t, []string{"ping 1.50KB", "pong 1.50KB"}, ping.Traces)
	require.Len(t, ping.Clients[0].Connections, 1, "equal connections are merged")
	require.Len(t, ping.Clients[0].Scenario[0].Threads, 2)
	require.Len(t, ping.Clients[0].Connections[0].Ops[0].Threads, 3)
}

func kinds(ops []Op) (ks []Kind) {
	for _, op := range ops {
		ks = append(ks, op.Kind)
	}
	return ks
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestCertificates(t *testing.T) {
	for _, name := range CertificateTypes() {
		if strings.HasPrefix(name, "ml-dsa") {
			continue // TestCertificateTypes of cmd/netbench: crypto/tls of Go 1.26 does not know them
		}
		o := Defaults()
		o.Certificate = CertificateType(name)
		s := generate(t, o, "connect")
		pair, err := tls.X509KeyPair([]byte(s.Certificates[2].PEM), []byte(s.Certificates[1].PEM))
		require.NoError(t, err, name)
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM([]byte(s.Certificates[0].PEM)))
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: "0." + s.ID + ".net", Roots: roots,
				KeyUsages: []x509.ExtKeyUsage{usage}})
			require.NoError(t, err, name)
		}
		require.Equal(t, "PRIVATE KEY", must2(pem.Decode([]byte(s.Certificates[1].PEM))).Type)
	}
	_, err := CertificateType("dsa").key()
	require.ErrorContains(t, err, "ecdsa-p256")
}

func must2(b *pem.Block, _ []byte) *pem.Block { return b }

// No ID begins with a hyphen, because crypto/x509 rejects such names.
func TestIDs(t *testing.T) {
	var replaced int
	for n := range uint64(200) {
		o := Defaults()
		o.Connect.Connections = n
		b := makeConnect(o)
		s := must(b.finish(DefaultCertificate))
		require.NotEqual(t, byte('-'), s.ID[0])
		s.templates = templates(keyTypes[0])
		if s.computeID()[0] == '-' {
			replaced++
		}
	}
	require.NotZero(t, replaced, "the case did not occur")
}

func TestUnits(t *testing.T) {
	for in, want := range map[string]Bytes{"0": 0, "7": 7, "1KB": 1000, "1k": 1000, "4Ki": 4096, "2MiB": 2 << 20,
		"1Gb": 125_000_000, "9b": 2, "3T": 3e12, "1TiB": 1 << 40, "10mb": 1_250_000} {
		got, err := ParseBytes(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "K", "1.5K", "-1", "1X", "1KBB", "99999999999999999999", "99999999999T"} {
		_, err := ParseBytes(in)
		require.Error(t, err, in)
	}
	for in, want := range map[string]time.Duration{"15s": 15 * time.Second, "1s42ms": 1042 * time.Millisecond,
		"2min 3s": 123 * time.Second, "1h": time.Hour, "0s": 0, "5us": 5 * time.Microsecond, "1day": 24 * time.Hour} {
		got, err := ParseTime(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "5", "s", "1.5s", "3fortnights", "999999999999years"} {
		_, err := ParseTime(in)
		require.Error(t, err, in)
	}
	for in, want := range map[string]Rate{"NONE": {}, "none": {}, "10MBps": {10e6, time.Second},
		"8Mbps": {1e6, time.Second}, "42MB/50ms": {42e6, 50 * time.Millisecond}} {
		var r Rate
		require.NoError(t, r.Set(in), in)
		require.Equal(t, want, r, in)
		var again Rate
		require.NoError(t, again.Set(r.String()))
		require.Equal(t, r, again)
	}
	for _, in := range []string{"", "10MB", "10MB/", "0Bps", "1MB/5us", "10MB/5"} {
		require.Error(t, new(Rate).Set(in), in)
	}
	for b, want := range map[Bytes]string{0: "0B", 999: "999B", 1000: "1KB", 1500: "1.50KB", 1_000_000: "1MB", 10_240_000: "10.24MB"} {
		require.Equal(t, want, b.String())
	}
	var l ByteList
	require.NoError(t, l.Set("1KB,2KB"))
	require.True(t, slices.Equal(l, ByteList{1000, 2000}))
}

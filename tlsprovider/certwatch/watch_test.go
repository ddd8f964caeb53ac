package certwatch_test

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/certwatch"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// A host is a directory with files, and a server that is configured by them.
type host struct {
	*testing.T
	dir    string
	server tlsprovider.Provider
	w      *certwatch.Watcher

	mu      sync.Mutex
	reports []string // "" for nil
	set     []*tlsprovider.Config
}

func newHost(t *testing.T) *host { return &host{T: t, dir: t.TempDir(), server: native.New()} }

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(name string, b []byte) {
	h.Helper()
	require.NoError(h, os.WriteFile(h.path(name), b, 0o600))
}

func certPEM(c *testcert.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.X509.Raw})
}

func keyPEM(c *testcert.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: c.KeyDER})
}

// watch watches the files of a certificate.
func (h *host) watch(cfg certwatch.Config) {
	h.Helper()
	cfg.Base = &tlsprovider.Config{NextProtos: []string{"test"}}
	cfg.Report = func(err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if err == nil {
			h.reports = append(h.reports, "")
		} else {
			h.reports = append(h.reports, err.Error())
		}
	}
	var err error
	h.w, err = certwatch.Open(cfg)
	require.NoError(h, err)
	h.w.Watch(func(cfg *tlsprovider.Config) error {
		e, err := h.server.NewServer(cfg)
		if err != nil {
			return err
		}
		e.Close()
		h.mu.Lock()
		defer h.mu.Unlock()
		h.set = append(h.set, cfg)
		return nil
	})
	h.Cleanup(h.w.Close)
}

// looks lets the Watcher look at the files n times.
func (h *host) looks(n int) {
	time.Sleep(time.Duration(n) * certwatch.DefaultInterval)
	synctest.Wait()
}

// requireLeaf requires that the last configuration has a certificate, and the number of configurations since the first.
func (h *host) requireLeaf(c *testcert.Certificate, sets int) {
	h.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Equal(h, c.X509.Raw, h.w.TLS().Certificates[0].Chain[0])
	require.Len(h, h.set, sets)
	if sets > 0 {
		require.Same(h, h.w.TLS(), h.set[sets-1])
	}
}

// requireReports requires parts of the reports since the last call.
func (h *host) requireReports(want ...string) {
	h.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Len(h, h.reports, len(want), "%q", h.reports)
	for i, part := range want {
		if part == "" {
			require.Empty(h, h.reports[i])
		}
		require.Contains(h, h.reports[i], part)
	}
	h.reports = nil
}

// inBubble runs a test on the fake clock with the files of one certificate, and a second one to replace it.
func inBubble(t *testing.T, test func(h *host, one, two *testcert.Certificate)) {
	one, two := testcert.New("one.test"), testcert.New("two.test")
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.write("cert.pem", certPEM(one))
		h.write("key.pem", keyPEM(one))
		h.watch(certwatch.Config{Certificates: []certwatch.Certificate{{CertFile: h.path("cert.pem"), KeyFile: h.path("key.pem")}}})
		h.requireLeaf(one, 0)
		test(h, one, two)
	})
}

// Files are replaced one after the other. What does not belong together is not used, reported once, and tried again.
func TestFilesAreWritten(t *testing.T) {
	inBubble(t, func(h *host, one, two *testcert.Certificate) {
		h.looks(10)
		h.requireLeaf(one, 0)
		h.write("cert.pem", certPEM(two))
		h.looks(1)
		h.write("key.pem", keyPEM(two))
		h.looks(1)
		h.requireLeaf(one, 0) // the second look at the new key
		h.looks(1)
		h.requireLeaf(two, 1)
		h.requireReports("")
		h.looks(5)
		h.requireLeaf(two, 1)

		h.write("cert.pem", certPEM(one))
		h.looks(10)
		h.requireLeaf(two, 1)
		h.requireReports("does not belong to the certificate")
		half := keyPEM(one)
		h.write("key.pem", half[:len(half)/2])
		h.looks(10)
		h.requireReports("no PRIVATE KEY block")
		h.write("key.pem", half)
		h.looks(2)
		h.requireLeaf(one, 2)
		h.requireReports("")
	})
}

// A file that is written in pieces between two looks is used when it is complete, even if each piece is valid.
func TestHalfOfAChain(t *testing.T) {
	inBubble(t, func(h *host, one, two *testcert.Certificate) {
		h.write("cert.pem", certPEM(one))
		h.looks(1)
		h.write("cert.pem", append(certPEM(one), certPEM(two)...))
		h.looks(2)
		h.requireLeaf(one, 1)
		require.Len(h, h.w.TLS().Certificates[0].Chain, 2)
	})
}

// Kubernetes replaces all files at once: they are symbolic links to a symbolic link to a directory, which is renamed.
func TestSymbolicLinks(t *testing.T) {
	one, two := testcert.New("one.test"), testcert.New("two.test")
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		publish := func(dir string, c *testcert.Certificate) {
			require.NoError(t, os.Mkdir(h.path(dir), 0o700))
			h.write(filepath.Join(dir, "tls.crt"), certPEM(c))
			h.write(filepath.Join(dir, "tls.key"), keyPEM(c))
			require.NoError(t, os.Symlink(dir, h.path("..data_tmp")))
			require.NoError(t, os.Rename(h.path("..data_tmp"), h.path("..data")))
		}
		publish("..1", one)
		for _, name := range []string{"tls.crt", "tls.key"} {
			require.NoError(t, os.Symlink(filepath.Join("..data", name), h.path(name)))
		}
		h.watch(certwatch.Config{Certificates: []certwatch.Certificate{{CertFile: h.path("tls.crt"), KeyFile: h.path("tls.key")}}})
		publish("..2", two)
		require.NoError(t, os.RemoveAll(h.path("..1")))
		h.looks(2)
		h.requireLeaf(two, 1)
		h.requireReports("")
	})
}

// Files that are missing, are no files, are too long or cannot be read leave the configuration as it is.
func TestUnreadable(t *testing.T) {
	inBubble(t, func(h *host, one, two *testcert.Certificate) {
		require.NoError(h, os.Rename(h.path("key.pem"), h.path("elsewhere")))
		h.looks(1)
		h.requireReports() // it may be about to be replaced
		h.looks(5)
		h.requireReports("no such file")
		require.NoError(h, os.Mkdir(h.path("key.pem"), 0o700))
		h.looks(5)
		h.requireReports("is a directory")
		require.NoError(h, os.Remove(h.path("key.pem")))
		h.write("key.pem", make([]byte, 5<<20))
		h.looks(5)
		h.requireReports("more than")
		if os.Getuid() != 0 { // root may read everything
			h.write("key.pem", keyPEM(one))
			require.NoError(h, os.Chmod(h.path("key.pem"), 0))
			h.looks(5)
			h.requireReports("permission denied")
		}
		require.NoError(h, os.Remove(h.path("key.pem")))
		require.NoError(h, os.Rename(h.path("elsewhere"), h.path("key.pem")))
		h.looks(1)
		h.requireReports("")
		h.requireLeaf(one, 0)
	})
}

// Roots and ticket keys are replaced, too.
func TestRootsAndTicketKeys(t *testing.T) {
	one, two := testcert.New("one.test"), testcert.New("two.test")
	keys := func(firsts ...byte) []byte {
		var b strings.Builder
		b.WriteString("# the newest first\n\n")
		for _, first := range firsts {
			fmt.Fprintf(&b, "%s\n", hex.EncodeToString(append([]byte{first}, make([]byte, 31)...)))
		}
		return []byte(b.String())
	}
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.write("both.pem", append(certPEM(one), keyPEM(one)...))
		h.write("ca.pem", certPEM(one))
		h.write("tickets", keys(1))
		cert := certwatch.Certificate{CertFile: h.path("both.pem"), KeyFile: h.path("both.pem")}
		h.watch(certwatch.Config{
			Certificates: []certwatch.Certificate{cert, cert}, RootCAsFile: h.path("ca.pem"),
			ClientCAsFile: h.path("ca.pem"), TicketKeysFile: h.path("tickets"),
		})
		require.Len(t, h.w.TLS().Certificates, 2)
		h.write("ca.pem", append(certPEM(one), certPEM(two)...))
		h.write("tickets", keys(2, 1))
		h.looks(2)
		require.Equal(t, [][]byte{one.X509.Raw, two.X509.Raw}, h.w.TLS().RootCAs.DER())
		require.Equal(t, [][]byte{one.X509.Raw, two.X509.Raw}, h.w.TLS().ClientCAs.DER())
		require.Equal(t, []byte{2, 1}, []byte{h.w.TLS().TicketKeys[0][0], h.w.TLS().TicketKeys[1][0]})
		require.Equal(t, []string{"test"}, h.w.TLS().NextProtos)
		h.requireReports("")
		for _, tt := range []struct{ file, want string }{
			{"# none\n", "there is no ticket key"}, {string(keys(1)) + "00ff\n", "line 4 has 4 characters"},
			{strings.Repeat("g", 64), "line 1 is not hexadecimal"},
		} {
			h.write("tickets", []byte(tt.file))
			h.looks(3)
			h.requireReports(tt.want)
		}
		require.Len(t, h.w.TLS().TicketKeys, 2)
	})
}

// An OCSP response is replaced when it is renewed. What is no response, or has no statement about a certificate, is not used.
func TestOCSPResponse(t *testing.T) {
	authority := testcert.New("authority")
	leaf := authority.Issue(testcert.New().Key, "one.test")
	now := time.Now()
	response := func(validity time.Duration) []byte {
		der, err := ocsp.CreateResponse(authority.X509, authority.X509, ocsp.Response{
			Status: ocsp.Good, SerialNumber: leaf.X509.SerialNumber, ThisUpdate: now, NextUpdate: now.Add(validity),
		}, authority.Key)
		require.NoError(t, err)
		return der
	}
	first, second := response(time.Hour), response(2*time.Hour)
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.write("cert.pem", certPEM(leaf))
		h.write("key.pem", keyPEM(leaf))
		h.write("ocsp", first)
		h.watch(certwatch.Config{Certificates: []certwatch.Certificate{
			{CertFile: h.path("cert.pem"), KeyFile: h.path("key.pem"), OCSPFile: h.path("ocsp")},
			{CertFile: h.path("cert.pem"), Signer: leaf.Key},
		}})
		require.Equal(t, first, h.w.TLS().Certificates[0].OCSPStaple)
		require.Nil(t, h.w.TLS().Certificates[1].OCSPStaple)
		old := h.w.TLS()
		h.write("ocsp", second)
		h.looks(2)
		h.requireLeaf(leaf, 1)
		h.requireReports("")
		require.Equal(t, second, h.w.TLS().Certificates[0].OCSPStaple)
		require.Equal(t, first, old.Certificates[0].OCSPStaple, "the old configuration is still in use")
		for _, tt := range []struct {
			file []byte
			want string
		}{
			{nil, "no OCSP response"}, {first[:len(first)/2], "no OCSP response"}, {append(slices.Clip(first), 0), "1 bytes follow"},
			{ocsp.TryLaterErrorResponse, "had the error 3"},
		} {
			h.write("ocsp", tt.file)
			h.looks(3)
			h.requireReports(tt.want)
		}
		require.NoError(t, os.Remove(h.path("ocsp")))
		h.looks(3)
		h.requireReports("no such file")
		require.Equal(t, second, h.w.TLS().Certificates[0].OCSPStaple)
	})
}

// Reload looks at once. Close and an endpoint that is closed end the looks.
func TestReloadAndClose(t *testing.T) {
	inBubble(t, func(h *host, one, two *testcert.Certificate) {
		require.NoError(h, h.w.Reload())
		h.requireLeaf(one, 0)
		h.write("cert.pem", certPEM(two))
		require.ErrorContains(h, h.w.Reload(), "does not belong")
		h.write("key.pem", keyPEM(two))
		require.NoError(h, h.w.Reload())
		h.requireLeaf(two, 1)
		h.looks(3)
		h.requireLeaf(two, 1)
		h.requireReports()
		h.w.Close()
		h.w.Close()
		require.Error(h, h.w.Reload())
		h.write("key.pem", keyPEM(one))
		h.looks(5)
		h.requireReports()

		var calls atomic.Int32
		w, err := certwatch.Open(certwatch.Config{RootCAsFile: h.path("cert.pem"), Interval: time.Second})
		require.NoError(h, err)
		w.Watch(func(*tlsprovider.Config) error { calls.Add(1); return fmt.Errorf("endpoint: %w", net.ErrClosed) })
		require.Panics(h, func() { w.Watch(nil) })
		h.write("cert.pem", certPEM(one))
		time.Sleep(time.Minute)
		require.Equal(h, int32(1), calls.Load())
		w.Close()
	})
}

// A certificate whose key is elsewhere is replaced by one with the same Signer.
func TestSigner(t *testing.T) {
	one := testcert.New("one.test")
	renewed := testcert.ForKey(one.Key, "one.test")
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.write("cert.pem", certPEM(one))
		h.watch(certwatch.Config{Certificates: []certwatch.Certificate{{CertFile: h.path("cert.pem"), Signer: one.Key}}})
		h.write("cert.pem", certPEM(renewed))
		h.looks(2)
		h.requireLeaf(renewed, 1)
		require.Equal(t, one.Key, h.w.TLS().Certificates[0].Signer)
	})
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	cert, key, err := testcert.New("one.test").Write(dir)
	require.NoError(t, err)
	for _, tt := range []struct {
		cfg  certwatch.Config
		want string
	}{
		{certwatch.Config{Certificates: []certwatch.Certificate{{CertFile: cert}}}, "Certificates[0] needs"},
		{certwatch.Config{Certificates: []certwatch.Certificate{{KeyFile: key}}}, "Certificates[0] needs"},
		{certwatch.Config{Certificates: []certwatch.Certificate{{CertFile: cert, KeyFile: cert}}}, "no PRIVATE KEY block"},
		{certwatch.Config{RootCAsFile: filepath.Join(dir, "none")}, "no such file"},
		{certwatch.Config{ClientCAsFile: key}, "no CERTIFICATE block"},
		{certwatch.Config{Interval: -1}, "Interval is negative"},
	} {
		_, err := certwatch.Open(tt.cfg)
		require.ErrorContains(t, err, tt.want)
	}
	w, err := certwatch.Open(certwatch.Config{Certificates: []certwatch.Certificate{{CertFile: cert, KeyFile: key}}})
	require.NoError(t, err)
	_, err = x509.ParseCertificate(w.TLS().Certificates[0].Chain[0])
	require.NoError(t, err)
	w.Close()
	w.Watch(func(*tlsprovider.Config) error { return nil })
}

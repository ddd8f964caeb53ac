// Package demo contains what the example programs share: flags, the choice of a provider, certificates for the
// demonstration, and printing the outcome.
package demo

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/pqquic/pqquic"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Flags are the flags of the programs.
type Flags struct {
	Program    string
	Provider   string
	Groups     string
	Policy     string
	ALPN       string
	Cert, Key  string
	CA         string
	ServerName string
	RequirePQ  bool
	// RequirePQAuth is tlsprovider.Config.RequirePQAuth.
	RequirePQAuth bool
	// AllowClassical accepts libraries without post-quantum key exchange.
	AllowClassical bool
	JSON           bool
	Version        bool
	Licenses       bool

	keyLog *keyLog
	choice string // of the provider, in words
	// warning is what the provider says about its own build.
	warning string
}

// Register defines the flags.
func (f *Flags) Register(fs *flag.FlagSet) {
	f.RegisterTLS(fs)
	fs.StringVar(&f.Policy, "policy", "", "s2n-tls security `policy` by name, instead of --groups")
	fs.StringVar(&f.ALPN, "alpn", "pq-example", "application `protocol`")
	fs.StringVar(&f.CA, "ca", "", "trusted roots, a PEM `file`; with it, a server asks clients for a certificate")
	fs.StringVar(&f.ServerName, "server-name", "", "`name` that the client requests and verifies; a demo certificate is valid for it and for localhost")
	fs.BoolVar(&f.JSON, "json", false, "print the outcome as one JSON object on stdout")
}

// RegisterTLS defines the flags that a server with a given application protocol has, too.
func (f *Flags) RegisterTLS(fs *flag.FlagSet) {
	fs.StringVar(&f.Provider, "provider", "", "TLS `provider`: s2n or native (default: s2n when it is linked, else native)")
	fs.StringVar(&f.Groups, "groups", "", "key exchange `groups`, comma-separated: "+tlsprovider.GroupList(tlsprovider.AllGroups()))
	fs.StringVar(&f.Cert, "cert", "", "certificate chain, a PEM `file`")
	fs.StringVar(&f.Key, "key", "", "private key, a PEM `file`")
	fs.BoolVar(&f.RequirePQ, "require-pq", false, "fail unless the key exchange is post-quantum")
	fs.BoolVar(&f.RequirePQAuth, "require-pq-auth", false, "fail unless the peer's certificates are post-quantum (ML-DSA); a server needs --ca")
	fs.BoolVar(&f.AllowClassical, "allow-classical", false, "use an s2n-tls without post-quantum key exchange (VARIANT=openssl or historic)")
	fs.BoolVar(&f.Version, "version", false, "print versions and exit")
	fs.BoolVar(&f.Licenses, "licenses", false, "print the licences of this program's parts and exit")
}

// Parse parses the command line and handles --version and --licenses. If exit is true, the program must
// exit with code.
func (f *Flags) Parse(fs *flag.FlagSet, args []string, stdout, stderr io.Writer) (code int, exit bool) {
	f.Program = fs.Name()
	fs.SetOutput(io.Discard)
	switch err := fs.Parse(args); {
	case err == flag.ErrHelp:
		fs.SetOutput(stdout)
		fmt.Fprintf(stdout, "usage: %s [flags]\n", f.Program)
		fs.PrintDefaults()
		return 0, true
	case err != nil:
		fmt.Fprintf(stderr, "%s: %v; see --help\n", f.Program, err)
		return 2, true
	case fs.NArg() > 0:
		fmt.Fprintf(stderr, "%s: unexpected argument %q; see --help\n", f.Program, fs.Arg(0))
		return 2, true
	case f.Version:
		f.printVersion(stdout)
		return 0, true
	case f.Licenses:
		fmt.Fprint(stdout, pqquic.Licenses())
		return 0, true
	}
	return 0, false
}

func (f *Flags) printVersion(w io.Writer) {
	version := "(devel)"
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		version = bi.Main.Version
	}
	fmt.Fprintf(w, "%s %s, %s %s/%s\n", f.Program, version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, name := range []string{"s2n", "native"} {
		p, err := newProvider(name, true)
		if err != nil {
			fmt.Fprintf(w, "%-6s  %v\n", name, err)
			continue
		}
		c := p.Capabilities()
		groups := tlsprovider.GroupList(c.GroupIDs())
		if !slices.ContainsFunc(c.GroupIDs(), tlsprovider.Group.PostQuantum) {
			groups += "; NO POST-QUANTUM KEY EXCHANGE"
		}
		fmt.Fprintf(w, "%-6s  %s; %s; %s\n", name, c.Library, FIPSText(c.FIPS), groups)
		if c.Warning != "" {
			fmt.Fprintf(w, "%-6s  %s\n", name, c.Warning)
		}
	}
}

// FIPSText describes a module's state in words.
func FIPSText(s tlsprovider.FIPS) string {
	if !s.Enabled {
		return "FIPS mode off"
	}
	test := "self-test NOT passed"
	if s.SelfTest {
		test = "self-test passed"
	}
	return strings.TrimSpace(fmt.Sprintf("FIPS mode on, %s %s, %s", s.Module, s.Version, test))
}

// Config returns the configuration for quic.Dial or quic.Listen.
func (f *Flags) Config(stderr io.Writer) (*quic.Config, error) {
	p, err := f.pickProvider()
	if err != nil {
		return nil, err
	}
	f.warning = p.Capabilities().Warning
	t := &tlsprovider.Config{Policy: f.Policy, RequirePQ: f.RequirePQ, RequirePQAuth: f.RequirePQAuth, NextProtos: []string{f.ALPN}}
	if f.Groups != "" {
		if t.Groups, err = tlsprovider.ParseGroups(f.Groups); err != nil {
			return nil, err
		}
	}
	if name := os.Getenv("SSLKEYLOGFILE"); name != "" {
		if f.keyLog, err = openKeyLog(f.Program, name, stderr); err != nil {
			return nil, err
		}
		t.KeyLogWriter = f.keyLog
	}
	return &quic.Config{Provider: p, TLS: t}, nil
}

// Close closes the files that the flags opened.
func (f *Flags) Close() {
	if f.keyLog != nil {
		f.keyLog.file.Close()
	}
}

// LoadCertificate loads the certificate and key that --cert and --key name.
func (f *Flags) LoadCertificate() (tlsprovider.Certificate, error) {
	if f.Cert == "" || f.Key == "" {
		return tlsprovider.Certificate{}, fmt.Errorf("--cert and --key must be given together, or neither for a demo certificate")
	}
	c, err := tlsprovider.LoadCertificate(f.Cert, f.Key)
	if err != nil {
		return c, fmt.Errorf("--cert, --key: %w", err)
	}
	// The provider reports this too, but it does not know the file names. A pair that crypto/tls cannot
	// read is left to the provider, which may support it.
	if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil && strings.Contains(err.Error(), "does not match") {
		return c, fmt.Errorf("the private key in --key %s does not belong to the certificate in --cert %s: use the key that the certificate was made for", f.Key, f.Cert)
	}
	return c, nil
}

// LoadRoots loads roots from a PEM file.
func LoadRoots(file string) (*tlsprovider.Roots, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	roots, err := tlsprovider.RootsFromPEM(pem)
	if err != nil {
		return nil, fmt.Errorf("--ca: %s: %w", file, err)
	}
	return roots, nil
}

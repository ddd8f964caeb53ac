package s2n

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/approved"
)

// ErrNotLinked means that the program was built without the C library. Its text lists the remedies.
var ErrNotLinked = awslc.ErrNotLinked

// Name is the provider's name in flags and in [tlsprovider.State].
const Name = "s2n"

type provider struct {
	info   awslc.Info
	fips   bool            // the C library is a FIPS variant, and its module is in its approved mode
	module approved.Module // what the module has; only if fips
	caps   func() tlsprovider.Capabilities

	allowClassical bool
}

// ErrClassical means that the linked libraries have no post-quantum key exchange. See [AllowClassical].
var ErrClassical = errors.New("no post-quantum key exchange")

// An Option changes what [New] accepts.
type Option func(*provider)

// AllowClassical makes [New] accept libraries without post-quantum key exchange, such as s2n-tls with OpenSSL.
// Connections are then classical by default: an attacker who records them today can decrypt them with a quantum
// computer later. tlsprovider.Config.RequirePQ still refuses them, and [tlsprovider.State] has the group of
// each connection. With other libraries the option has no effect.
func AllowClassical() Option { return func(p *provider) { p.allowClassical = true } }

// New returns the provider, which is safe for concurrent use. It returns [ErrNotLinked] if the C library is not
// linked, [ErrClassical] if it has no post-quantum key exchange, and other errors if the versions of libraries and
// headers differ or, with the tags pqquic_fips, pqquic_fips4, pqquic_openssl and pqquic_historic, if the linked
// libraries are not those that the tag names.
func New(options ...Option) (tlsprovider.Provider, error) {
	info, err := awslc.Library()
	if err != nil {
		return nil, err
	}
	if err := checkVariant(awslc.Variant, info); err != nil {
		return nil, err
	}
	p := &provider{info: info}
	p.fips, p.module = moduleOf(info)
	p.caps = sync.OnceValue(p.capabilities)
	for _, option := range options {
		option(p)
	}
	if err := p.checkDefault(); err != nil {
		return nil, err
	}
	return p, nil
}

// historic is the variant with the s2n-tls and the key exchanges of 2022.
const historic = "historic"

const historicWarning = "FOR MEASUREMENT ONLY: this is the variant historic, with an s2n-tls of 2022 and the key exchanges " +
	"of that year. SIKE is broken, and these versions of Kyber and BIKE were withdrawn: no connection is post-quantum, and none is safe"

// moduleOf returns whether the program is a FIPS variant, and its module. A FIPS build of AWS-LC in the default
// variant (AWS_LC_DIR) does not count: our C uses its plain AEADs there and does not run the self-test.
func moduleOf(info awslc.Info) (bool, approved.Module) {
	if !info.FIPSBuild || !info.FIPSMode || !info.SelfTest {
		return false, approved.Module{}
	}
	if strings.HasPrefix(moduleVersion(info.Crypto), "3.") {
		return true, approved.AWSLCFIPS3
	}
	return true, approved.AWSLCFIPS4
}

// checkDefault returns ErrClassical if the default policy has no post-quantum group and AllowClassical is not set.
func (p *provider) checkDefault() error {
	o, err := probe(p.defaultPolicy())
	if err != nil {
		return fmt.Errorf("s2n: %w", err)
	}
	if p.allowClassical || slices.ContainsFunc(o.Groups, tlsprovider.Group.PostQuantum) {
		return nil
	}
	if awslc.Variant == historic {
		return fmt.Errorf("s2n: s2n-tls %s has %w in use today. %s. Use the default variant (make build, no tag), or pass s2n.AllowClassical()",
			p.info.S2N, ErrClassical, historicWarning)
	}
	return fmt.Errorf("s2n: s2n-tls %s over %s has %w: its default policy offers only %s, so an attacker who records a "+
		"connection today can decrypt it with a quantum computer later. Use the default variant (make build, no tag), or allow "+
		"classical connections with s2n.New(s2n.AllowClassical())", p.info.S2N, p.info.Crypto, ErrClassical, tlsprovider.GroupList(o.Groups))
}

// fipsModules are the versions of AWS-LC's FIPS module that each FIPS variant accepts. docs/fips.md says of each which
// certificate it belongs to.
var fipsModules = map[string][]string{"fips": {"3.1.0", "3.6.0"}, "fips4": {"4.2.0"}}

// checkVariant returns an error if the linked module is not the one of the build tag.
func checkVariant(variant string, info awslc.Info) error {
	switch {
	case variant == historic && info.HistoricKEMs == "":
		return fmt.Errorf("s2n: the tag pqquic_historic requires the s2n-tls of 2022, but s2n-tls %q is linked: run `make build VARIANT=historic`", info.S2N)
	case variant != historic && info.HistoricKEMs != "":
		return fmt.Errorf("s2n: s2n-tls %s of the variant historic is linked, which is for measurement only: link another variant, or use the tag pqquic_historic", info.S2N)
	case variant == "", variant == historic:
		return nil
	case variant == "openssl":
		if !strings.HasPrefix(info.Crypto, "OpenSSL ") {
			return fmt.Errorf("s2n: the tag pqquic_openssl asks for OpenSSL, but %q is linked: run `make build VARIANT=openssl`", info.Crypto)
		}
		return nil
	case !info.FIPSBuild, !info.FIPSMode:
		return fmt.Errorf("s2n: the tag pqquic_%s requires AWS-LC's FIPS module, but %q is linked: run `make build VARIANT=%s`, "+
			"or in another module use the file env-%s of `make install`",
			variant, info.Crypto, variant, variant)
	case !info.SelfTest:
		return fmt.Errorf("s2n: the self-test of %q failed", info.Crypto)
	case !slices.Contains(fipsModules[variant], moduleVersion(info.Crypto)):
		return fmt.Errorf("s2n: the tag pqquic_%s requires AWS-LC FIPS %s, whose certificates docs/fips.md names, but %q is linked: "+
			"run `make build VARIANT=%s`, or in another module use the file env-%s of `make install`",
			variant, strings.Join(fipsModules[variant], ", "), info.Crypto, variant, variant)
	}
	return nil
}

// moduleVersion returns the version in a name such as "AWS-LC FIPS 3.0.0".
func moduleVersion(name string) string {
	return name[strings.LastIndexByte(name, ' ')+1:]
}

func (p *provider) Name() string { return Name }

func (p *provider) Capabilities() tlsprovider.Capabilities { return p.caps() }

func (p *provider) capabilities() tlsprovider.Capabilities {
	c := tlsprovider.Capabilities{
		Library:  "s2n-tls " + p.info.S2N + ", " + p.info.Crypto,
		Policies: true,
		FIPS: tlsprovider.FIPS{
			Enabled:  p.fips,
			SelfTest: p.info.SelfTest,
			Version:  p.info.Crypto,
		},
		Tickets: true, SavedTickets: true, Exporters: true, Signers: true, ClientCertificates: true, CertificatesByName: true,
		DecisionEndpoint: true, KeyLog: true, Version2: true, HandshakeDetails: true, VerifyPeer: true, CertificatePurposes: true,
		SpecificAlerts: true, OCSPStaples: true,
	}
	if awslc.Variant == historic {
		c.Library += " (" + p.info.HistoricKEMs + ")"
		c.Warning = historicWarning
		c.Tickets, c.SavedTickets, c.Exporters, c.VerifyPeer, c.CertificatePurposes, c.SpecificAlerts = false, false, false, false, false, false
		c.OCSPStaples = false
	}
	if p.fips {
		c.FIPS.Module = "AWS-LC Cryptographic Module"
	}
	def, _ := probe(p.defaultPolicy()) // New has checked the error
	c.CipherSuites = def.CipherSuites
	c.SignatureSchemes = p.supported(def.SignatureSchemes)
	c.Groups = infoOf(def.Groups)
	// An s2n-tls without our policies supports only the groups of its default policy.
	var named []tlsprovider.Group
	for _, g := range tlsprovider.AllGroups() {
		if _, err := p.choosePolicy(&tlsprovider.Config{Groups: []tlsprovider.Group{g}}); err == nil {
			named = append(named, g)
		}
	}
	if named != nil {
		// What the default offers comes first, in its order.
		order := append(def.Groups[:len(def.Groups):len(def.Groups)], named...)
		slices.SortStableFunc(named, func(a, b tlsprovider.Group) int {
			return slices.Index(order, a) - slices.Index(order, b)
		})
		c.Groups = infoOf(named)
	}
	return c
}

func infoOf(groups []tlsprovider.Group) []tlsprovider.GroupInfo {
	out := make([]tlsprovider.GroupInfo, len(groups))
	for i, g := range groups {
		out[i] = g.Info()
	}
	return out
}

// fipsMLDSA is the name of default_fips with ML-DSA, which the C build adds where the module has it.
const fipsMLDSA = "pqquic_fips_mldsa"

func (p *provider) defaultPolicy() string {
	switch {
	case p.fips:
		if _, err := probe(fipsMLDSA); err == nil && p.info.MLDSA {
			return fipsMLDSA
		}
		return "default_fips"
	case awslc.Variant == historic:
		return "PQ-TLS-1-0-2021-05-26" // that of AWS's study
	}
	return "default_pq"
}

func (p *provider) OpenInitial(version uint32, dcid, pkt []byte, pnOffset int) (tlsprovider.InitialPacket, bool) {
	i, ok := awslc.OpenInitial(version, dcid, pkt, pnOffset)
	return tlsprovider.InitialPacket{PacketNumber: i.PacketNumber, HeaderLen: i.HeaderLen, PayloadLen: i.PayloadLen}, ok
}

func (p *provider) InitialKeys(version uint32, dcid []byte, side tlsprovider.Side) (tlsprovider.Keys, error) {
	s, o, err := awslc.InitialKeys(version, dcid, side == tlsprovider.Server)
	if err != nil {
		return tlsprovider.Keys{}, err
	}
	return keysOf(s, o), nil
}

func (p *provider) RetryTag(version uint32, originalDCID, retryWithoutTag []byte) ([16]byte, error) {
	return awslc.RetryTag(version, originalDCID, retryWithoutTag)
}

func (p *provider) NewTokenKey(secret []byte) (tlsprovider.TokenKey, error) {
	k, err := awslc.NewTokenKey(secret)
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (p *provider) NewResetKey(secret []byte) (tlsprovider.ResetKey, error) {
	k, err := awslc.NewResetKey(secret)
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (p *provider) Rand() io.Reader { return awslc.Rand }

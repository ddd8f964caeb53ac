package s2n

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
)

// ErrNotLinked means that this program was built without the C library; its text says what to run.
var ErrNotLinked = awslc.ErrNotLinked

// Name is the provider's name in flags and in [tlsprovider.State].
const Name = "s2n"

type provider struct {
	info awslc.Info
	caps func() tlsprovider.Capabilities
}

// New returns the provider, safe for concurrent use. Its errors are [ErrNotLinked], libraries that
// do not fit what was compiled against them, and, under the tags pqquic_fips and pqquic_fips4, a
// module other than the one that the tag names.
func New() (tlsprovider.Provider, error) {
	info, err := awslc.Library()
	if err != nil {
		return nil, err
	}
	if err := checkVariant(awslc.Variant, info); err != nil {
		return nil, err
	}
	p := &provider{info: info}
	p.caps = sync.OnceValue(p.capabilities)
	return p, nil
}

// checkVariant holds what is linked against the build tag that asked for it.
func checkVariant(variant string, info awslc.Info) error {
	major := map[string]string{"fips": "3.", "fips4": "4."}[variant]
	switch {
	case variant == "":
		return nil
	case !info.FIPSBuild, !info.FIPSMode:
		return fmt.Errorf("s2n: the tag pqquic_%s asks for AWS-LC's FIPS module, but %q is linked: run `make build VARIANT=%s`",
			variant, info.AWSLC, variant)
	case !info.SelfTest:
		return fmt.Errorf("s2n: the self-test of %q did not pass", info.AWSLC)
	case !strings.HasPrefix(moduleVersion(info.AWSLC), major):
		return fmt.Errorf("s2n: the tag pqquic_%s asks for AWS-LC-FIPS %sx, but %q is linked: run `make build VARIANT=%s`",
			variant, major, info.AWSLC, variant)
	}
	return nil
}

// moduleVersion is the version in a name such as "AWS-LC FIPS 3.0.0".
func moduleVersion(name string) string {
	return name[strings.LastIndexByte(name, ' ')+1:]
}

func (p *provider) Name() string { return Name }

func (p *provider) Capabilities() tlsprovider.Capabilities { return p.caps() }

func (p *provider) capabilities() tlsprovider.Capabilities {
	c := tlsprovider.Capabilities{
		Library:  "s2n-tls " + p.info.S2N + ", " + p.info.AWSLC,
		Policies: true,
		FIPS: tlsprovider.FIPS{
			Enabled:  p.info.FIPSMode,
			SelfTest: p.info.SelfTest,
			Version:  p.info.AWSLC,
		},
	}
	if p.info.FIPSMode {
		c.FIPS.Module = "AWS-LC Cryptographic Module"
	}
	if def, err := probe(p.defaultPolicy()); err == nil {
		c.CipherSuites = def.CipherSuites
		c.SignatureSchemes = def.SignatureSchemes
		c.Groups = def.Groups
	}
	// A group of its own policy row can be named; an s2n-tls without our rows offers what its
	// default holds.
	var named []tlsprovider.Group
	for _, g := range tlsprovider.AllGroups() {
		if offer, err := probe(policyOf([]tlsprovider.Group{g})); err == nil && len(offer.Groups) == 1 {
			named = append(named, g)
		}
	}
	if named != nil {
		c.Groups = named
	}
	return c
}

func (p *provider) defaultPolicy() string {
	if p.info.FIPSMode {
		return "default_fips"
	}
	return "default_pq"
}

func (p *provider) OpenInitial(version uint32, dcid, pkt []byte, pnOffset int) (tlsprovider.InitialPacket, bool) {
	i, ok := awslc.OpenInitial(version, dcid, pkt, pnOffset)
	return tlsprovider.InitialPacket(tlsprovider.InitialPacket{
		PacketNumber: i.PacketNumber,
		HeaderLen:    i.HeaderLen,
		PayloadLen:   i.PayloadLen,
	}), ok
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

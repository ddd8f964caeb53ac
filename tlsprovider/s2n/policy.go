package s2n

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/cgo/s2n"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

// policyOf returns the policy for a set of groups. In s2n-tls groups are part of a security policy and cannot be
// set. The C build adds a policy for each set, pqquic_01 to pqquic_ff (pqquic_1ff in the variant historic). Each bit
// of the name is a group of policyBits.
func policyOf(groups []tlsprovider.Group) string {
	mask := 0
	for i, g := range policyBits {
		if slices.Contains(groups, g) {
			mask |= 1 << i
		}
	}
	return fmt.Sprintf("pqquic_%02x", mask)
}

// An offer lists what a client with a policy offers in its ClientHello.
type offer struct {
	Groups           []tlsprovider.Group
	CipherSuites     []tlsprovider.CipherSuite
	SignatureSchemes []tlsprovider.SignatureScheme
}

var errNoPolicy = errors.New("unknown security policy")

type probed struct {
	offer *offer
	err   error
}

var probes sync.Map // policy name to probed

// probe returns what a policy offers. It parses a ClientHello that s2n-tls builds in memory. It returns an error for
// an unknown name and for a policy without TLS 1.3. The result is cached, because policies do not change.
func probe(policy string) (*offer, error) {
	if r, ok := probes.Load(policy); ok {
		return r.(probed).offer, r.(probed).err
	}
	o, err := probeOnce(policy)
	probes.Store(policy, probed{o, err})
	return o, err
}

func probeOnce(policy string) (*offer, error) {
	cfg, err := s2n.NewConfig(policy, s2n.SkipVerify)
	if err != nil {
		var e *s2n.Error
		if errors.As(err, &e) && e.Name == "S2N_ERR_INVALID_SECURITY_POLICY" {
			return nil, fmt.Errorf("%w %q: use one of s2n-tls's usage guide, such as default_pq or default_tls13", errNoPolicy, policy)
		}
		return nil, err
	}
	defer cfg.Close()
	noTLS13 := fmt.Errorf("security policy %q has no TLS 1.3, which QUIC requires: use another one, such as default_pq", policy)
	conn, err := s2n.NewConn(cfg, s2n.ConnParams{ServerName: "probe.invalid", Params: []byte{0}})
	if err != nil {
		return nil, noTLS13
	}
	defer conn.Close()
	log, err := conn.Drive(uint8(tlsprovider.LevelInitial), nil, 0)
	if err != nil {
		return nil, noTLS13
	}
	e, _, ok := s2n.NextEvent(log)
	if !ok || e.Kind != s2n.EventWrite || len(e.Data) < hello.HeaderLen {
		return nil, noTLS13
	}
	ch, err := hello.ParseClientHello(e.Data[hello.HeaderLen:])
	if err != nil {
		return nil, fmt.Errorf("%w (parsing its ClientHello: %w)", noTLS13, err)
	}
	if !ch.Offers(hello.VersionTLS13) || len(ch.CipherSuites) == 0 {
		return nil, noTLS13
	}
	for _, g := range cfg.Groups() {
		if !slices.Contains(ch.Groups, tlsprovider.Group(g)) {
			return nil, fmt.Errorf("policy %q lists %v, but its ClientHello does not offer it", policy, tlsprovider.Group(g))
		}
	}
	return &offer{ch.Groups, ch.CipherSuites, ch.SignatureSchemes}, nil
}

// choosePolicy returns the policy for cfg, after it has checked that the policy offers the groups and cipher suites
// of cfg.
func (p *provider) choosePolicy(cfg *tlsprovider.Config) (string, error) {
	name, byGroup := p.defaultPolicy(), false
	switch {
	case cfg.Policy != "" && (cfg.Groups != nil || cfg.CipherSuites != nil):
		return "", errors.New("s2n: Policy is set together with Groups or CipherSuites, which it replaces: leave Groups and CipherSuites nil")
	case cfg.Policy != "":
		name = cfg.Policy
	case cfg.Groups != nil:
		if err := checkGroups(cfg.Groups); err != nil {
			return "", err
		}
		name, byGroup = policyOf(cfg.Groups), true
	}
	o, err := probe(name)
	if err != nil {
		if byGroup && errors.Is(err, errNoPolicy) {
			// s2n-tls leaves out the policies whose groups libcrypto lacks.
			if _, err := probe(policyOf([]tlsprovider.Group{tlsprovider.P256})); err == nil {
				return "", p.sameGroups(cfg.Groups, nil)
			}
			return "", fmt.Errorf("s2n: the linked s2n-tls has no policy for Groups %s: leave Groups nil, set Policy to one that it has, or use the library that `make build` makes: %w",
				tlsprovider.GroupList(cfg.Groups), tlsprovider.ErrUnsupported)
		}
		return "", fmt.Errorf("s2n: %w", err)
	}
	if byGroup {
		if err := p.sameGroups(cfg.Groups, o.Groups); err != nil {
			return "", err
		}
	}
	pq := slices.ContainsFunc(o.Groups, tlsprovider.Group.PostQuantum)
	if !pq && cfg.RequirePQ {
		return "", fmt.Errorf("s2n: RequirePQ is set, but %s offers only %s", policyLabel(cfg, name), tlsprovider.GroupList(o.Groups))
	}
	if err := p.checkOffer(cfg, name, o); err != nil {
		return "", err
	}
	if err := p.checkRequirePQAuth(cfg, name, o); err != nil {
		return "", err
	}
	if !pq && cfg.Groups == nil && cfg.Policy == "" && !p.allowClassical {
		return "", fmt.Errorf("s2n: the default policy %s of the linked s2n-tls offers no post-quantum group, only %s; name Groups or a Policy to use it all the same",
			name, tlsprovider.GroupList(o.Groups))
	}
	return name, checkSuites(cfg.CipherSuites, o.CipherSuites)
}

// checkOffer returns an error if a policy offers a group that this package does not know, or, in a FIPS variant,
// an algorithm that the module does not approve.
func (p *provider) checkOffer(cfg *tlsprovider.Config, name string, o *offer) error {
	for _, g := range o.Groups {
		if !slices.Contains(policyBits, g) && !slices.Contains(policyOnly, g) {
			return fmt.Errorf("s2n: policy %s offers %v: %w (known: %s)", name, g, tlsprovider.ErrUnsupported,
				tlsprovider.GroupList(policyBits))
		}
	}
	if len(p.supported(o.SignatureSchemes)) == 0 {
		return fmt.Errorf("s2n: policy %s allows no other signatures than %v, which s2n-tls over %s does not support: %w", name,
			o.SignatureSchemes, p.info.Crypto, tlsprovider.ErrUnsupported)
	}
	if !p.fips {
		return nil
	}
	if bad := p.module.Unapproved(o.Groups, o.CipherSuites, o.SignatureSchemes); bad != nil {
		return fmt.Errorf("s2n: %s offers %s, which %s does not approve: %w; leave Groups and Policy empty for %s, or build without the tag pqquic_%s",
			policyLabel(cfg, name), strings.Join(bad, ", "), p.info.Crypto, tlsprovider.ErrUnsupported, p.defaultPolicy(), awslc.Variant)
	}
	return nil
}

func policyLabel(cfg *tlsprovider.Config, name string) string {
	if cfg.Groups != nil {
		return "Groups"
	}
	return "policy " + name
}

func checkGroups(groups []tlsprovider.Group) error {
	if len(groups) == 0 {
		return errors.New("s2n: Groups is empty: leave it nil for the default")
	}
	for _, g := range groups {
		if !slices.Contains(policyBits, g) {
			return fmt.Errorf("s2n: %v: %w (known: %s)", g, tlsprovider.ErrUnsupported, tlsprovider.GroupList(policyBits))
		}
	}
	return nil
}

// sameGroups returns an error if the sets of groups differ. An s2n-tls without ML-KEM does not offer hybrids, and
// reports no error.
func (p *provider) sameGroups(want, got []tlsprovider.Group) error {
	for _, g := range want {
		if !slices.Contains(got, g) {
			return fmt.Errorf("s2n: this build of s2n-tls over %s does not offer %v: %w", p.info.Crypto, g, tlsprovider.ErrUnsupported)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			return fmt.Errorf("s2n: the policy for Groups %s offers %v as well", tlsprovider.GroupList(want), g)
		}
	}
	return nil
}

// checkSuites returns an error if want lacks a suite of the policy, because s2n-tls has no setter for cipher
// suites.
func checkSuites(want, have []tlsprovider.CipherSuite) error {
	if want == nil {
		return nil
	}
	for _, s := range have {
		if !slices.Contains(want, s) {
			return fmt.Errorf("s2n: CipherSuites without %v: %w; set Policy to one with the cipher suites that you want", s, tlsprovider.ErrUnsupported)
		}
	}
	return nil
}

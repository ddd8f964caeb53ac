package tlsprovider

import (
	"fmt"
	"strings"
)

// Group is a TLS named group, by its IANA code point.
type Group uint16

const (
	P256               Group = 0x0017
	P384               Group = 0x0018
	P521               Group = 0x0019
	X25519             Group = 0x001d
	MLKEM1024          Group = 0x0202
	SecP256r1MLKEM768  Group = 0x11eb
	X25519MLKEM768     Group = 0x11ec
	SecP384r1MLKEM1024 Group = 0x11ed
)

// knownGroups describes the groups of this package in the providers' order of preference, hybrids first.
var knownGroups = append(historicGroups, []GroupInfo{
	{X25519MLKEM768, "X25519MLKEM768", true},
	{SecP256r1MLKEM768, "SecP256r1MLKEM768", true},
	{SecP384r1MLKEM1024, "SecP384r1MLKEM1024", true},
	{MLKEM1024, "MLKEM1024", true},
	{X25519, "X25519", false},
	{P256, "P-256", false},
	{P384, "P-384", false},
	{P521, "P-521", false},
}...)

// A GroupInfo describes a key exchange group.
type GroupInfo struct {
	ID          Group
	Name        string
	PostQuantum bool // the group includes a post-quantum KEM
}

// Info returns the description of a group. The name of a group that this package does not know is its
// number; it does not count as post-quantum.
func (g Group) Info() GroupInfo {
	for _, i := range knownGroups {
		if i.ID == g {
			return i
		}
	}
	return GroupInfo{ID: g, Name: fmt.Sprintf("group 0x%04x", uint16(g))}
}

// AllGroups returns the groups that Config.Groups can contain, in the providers' order of preference, hybrids
// first. A provider may support only some of them. The caller may change the slice.
func AllGroups() []Group {
	out := make([]Group, len(knownGroups))
	for i, g := range knownGroups {
		out[i] = g.ID
	}
	return out
}

// PostQuantum reports whether the group includes a post-quantum KEM.
func (g Group) PostQuantum() bool { return g.Info().PostQuantum }

// String returns the group's name.
func (g Group) String() string { return g.Info().Name }

// ParseGroup returns the group with a name, ignoring case. It accepts the names that other libraries use for
// curves, such as secp256r1, P256 and prime256v1.
func ParseGroup(name string) (Group, error) {
	n := strings.TrimSpace(name)
	for _, g := range knownGroups {
		if strings.EqualFold(n, g.Name) {
			return g.ID, nil
		}
	}
	switch strings.ToLower(n) {
	case "secp256r1", "p256", "prime256v1":
		return P256, nil
	case "secp384r1", "p384":
		return P384, nil
	case "secp521r1", "p521":
		return P521, nil
	}
	return 0, fmt.Errorf("tlsprovider: unknown group %q (known: %s)", name, GroupList(AllGroups()))
}

// ParseGroups parses a comma-separated list of group names.
func ParseGroups(list string) ([]Group, error) {
	var out []Group
	for _, name := range strings.Split(list, ",") {
		g, err := ParseGroup(name)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

// GroupList returns the names of gs, separated by commas.
func GroupList(gs []Group) string {
	names := make([]string, len(gs))
	for i, g := range gs {
		names[i] = g.String()
	}
	return strings.Join(names, ",")
}

// CipherSuite is a TLS 1.3 cipher suite.
type CipherSuite uint16

const (
	AES128GCM        CipherSuite = 0x1301
	AES256GCM        CipherSuite = 0x1302
	ChaCha20Poly1305 CipherSuite = 0x1303
)

func (c CipherSuite) String() string {
	switch c {
	case AES128GCM:
		return "TLS_AES_128_GCM_SHA256"
	case AES256GCM:
		return "TLS_AES_256_GCM_SHA384"
	case ChaCha20Poly1305:
		return "TLS_CHACHA20_POLY1305_SHA256"
	}
	return fmt.Sprintf("cipher suite 0x%04x", uint16(c))
}

// SignatureScheme is a TLS signature scheme, by its IANA code point.
type SignatureScheme uint16

var signatureNames = map[SignatureScheme]string{
	0x0403: "ecdsa_secp256r1_sha256", 0x0503: "ecdsa_secp384r1_sha384",
	0x0603: "ecdsa_secp521r1_sha512", 0x0804: "rsa_pss_rsae_sha256",
	0x0805: "rsa_pss_rsae_sha384", 0x0806: "rsa_pss_rsae_sha512", 0x0807: "ed25519",
	0x0809: "rsa_pss_pss_sha256", 0x080a: "rsa_pss_pss_sha384", 0x080b: "rsa_pss_pss_sha512",
	0x0904: "mldsa44", 0x0905: "mldsa65", 0x0906: "mldsa87",
}

// PostQuantum reports whether the scheme resists quantum computers: whether it is one of ML-DSA.
func (s SignatureScheme) PostQuantum() bool { return s >= 0x0904 && s <= 0x0906 }

func (s SignatureScheme) String() string {
	if n, ok := signatureNames[s]; ok {
		return n
	}
	return fmt.Sprintf("signature scheme 0x%04x", uint16(s))
}

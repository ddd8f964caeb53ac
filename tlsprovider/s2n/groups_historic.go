//go:build pqquic_historic

package s2n

import "github.com/pqquic/pqquic/tlsprovider"

// policyBits lists the groups in the order of the bits in the names of our policies. build/Historic.cmake has the
// same list.
var policyBits = []tlsprovider.Group{tlsprovider.X25519Kyber512R3, tlsprovider.SecP256r1Kyber512R3,
	tlsprovider.X25519BIKEL1R3, tlsprovider.SecP256r1BIKEL1R3,
	tlsprovider.X25519SIKEp434R3, tlsprovider.SecP256r1SIKEp434R3,
	tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384}

// policyOnly lists the groups that only policies by name can have.
var policyOnly = []tlsprovider.Group{tlsprovider.X25519Kyber512R2, tlsprovider.SecP256r1Kyber512R2,
	tlsprovider.X25519BIKE1L1R2, tlsprovider.SecP256r1BIKE1L1R2}

var kemGroups = map[string]tlsprovider.Group{
	"x25519_kyber-512-r3": tlsprovider.X25519Kyber512R3, "secp256r1_kyber-512-r3": tlsprovider.SecP256r1Kyber512R3,
	"x25519_bike-l1-r3": tlsprovider.X25519BIKEL1R3, "secp256r1_bike-l1-r3": tlsprovider.SecP256r1BIKEL1R3,
	"x25519_sike-p434-r3": tlsprovider.X25519SIKEp434R3, "secp256r1_sike-p434-r3": tlsprovider.SecP256r1SIKEp434R3,
	"x25519_kyber-512-r2": tlsprovider.X25519Kyber512R2, "secp256r1_kyber-512-r2": tlsprovider.SecP256r1Kyber512R2,
	"x25519_bike-1l1fo-r2": tlsprovider.X25519BIKE1L1R2, "secp256r1_bike-1l1fo-r2": tlsprovider.SecP256r1BIKE1L1R2,
}

// parseGroup returns the group with a name of s2n-tls.
func parseGroup(name string) (tlsprovider.Group, error) {
	if g, ok := kemGroups[name]; ok {
		return g, nil
	}
	return tlsprovider.ParseGroup(name)
}

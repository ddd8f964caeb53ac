//go:build !pqquic_historic

package s2n

import "github.com/pqquic/pqquic/tlsprovider"

// policyBits lists the groups in the order of the bits in the names of our policies. build/Policies.cmake has the
// same list.
var policyBits = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.SecP256r1MLKEM768,
	tlsprovider.SecP384r1MLKEM1024, tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384,
	tlsprovider.MLKEM1024, tlsprovider.P521}

// policyOnly lists the groups that only policies by name can have.
var policyOnly []tlsprovider.Group

// parseGroup returns the group with a name of s2n-tls.
func parseGroup(name string) (tlsprovider.Group, error) { return tlsprovider.ParseGroup(name) }

//go:build pqquic_historic

package tlsprovider

// The groups of the variant historic: the hybrids of draft-ietf-tls-hybrid-design that s2n-tls had in 2022, with code
// points that were never registered. They are for measurements only. SIKE is broken, and Kyber and BIKE of these
// rounds were withdrawn, so none of them counts as post-quantum.
const (
	X25519Kyber512R3    Group = 0x2f39
	SecP256r1Kyber512R3 Group = 0x2f3a
	X25519BIKEL1R3      Group = 0x2f37
	SecP256r1BIKEL1R3   Group = 0x2f38
	X25519SIKEp434R3    Group = 0x2f27
	SecP256r1SIKEp434R3 Group = 0x2f1f

	// Those of the second round are in the policy PQ-TLS-1-0-2021-05-26, and cannot be in Config.Groups.
	X25519Kyber512R2    Group = 0x2f26
	SecP256r1Kyber512R2 Group = 0x2f0f
	X25519BIKE1L1R2     Group = 0x2f28
	SecP256r1BIKE1L1R2  Group = 0x2f23
)

var historicGroups = []GroupInfo{
	{X25519Kyber512R3, "X25519Kyber512R3", false},
	{SecP256r1Kyber512R3, "SecP256r1Kyber512R3", false},
	{X25519BIKEL1R3, "X25519BIKEL1R3", false},
	{SecP256r1BIKEL1R3, "SecP256r1BIKEL1R3", false},
	{X25519Kyber512R2, "X25519Kyber512R2", false},
	{SecP256r1Kyber512R2, "SecP256r1Kyber512R2", false},
	{X25519BIKE1L1R2, "X25519BIKE1L1R2", false},
	{SecP256r1BIKE1L1R2, "SecP256r1BIKE1L1R2", false},
	{X25519SIKEp434R3, "X25519SIKEp434R3", false},
	{SecP256r1SIKEp434R3, "SecP256r1SIKEp434R3", false},
}

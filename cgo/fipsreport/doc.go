// Package fipsreport reads what an archive of `scripts/build fips --report` records: each call of a cryptographic service
// of libcrypto by s2n-tls and our C, and whether the module's service indicator counted it as approved. Programs with
// the tag pqquic_report link that archive. See docs/fips.md.
package fipsreport

// A Row counts the calls of one function with the same parameters from the same place.
type Row struct {
	// Function is the function of libcrypto, and Params describes what it was called with, such as an algorithm.
	Function, Params string
	// Callers are the C functions that were being executed, the innermost first.
	Callers []string
	// Approved counts the calls that the service indicator counted, Unapproved those that succeeded without that, and
	// Failed the others, such as an AEAD that rejected a packet.
	Approved, Unapproved, Failed uint64
}

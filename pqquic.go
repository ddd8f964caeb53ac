// Package pqquic is the root of a post-quantum QUIC stack. The API is in package quic, the choice of
// the TLS library in package tlsprovider and its subpackages; here are only the licences, for
// programs that have to show them.
package pqquic

import _ "embed"

//go:embed LICENSE
var license string

//go:embed THIRD_PARTY_NOTICES
var notices string

// Licenses returns this module's licence and the notices of the C libraries that its builds can
// contain.
func Licenses() string { return license + "\n\n" + notices }

// Package pqquic is the root of a post-quantum QUIC module. Package quic has the API, and package tlsprovider and
// its subpackages have the TLS providers. This package has only the licences, for programs that must show them.
package pqquic

import _ "embed"

//go:embed LICENSE
var license string

//go:embed THIRD_PARTY_NOTICES
var notices string

// Licenses returns this module's licence and the notices of the C libraries that a program can contain.
func Licenses() string { return license + "\n\n" + notices }

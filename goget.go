//go:build goget

package pqquic

// This file is never compiled. `go get github.com/pqquic/pqquic` records in the user's go.sum the modules
// that this package imports under any build tag, and with this import they are those of package quic.
// Without the tag, a program that only wants [Licenses] would link the transport.
import _ "github.com/pqquic/pqquic/quic"

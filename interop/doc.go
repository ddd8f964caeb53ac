// Package interop tests pqquic against other stacks, quic-go and golang.org/x/net/quic, in both roles, with
// each of our providers.
package interop

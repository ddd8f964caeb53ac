// Package interop holds tests of pqquic against stacks that others wrote: quic-go and
// golang.org/x/net/quic, in both roles, with each of our providers.
package interop

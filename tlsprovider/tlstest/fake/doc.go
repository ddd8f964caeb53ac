// Package fake is a TLS provider without cryptography, for tests and simulations. It protects nothing: never use
// it for anything else.
//
// A transport sees the same behaviour as with a real provider. The messages are those of TLS 1.3, in the encoding
// of RFC 8446, with the sizes of post-quantum or classical flights. Keys become ready at the same moments. Packets
// have 16-byte tags that depend on keys, header, packet number and payload, and their packet numbers are masked.
// Failures have the same alerts.
//
// The fake is deterministic: all random values depend only on Options.Seed and the order of calls. It is fast: a
// handshake takes microseconds, so that a simulator can run many thousands of them.
//
// It is also strict. It panics, or calls Options.Misuse, if a caller breaks a rule of package tlsprovider, for
// example with a packet number that does not increase, a closed key, or two concurrent calls of one object. It
// overwrites the data of events in the next call. [Provider.Live] counts the objects that are not closed.
package fake

// Package recovery decides when packets are lost, when to send and how much (RFC 9002), and which
// received packets to acknowledge. It knows packet numbers, sizes and times, never frames: what a
// packet carried is an opaque record that package core writes and reads.
package recovery

// Package s2n binds s2n-tls: its configurations and handshakes.
//
// Every function is one call into cgo/c, whose header pqquic.h describes ownership and errors. The callbacks of
// s2n-tls run inside of [Conn.Drive], in C, and append to an event log, which Drive returns. C never calls Go.
// Traffic secrets stay in C; Go gets keys of package awslc.
//
// The package compiles without the C library. Each constructor then returns [awslc.ErrNotLinked].
package s2n

// Package s2n binds s2n-tls: configurations, and handshakes that one call after another drives.
//
// It is thin: every function is one call into cgo/c, whose header pqquic.h describes ownership and
// errors. s2n-tls's callbacks run inside [Conn.Drive], in C, and append to an event log, which Drive
// returns; C never calls Go. Traffic secrets stay in C and come out as keys of package awslc.
//
// Where the C library was not linked, everything compiles and each constructor returns
// [awslc.ErrNotLinked].
package s2n

// Package include holds pqquic.h and no Go code. It is a package, and imported by those that include
// the header, because `go mod vendor` copies nothing else.
package include

// Package include contains pqquic.h and no Go code. The packages that include the header import it, because
// `go mod vendor` copies only directories of packages.
package include

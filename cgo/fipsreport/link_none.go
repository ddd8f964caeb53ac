//go:build !(pqquic_report && cgo && linux && amd64)

package fipsreport

import "errors"

// Reset does nothing in programs without the archive of the report.
func Reset() {}

// Rows returns an error in programs without the archive of the report.
func Rows() ([]Row, error) {
	return nil, errors.New("fipsreport: this program is not linked with the archive of the FIPS report: run `make fips-report`")
}

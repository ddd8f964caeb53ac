//go:build (pqquic_fips || pqquic_fips4) && cgo && linux

package awslc

/*
#ifndef PQQ_LINKED
#error "the tags pqquic_fips and pqquic_fips4 need the C library: run `make build VARIANT=fips` (or fips4)"
#endif
*/
import "C"

//go:build (pqquic_s2n || pqquic_fips || pqquic_fips4) && cgo && linux

package awslc

/*
#ifndef PQQ_LINKED
#error "the tags pqquic_s2n, pqquic_fips and pqquic_fips4 need the C library, which is not linked. In a checkout of pqquic: run `make build` (VARIANT=fips or fips4 for those tags). In another module: run `make install PREFIX=DIR` in a checkout, then `. DIR/share/pqquic/env`"
#endif
*/
import "C"

//go:build (pqquic_s2n || pqquic_fips || pqquic_fips4 || pqquic_openssl) && cgo && linux

package awslc

/*
#ifndef PQQ_LINKED
#error "the tags pqquic_s2n, pqquic_fips, pqquic_fips4 and pqquic_openssl need the C library, which is not linked. In a checkout of pqquic: run `make build` (VARIANT=fips, fips4 or openssl for those tags). In another module: run `make install PREFIX=DIR` in a checkout, then `. DIR/share/pqquic/env`"
#endif
*/
import "C"

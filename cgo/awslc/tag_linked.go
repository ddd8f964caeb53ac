//go:build (pqquic_s2n || pqquic_fips || pqquic_fips4 || pqquic_openssl || pqquic_historic) && cgo && linux

package awslc

/*
#ifndef PQQ_LINKED
#error "the tags pqquic_s2n, pqquic_fips, pqquic_fips4, pqquic_openssl and pqquic_historic need the C library, which is not linked. In a checkout of pqquic: run `make build` (VARIANT=fips, fips4, openssl or historic for those tags). In another module: run `make install PREFIX=DIR` in a checkout, then `. DIR/share/pqquic/env`"
#endif
*/
import "C"

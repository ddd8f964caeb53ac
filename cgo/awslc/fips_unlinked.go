//go:build (pqquic_fips || pqquic_fips4) && !(cgo && linux)

package awslc

// A program that asks for the FIPS module must not be built without it.
var _ = the_tags_pqquic_fips_and_pqquic_fips4_need_CGO_ENABLED_1_on_linux

//go:build (pqquic_s2n || pqquic_fips || pqquic_fips4) && !(cgo && linux)

package awslc

// A program that demands the C library must not be built without it.
var _ = the_tags_pqquic_s2n_pqquic_fips_and_pqquic_fips4_need_CGO_ENABLED_1_and_a_C_compiler_on_linux

//go:build (pqquic_s2n || pqquic_fips || pqquic_fips4 || pqquic_openssl || pqquic_historic) && !(cgo && linux)

package awslc

// With these tags a program must not be built without the C library.
var _ = the_tags_pqquic_s2n_pqquic_fips_pqquic_fips4_pqquic_openssl_and_pqquic_historic_need_CGO_ENABLED_1_and_a_C_compiler_on_linux

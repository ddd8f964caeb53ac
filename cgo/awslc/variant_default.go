//go:build !pqquic_fips && !pqquic_fips4 && !pqquic_openssl && !pqquic_historic

package awslc

const variant = ""

//go:build !pqquic_fips && !pqquic_fips4 && !pqquic_openssl

package awslc

const variant = ""

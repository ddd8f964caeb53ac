//go:build !pqquic_fips && !pqquic_fips4

package awslc

const variant = ""

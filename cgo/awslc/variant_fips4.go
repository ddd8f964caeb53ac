//go:build pqquic_fips4

package awslc

const variant = "fips4"

//go:build pqquic_fips

package awslc

// With both tags, pqquic_fips and pqquic_fips4, this constant is declared twice: use only one of them.
const variant = "fips"

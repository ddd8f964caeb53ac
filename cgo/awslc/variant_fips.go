//go:build pqquic_fips

package awslc

// Under both tags this constant is declared twice: choose one.
const variant = "fips"

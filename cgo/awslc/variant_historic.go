//go:build pqquic_historic

package awslc

const variant = "historic"

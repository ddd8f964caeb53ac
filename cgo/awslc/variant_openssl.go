//go:build pqquic_openssl

package awslc

const variant = "openssl"

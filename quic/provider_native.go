//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// defaultProvider is what a nil Config.Provider means.
func defaultProvider() (tlsprovider.Provider, error) { return native.New(), nil }

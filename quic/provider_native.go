//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// defaultProvider returns the provider for a nil Config.Provider.
func defaultProvider() (tlsprovider.Provider, error) { return native.New(), nil }

//go:build pqquic_fips || pqquic_fips4

package quic

import (
	"errors"

	"github.com/pqquic/pqquic/tlsprovider"
)

// defaultProvider refuses to choose: whoever builds for a validated module must not get another one
// by leaving a field out.
func defaultProvider() (tlsprovider.Provider, error) {
	return nil, errors.New("quic: Config.Provider is nil; a FIPS build names its provider (tlsprovider/s2n)")
}

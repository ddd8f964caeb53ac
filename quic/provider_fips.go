//go:build pqquic_fips || pqquic_fips4

package quic

import (
	"errors"

	"github.com/pqquic/pqquic/tlsprovider"
)

// defaultProvider returns an error, because a program that is built for a validated module must not get
// another one when a field is not set.
func defaultProvider() (tlsprovider.Provider, error) {
	return nil, errors.New("quic: Config.Provider is nil; a FIPS build must set its provider (tlsprovider/s2n)")
}

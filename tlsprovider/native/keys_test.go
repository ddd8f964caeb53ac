package native

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

func keyMaker(t testing.TB, version uint32, id tlsprovider.CipherSuite, secret []byte) tlsprovider.Keys {
	t.Helper()
	v, err := findVersion(version)
	require.NoError(t, err)
	params := keyParams{suite: suites[id], version: v, secret: secret, app: true, approved: true}
	live := new(counters)
	s, err := newSealer(live, params)
	require.NoError(t, err)
	o, err := newOpener(live, params)
	require.NoError(t, err)
	return tlsprovider.Keys{Sealer: s, Opener: o}
}

func TestKeys(t *testing.T) { tlstest.RunKeys(t, keyMaker, keyMaker) }

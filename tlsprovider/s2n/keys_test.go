package s2n

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

func keyMaker(t testing.TB, version uint32, id tlsprovider.CipherSuite, secret []byte) tlsprovider.Keys {
	t.Helper()
	s, err := awslc.NewSealer(version, uint16(id), secret, true)
	require.NoError(t, err)
	o, err := awslc.NewOpener(version, uint16(id), secret, true)
	require.NoError(t, err)
	return tlsprovider.Keys{Sealer: sealer{s}, Opener: opener{o}}
}

func TestKeys(t *testing.T) {
	p := newProvider(t)
	tlstest.RunKeys(t, p.Capabilities(), keyMaker, keyMaker)
}

package awslc

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMLDSAKeys(t *testing.T) {
	requireLinked(t)
	info, err := Library()
	require.NoError(t, err)
	_, err = NewMLDSAKey(66, nil)
	require.ErrorContains(t, err, "ML-DSA-66")
	_, err = NewMLDSAKey(65, make([]byte, 31))
	require.ErrorContains(t, err, "31 bytes")
	if Variant == "fips" || Variant == "openssl" || Variant == "historic" {
		_, err := NewMLDSAKey(65, nil)
		require.ErrorContains(t, err, info.Crypto+" has no ML-DSA")
		return
	}
	for level, lengths := range mldsaLevels {
		seed := bytes.Repeat([]byte{byte(level)}, 32)
		k, err := NewMLDSAKey(level, seed)
		require.NoError(t, err)
		require.Equal(t, seed, k.Seed())
		same, err := NewMLDSAKey(level, seed)
		require.NoError(t, err)
		require.True(t, k.public.Equal(same.Public()))
		other, err := NewMLDSAKey(level, nil)
		require.NoError(t, err)
		require.False(t, k.public.Equal(other.Public()))
		expanded, err := k.Expanded()
		require.NoError(t, err)
		require.Len(t, expanded, lengths.expanded)
		require.Len(t, k.public.Bytes(), lengths.public)
		require.Equal(t, level, k.public.Level())

		for _, opts := range []crypto.SignerOpts{nil, crypto.Hash(0), mldsaMu} {
			sig, err := k.Sign(nil, make([]byte, 64), opts)
			require.NoError(t, err)
			require.Len(t, sig, lengths.signature)
		}
		_, err = k.Sign(nil, make([]byte, 64), crypto.SHA512)
		require.ErrorContains(t, err, "hashes")
		_, err = k.Sign(nil, make([]byte, 63), mldsaMu)
		require.ErrorIs(t, err, errMLDSA)
	}
}

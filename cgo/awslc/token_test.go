package awslc

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTokens(t *testing.T) {
	requireLinked(t)
	secret := bytes.Repeat([]byte{1}, 32)
	k, err := NewTokenKey(secret)
	require.NoError(t, err)
	defer k.Close()
	fleet, err := NewTokenKey(secret)
	require.NoError(t, err)
	defer fleet.Close()
	other, err := NewTokenKey(bytes.Repeat([]byte{2}, 32))
	require.NoError(t, err)
	defer other.Close()

	for _, n := range []int{0, 1, 40, 1000} {
		plain := bytes.Repeat([]byte{byte(n)}, n)
		sealed, err := k.Seal([]byte("prefix"), plain, []byte("192.0.2.1"))
		require.NoError(t, err)
		require.Equal(t, "prefix", string(sealed[:6]))
		require.Len(t, sealed, 6+n+TokenOverhead)
		got, ok := fleet.Open([]byte("x"), sealed[6:], []byte("192.0.2.1"))
		require.True(t, ok)
		require.Equal(t, "x"+string(plain), string(got))

		_, ok = fleet.Open(nil, sealed[6:], []byte("192.0.2.2"))
		require.False(t, ok, "another address")
		_, ok = other.Open(nil, sealed[6:], []byte("192.0.2.1"))
		require.False(t, ok, "another key")
		for i := range sealed[6:] {
			bad := bytes.Clone(sealed[6:])
			bad[i] ^= 1
			_, ok = k.Open(nil, bad, []byte("192.0.2.1"))
			require.False(t, ok, "byte %d changed", i)
		}
		_, ok = k.Open(nil, sealed[6:len(sealed)-1], []byte("192.0.2.1"))
		require.False(t, ok, "truncated")
	}
	a, _ := k.Seal(nil, []byte("same"), nil)
	b, _ := k.Seal(nil, []byte("same"), nil)
	require.NotEqual(t, a, b)
	_, ok := k.Open(nil, nil, nil)
	require.False(t, ok)
}

func TestResetTokens(t *testing.T) {
	requireLinked(t)
	secret := bytes.Repeat([]byte{1}, 32)
	a, err := NewResetKey(secret)
	require.NoError(t, err)
	b, err := NewResetKey(secret)
	require.NoError(t, err)
	defer b.Close()
	cid := []byte("connection id")
	require.Equal(t, a.Token(cid), b.Token(cid))
	require.NotEqual(t, a.Token(cid), a.Token(cid[1:]))
	require.NotZero(t, a.Token(nil))
	a.Close()
	a.Close()
	require.NotEqual(t, a.Token(cid), b.Token(cid), "a closed key returns random tokens")
}

func TestShortSecrets(t *testing.T) {
	requireLinked(t)
	_, err := NewTokenKey(make([]byte, 31))
	require.Error(t, err)
	_, err = NewResetKey(nil)
	require.Error(t, err)
}

func TestRand(t *testing.T) {
	requireLinked(t)
	a, b := make([]byte, 64), make([]byte, 64)
	for _, buf := range [][]byte{a, b, nil} {
		n, err := Rand.Read(buf)
		require.NoError(t, err)
		require.Equal(t, len(buf), n)
	}
	require.NotEqual(t, a, b)
	require.NotZero(t, a)
}

func TestHandlesReturn(t *testing.T) {
	requireLinked(t)
	run := func() {
		s, o, err := InitialKeys(1, rfcDCID, true)
		require.NoError(t, err)
		k, err := NewTokenKey(make([]byte, 32))
		require.NoError(t, err)
		r, err := NewResetKey(make([]byte, 32))
		require.NoError(t, err)
		require.EqualValues(t, 4, Live().Handles)
		require.Positive(t, Live().TLSBytes)
		s.Close()
		o.Close()
		k.Close()
		r.Close()
	}
	run()
	before := Live()
	require.Zero(t, before.Handles)
	for range 100 {
		run()
	}
	require.Equal(t, before.TLSBytes, Live().TLSBytes)
	require.Zero(t, Live().Handles)
}

func TestErrNotLinked(t *testing.T) {
	for _, tt := range []struct {
		goos  string
		cgo   bool
		wants []string
	}{
		{"linux", true, []string{"make build", "make install", "share/pqquic/env", "scripts/env", "-tags pqquic_s2n"}},
		{"linux", false, []string{"CGO_ENABLED=1", "make build", "make install"}},
		{"darwin", true, []string{"darwin", "tlsprovider/native"}},
		{"windows", false, []string{"windows", "tlsprovider/native"}},
	} {
		for _, want := range tt.wants {
			require.Contains(t, notLinked(tt.goos, tt.cgo), want, "%s, cgo %t", tt.goos, tt.cgo)
		}
	}
	require.ErrorContains(t, ErrNotLinked, notLinked(runtime.GOOS, cgoEnabled))
	if Linked() != nil {
		_, err := NewSealer(1, 0x1301, make([]byte, 32), false)
		require.ErrorIs(t, err, ErrNotLinked)
		_, err = NewTokenKey(make([]byte, 32))
		require.ErrorIs(t, err, ErrNotLinked)
		_, err = RetryTag(1, nil, nil)
		require.ErrorIs(t, err, ErrNotLinked)
		_, err = Rand.Read(make([]byte, 1))
		require.ErrorIs(t, err, ErrNotLinked)
		_, ok := OpenInitial(1, nil, make([]byte, 1200), 18)
		require.False(t, ok)
	}
}

func TestLibrary(t *testing.T) {
	requireLinked(t)
	info, err := Library()
	require.NoError(t, err)
	require.Contains(t, info.Crypto, info.Compiled)
	require.Equal(t, Variant == "openssl" || Variant == "historic", strings.HasPrefix(info.Crypto, "OpenSSL "))
	require.Equal(t, Variant == "historic", info.HistoricKEMs != "")
	require.Equal(t, strings.HasPrefix(Variant, "fips"), info.FIPSBuild)
	if info.FIPSBuild {
		require.True(t, info.FIPSMode)
		require.True(t, info.SelfTest)
	}
}

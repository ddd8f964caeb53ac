package tlsprovider_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A store returns each value once, the newest first, and keeps what was used last.
func TestClientStore(t *testing.T) {
	s := tlsprovider.NewClientStore(2, 2)
	require.Nil(t, s.Take("a"))
	for i := range 3 {
		s.Put("a", []byte{byte(i)})
	}
	require.Equal(t, []byte{2}, s.Take("a"))
	require.Equal(t, []byte{1}, s.Take("a"))
	require.Nil(t, s.Take("a"), "the oldest was dropped, the others are used")

	s.Put("a", []byte("1"))
	s.Put("a", []byte("2"))
	s.Put("b", []byte("3"))
	require.Equal(t, []byte("2"), s.Take("a"))
	s.Put("c", []byte("4"))
	require.Nil(t, s.Take("b"), "used least recently")
	require.Equal(t, []byte("1"), s.Take("a"))
	require.Equal(t, []byte("4"), s.Take("c"))
	s.Put("a", []byte("5"))
	s.Clear()
	require.Nil(t, s.Take("a"))
}

// A saved store has the same contents in the same order, within the limits of the one that restores it.
func TestSavedClientStore(t *testing.T) {
	s := tlsprovider.NewClientStore(0, 0)
	for i := range 5 {
		for j := range 3 {
			s.Put(fmt.Sprint(i), fmt.Appendf(nil, "%d-%d", i, j))
		}
	}
	saved, err := s.MarshalBinary()
	require.NoError(t, err)
	restored := tlsprovider.NewClientStore(2, 2)
	require.NoError(t, restored.UnmarshalBinary(saved))
	require.Nil(t, restored.Take("2"))
	for _, key := range []string{"3", "4"} {
		require.Equal(t, key+"-2", string(restored.Take(key)))
		require.Equal(t, key+"-1", string(restored.Take(key)))
		require.Nil(t, restored.Take(key))
	}
	for i := range saved {
		other := tlsprovider.NewClientStore(0, 0)
		if other.UnmarshalBinary(saved[:i]) != nil {
			again, _ := other.MarshalBinary()
			require.Len(t, again, 1, "an error leaves the store unchanged")
		}
	}
	saved[0]++
	require.ErrorContains(t, restored.UnmarshalBinary(saved), "not the contents of a ClientCache")
}

func FuzzSavedClientStore(f *testing.F) {
	s := tlsprovider.NewClientStore(0, 0)
	s.Put("server", []byte("value"))
	saved, _ := s.MarshalBinary()
	f.Add(saved)
	f.Fuzz(func(t *testing.T, b []byte) {
		s := tlsprovider.NewClientStore(4, 2)
		if s.UnmarshalBinary(b) != nil {
			return
		}
		again, err := s.MarshalBinary()
		require.NoError(t, err)
		other := tlsprovider.NewClientStore(4, 2)
		require.NoError(t, other.UnmarshalBinary(again))
		third, err := other.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, again, third)
	})
}

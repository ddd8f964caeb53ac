package datagram

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSegments(t *testing.T) {
	for _, tc := range []struct {
		data    string
		segment int
		want    []string
	}{
		{"", 3, nil},
		{"abc", 0, []string{"abc"}},
		{"abc", 3, []string{"abc"}},
		{"abc", 5, []string{"abc"}},
		{"abcdef", 3, []string{"abc", "def"}},
		{"abcdefg", 3, []string{"abc", "def", "g"}},
	} {
		train := Train{Data: []byte(tc.data), SegmentSize: tc.segment}
		tx := Transmit{Data: []byte(tc.data), SegmentSize: tc.segment}
		require.Equal(t, len(tc.want), train.Segments())
		require.Equal(t, len(tc.want), tx.Segments())
		for _, want := range tc.want {
			require.Equal(t, want, string(tx.First()))
			tx.Advance()
			d := train.Next()
			require.Equal(t, want, string(d))
			require.Equal(t, len(d), cap(d), "appending to a datagram must not overwrite the next one")
		}
		require.Empty(t, tx.Data)
		require.Empty(t, train.Next())
	}
}

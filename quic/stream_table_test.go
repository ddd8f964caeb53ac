//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A streamTable has the streams that were added and not removed, with and without a map, and rests without one.
func TestStreamTable(t *testing.T) {
	var empty *streamTable
	require.Nil(t, empty.get(0))
	require.Empty(t, slices.Collect(empty.all()))
	require.Nil(t, empty.rest())
	require.Zero(t, empty.len())
	empty.remove(0)
	table, own := new(streamTable), map[StreamID]*Stream{}
	check := func() {
		t.Helper()
		require.Len(t, slices.Collect(table.all()), len(own))
		require.Equal(t, len(own), table.len())
		for id, s := range own {
			require.Same(t, s, table.get(id))
		}
		require.Nil(t, table.get(4000))
		for range table.all() {
			break // is permitted
		}
	}
	for n := range StreamID(100) {
		s := &Stream{id: 4 * n}
		table.add(s)
		own[s.id] = s
		check()
	}
	require.Same(t, table, table.rest(), "a table with many streams")
	for n := StreamID(99); n >= 3; n-- {
		table.remove(4 * n)
		delete(own, 4*n)
		check()
	}
	require.NotNil(t, table.many)
	table = table.rest()
	check()
	require.Nil(t, table.many)
	require.Equal(t, 3, cap(table.few))
	for n := range StreamID(3) {
		table.remove(4 * n)
		delete(own, 4*n)
		check()
	}
	require.Nil(t, table.rest())
}

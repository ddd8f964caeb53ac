package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func connID(s string) ConnID {
	id, ok := MakeConnID(unhex(s))
	if !ok {
		panic("connection ID too long")
	}
	return id
}

func TestConnID(t *testing.T) {
	raw := unhex("8394c8f03e515708")
	id, ok := MakeConnID(raw)
	require.True(t, ok)
	require.Equal(t, 8, id.Len())
	require.Equal(t, raw, id.Bytes())
	require.Equal(t, "8394c8f03e515708", id.String())
	require.Equal(t, append([]byte{1}, raw...), id.AppendTo([]byte{1}))
	raw[0]++
	require.NotEqual(t, raw, id.Bytes(), "the ID is a copy")
}

func TestConnIDLengths(t *testing.T) {
	id, ok := MakeConnID(nil)
	require.True(t, ok)
	require.Equal(t, ConnID{}, id)
	_, ok = MakeConnID(make([]byte, MaxConnIDLen))
	require.True(t, ok)
	_, ok = MakeConnID(make([]byte, MaxConnIDLen+1))
	require.False(t, ok)
}

func TestConnIDsOfZerosDifferByLength(t *testing.T) {
	require.NotEqual(t, connID("00"), connID("0000"))
	m := map[ConnID]int{connID(""): 0, connID("00"): 1, connID("0000"): 2}
	require.Equal(t, 1, m[connID("00")])
}

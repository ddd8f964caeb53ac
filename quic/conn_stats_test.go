package quic

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
)

// Every reason for which the core drops a packet or datagram has a counter for applications.
func TestEveryDropIsReported(t *testing.T) {
	sum := func(counters any) (n uint64) {
		v := reflect.ValueOf(counters)
		for i := range v.NumField() {
			n += v.Field(i).Uint()
		}
		return n
	}
	for r := core.DropNone + 1; r < core.NumDropReasons; r++ {
		var counts core.DropCounts
		counts[r] = 1
		conn, endpoint := sum(packetDrops(&counts)), sum(datagramDrops(counts))
		require.Positive(t, conn+endpoint, "%v is not reported", r)
		require.LessOrEqual(t, max(conn, endpoint), uint64(1), "%v is reported twice", r)
		require.NotEmpty(t, r.String())
	}
}

// Every counter of the core is in ConnStats.
func TestConnStatsAreComplete(t *testing.T) {
	var in core.Stats
	n := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		for i := range v.NumField() {
			n++
			switch f := v.Field(i); {
			case f.CanInt():
				f.SetInt(int64(n))
			case f.CanUint():
				f.SetUint(uint64(n))
			case f.Kind() == reflect.Struct:
				fill(f)
			}
		}
	}
	v := reflect.ValueOf(&in).Elem()
	fill(v)
	out := reflect.ValueOf(connStats(in))
	for _, f := range reflect.VisibleFields(v.Type()) {
		if !f.Anonymous && f.Name != "Drops" {
			got := out.FieldByName(f.Name)
			require.True(t, got.IsValid(), f.Name)
			require.Equal(t, v.FieldByIndex(f.Index).Interface(), got.Convert(f.Type).Interface(), f.Name)
		}
	}
}

package quic

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
)

// Every reason for which the core drops something has a counter that applications can read.
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

// Every counter of the core reaches ConnStats.
func TestConnStatsAreComplete(t *testing.T) {
	var in core.Stats
	v := reflect.ValueOf(&in).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case f.CanInt():
			f.SetInt(int64(i + 1))
		case f.CanUint():
			f.SetUint(uint64(i + 1))
		}
	}
	out := reflect.ValueOf(connStats(in))
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Name != "Drops" {
			require.Equal(t, v.Field(i).Interface(), out.FieldByName(f.Name).Interface(), f.Name)
		}
	}
}

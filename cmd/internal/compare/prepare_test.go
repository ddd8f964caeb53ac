package compare

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBlockWithin(t *testing.T) {
	s := Study{Connections: 10_000, Blocks: 10, Limit: 25 * time.Second}
	for _, c := range []struct {
		rate float64
		want int
	}{
		{1000, 0}, // 25,000 in the time
		{400, 0},  // just enough
		{399, 997},
		{50, 125},
		{0.01, 1},
	} {
		require.Equal(t, c.want, s.blockWithin(c.rate), "%v", c.rate)
	}
	s.Limit = 0
	require.Zero(t, s.blockWithin(0.01), "no limit")
}

package monotime

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMinTakesZeroForNever(t *testing.T) {
	require.Equal(t, Time(5), Min(5, 0))
	require.Equal(t, Time(5), Min(0, 5))
	require.Equal(t, Time(3), Min(5, 3))
	require.True(t, Min(0, 0).IsZero())
}

func TestArithmetic(t *testing.T) {
	a := Time(1000)
	b := a.Add(time.Microsecond)
	require.Equal(t, time.Microsecond, b.Sub(a))
	require.True(t, a.Before(b))
	require.True(t, b.After(a))
	require.False(t, b.Before(a))
	require.False(t, a.After(b))
	require.False(t, a.Before(a))
	require.Equal(t, -time.Microsecond, a.Sub(b))
	require.False(t, a.IsZero())
}

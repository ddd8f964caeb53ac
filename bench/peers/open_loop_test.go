//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// An open loop starts calls at their times and says how each ended. Refusals are not failures.
func TestOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval, limit = 10 * time.Millisecond, 50 * time.Millisecond
		var calls atomic.Int32
		d := offer(5, interval, limit, func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, limit, time.Until(deadline), "calls do not wait for each other")
			switch calls.Add(1) {
			case 1:
				<-ctx.Done()
				return ctx.Err()
			case 2:
				return fmt.Errorf("dial: %w", errRefusedByServer)
			case 3:
				return errors.New("broken")
			case 4:
				time.Sleep(limit / 2)
			}
			return nil
		})
		require.Equal(t, done{amount: 2, elapsed: 4 * interval, p99: 0, failed: 1, late: 1, refused: 1}, d)
		require.Equal(t, int64(5), d.offered())
	})
}

// A server that asks more clients to validate their addresses than there are handshakes that are not done has handled the whole
// surplus.
func TestSurplus(t *testing.T) {
	load := done{amount: 40, failed: 1, late: 50, refused: 9}
	for handled, want := range map[int64]float64{0: 0, 9: 15, 60: 100, 130: 100} {
		require.InDelta(t, want, load.surplus(handled), 1e-9, "%d clients", handled)
	}
	require.InDelta(t, 100, done{amount: 5}.surplus(0), 1e-9, "no surplus")
}

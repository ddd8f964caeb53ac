//go:build !race && !pqquic_fips && !pqquic_fips4

package quic

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A thousand handshakes that wait for a slow Signer delay neither established connections nor new ones, whether those
// need no Signer or another one. They succeed when the Signer answers, and fail at the deadline if it does not.
func TestThousandHandshakesWaitForSigner(t *testing.T) {
	waiting, batch := 1000, 50
	if testing.Short() {
		waiting = 200
	}
	eachProvider(t, func(t *testing.T, p tlsprovider.Provider) {
		for _, answers := range []bool{true, false} {
			t.Run(map[bool]string{true: "answers", false: "does not answer"}[answers], func(t *testing.T) {
				cfg := serverConfig()
				cfg.Provider = p
				inSigningWorld(t, cfg, func(t *testing.T, w *signingWorld) {
					client, server := w.connect()
					w.other.release()
					before, memory := runtime.NumGoroutine(), heapInUse()
					results := make(chan error, waiting)
					for range waiting / batch { // the network in memory drops larger bursts
						dials := w.dial(t.Context(), "slow", batch)
						advance(50 * time.Millisecond)
						go func() {
							for range batch {
								results <- <-dials
							}
						}()
					}
					require.Equal(t, waiting, w.server.Stats().Signing)
					inside := min(waiting, defaultSigners/2)
					require.EqualValues(t, inside, w.slow.running.Load())
					goroutines, heap := runtime.NumGoroutine()-before, heapInUse()-memory
					t.Logf("%.1f goroutines and %d bytes of heap for each waiting handshake, of client and server together",
						float64(goroutines)/float64(waiting), heap/waiting)
					require.Less(t, goroutines, 6*waiting+50)
					require.Less(t, heap, waiting*100_000)

					began := time.Now()
					w.stream(client, server)
					require.NoError(t, <-w.dial(t.Context(), testProto, 1))
					require.NoError(t, <-w.dial(t.Context(), "other", 1))
					require.Less(t, time.Since(began), 200*time.Millisecond, "a few round trips of virtual time")

					if answers {
						w.slow.release()
						for range waiting {
							require.NoError(t, <-results)
						}
						require.EqualValues(t, waiting, w.slow.calls.Load())
						require.Zero(t, w.server.Stats().Signing)
						return
					}
					for range waiting {
						requireTransportError(t, <-results, 0x100+TransportErrorCode(tlsprovider.AlertInternalError), true)
					}
					require.InDelta(t, 5*time.Second, time.Since(began)+time.Second, float64(time.Second))
					s := w.server.Stats()
					require.Zero(t, s.Signing)
					require.EqualValues(t, waiting, s.SignTimeouts)
					require.Equal(t, inside, s.StuckSigners)
					w.stream(client, server)
					w.slow.release()
					synctest.Wait()
					require.Zero(t, w.server.Stats().StuckSigners)
				})
			})
		}
	})
}

// heapInUse returns the size of the live heap.
func heapInUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

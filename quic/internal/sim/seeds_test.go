package sim

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// seedVariable names the environment variable that selects one world to replay: PQQUIC_SIM_SEED=17 go test
// -run '^TestRandomWorlds$'.
const seedVariable = "PQQUIC_SIM_SEED"

// These variables make a long hunt of the tests with random worlds: how many seeds to run, and the first one.
const (
	huntVariable  = "PQQUIC_SIM_SEEDS"
	firstVariable = "PQQUIC_SIM_FIRST"
)

// hunted returns the seeds of a long hunt, if the environment asks for one.
func hunted(t *testing.T) (first, end uint64, ok bool) {
	t.Helper()
	s := os.Getenv(huntVariable)
	if s == "" {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err, huntVariable)
	if s := os.Getenv(firstVariable); s != "" {
		first, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err, firstVariable)
	}
	return first, first + n, true
}

// seeds returns the numbers below n, or the one in the environment, or those of a long hunt. If the test fails, it logs
// how to replay the seed.
func seeds(t *testing.T, n uint64) iter.Seq[uint64] {
	t.Helper()
	first, end := uint64(0), n
	if a, b, ok := hunted(t); ok {
		first, end = a, b
	}
	if s := os.Getenv(seedVariable); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err, seedVariable)
		first, end = seed, seed+1
	}
	return func(yield func(uint64) bool) {
		seed, done := first, false
		defer func() {
			if t.Failed() || !done {
				t.Logf("to replay: %s=%d go test ./quic/internal/sim -run '^%s$'", seedVariable, seed,
					strings.ReplaceAll(t.Name(), "/", "$/^"))
			}
		}()
		for ; seed < end && !t.Failed(); seed++ {
			if ran := seed - first; ran > 0 && ran%10_000 == 0 {
				t.Logf("%d of %d seeds", ran, end-first)
			}
			if !yield(seed) {
				break
			}
		}
		done = true
	}
}

// atMost returns how many worlds a test runs: n, or short with -short. Runs with the race detector, which
// is ten times slower, use -short.
func atMost(n, short uint64) uint64 {
	if testing.Short() {
		return short
	}
	return n
}

// replaying reports whether a test runs only the one seed of the environment.
func replaying() bool { return os.Getenv(seedVariable) != "" }

// counted is a provider that counts its objects in use.
type counted interface {
	Live() (handles, bytes int64)
}

// runAndClose runs all transfers of a pair, closes it, lets both sides drain, and requires that nothing is
// left of either.
func runAndClose(t *testing.T, o Options, p tlsprovider.Provider) {
	t.Helper()
	pair, c := run(t, o, 20*time.Minute)
	c.Close(pair.Now(), true, 7, "done")
	c.drive()
	require.NoError(t, pair.RunFor(5*time.Minute))
	require.Empty(t, pair.Client.Conns)
	require.Empty(t, pair.Server.Conns)
	if l, ok := p.(counted); ok {
		handles, _ := l.Live()
		require.Zero(t, handles)
	}
}

// digests returns the digests of a few worlds.
func digests(t *testing.T) (out []uint32) {
	t.Helper()
	for seed := range uint64(30) {
		p, _ := run(t, randomOptions(seed, fake.New(fake.Options{Seed: seed})), 20*time.Minute)
		out = append(out, p.Digest())
	}
	return out
}

// The same seed results in the same world to the byte, even in another process. Otherwise a failure could
// not be replayed.
func TestDeterminism(t *testing.T) {
	const child = "PQQUIC_SIM_CHILD"
	line := fmt.Sprintf("digests %x\n", digests(t))
	if os.Getenv(child) != "" {
		fmt.Print(line)
		return
	}
	require.Equal(t, line, fmt.Sprintf("digests %x\n", digests(t)))
	cmd := exec.Command(os.Args[0], "-test.run=^TestDeterminism$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.True(t, bytes.Contains(out, []byte(line)), "%s, there %s", line, out)
}

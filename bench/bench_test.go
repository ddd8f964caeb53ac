package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// TestRunsEachBenchmark runs each benchmark of `make bench` as short as possible, without the C program.
func TestRunsEachBenchmark(t *testing.T) {
	ours, err := providers()
	if errors.Is(err, s2n.ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	b := &bench{rounds: 1, time: time.Millisecond}
	require.NoError(t, b.run())
	for _, r := range ratios {
		for _, name := range []string{r.of, r.to} {
			want := 1
			if name == "Handshake/s2n/X25519MLKEM768" && !hasGroup(ours[0], tlsprovider.X25519MLKEM768) {
				want = 0 // as in the variants openssl and historic
			}
			if !strings.Contains(name, "/c/") && !strings.HasSuffix(name, "/c") {
				require.Len(t, b.results[name], want, name)
			}
		}
	}
}

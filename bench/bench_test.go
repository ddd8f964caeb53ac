package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// TestRunsEachBenchmark runs each benchmark of `make bench` as short as possible, without the C program.
func TestRunsEachBenchmark(t *testing.T) {
	if _, err := s2n.New(); errors.Is(err, s2n.ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") == "" {
		t.Skip(err)
	}
	b := &bench{rounds: 1, time: time.Millisecond}
	require.NoError(t, b.run())
	for _, r := range ratios {
		for _, name := range []string{r.of, r.to} {
			if !strings.Contains(name, "/c/") && !strings.HasSuffix(name, "/c") {
				require.Len(t, b.results[name], 1, name)
			}
		}
	}
}

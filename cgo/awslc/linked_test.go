package awslc

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireLinked skips a test if the C library is not linked, or fails it if PQQUIC_REQUIRE_LINKED is 1.
func requireLinked(t testing.TB) {
	t.Helper()
	err := Linked()
	if errors.Is(err, ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") != "1" {
		t.Skip("needs the C library: run `make build`")
	}
	require.NoError(t, err)
}

var rfcDCID = []byte{0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08}

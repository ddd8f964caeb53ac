package awslc

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInterfaceNumber fails when the interface of the C library has changed and the number in the name of pqq_init has not:
// a program would then link with an installed archive of the old interface, and C would misread the arguments. Raise the
// number, and put the hash that the failure prints beside it.
func TestInterfaceNumber(t *testing.T) {
	const number, hash = "pqq_init_1", "8b23e79c77d5"
	header, err := os.ReadFile("../c/include/pqquic.h")
	require.NoError(t, err)
	code := regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(header), "")
	code = strings.Join(strings.Fields(code), " ")
	require.Contains(t, code, number+",")
	sum := sha256.Sum256([]byte(code))
	require.Equal(t, hash, hex.EncodeToString(sum[:6]), "the interface has changed: raise the number in the name of %s", number)
}

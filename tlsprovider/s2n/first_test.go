package s2n

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestReadyBeforeFirstHandshake checks that New initializes AWS-LC completely. If it left self-tests and the
// entropy source to the first handshake, that would take tens of milliseconds longer than others. The state of the
// entropy source is the largest allocation of AWS-LC, so the test measures memory before and after the handshake.
func TestReadyBeforeFirstHandshake(t *testing.T) {
	newProvider(t)
	const child = "PQQUIC_FIRST_HANDSHAKE"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestReadyBeforeFirstHandshake$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "first handshake")
		return
	}
	runtime.LockOSThread() // AWS-LC keeps some memory for each thread
	defer runtime.UnlockOSThread()
	ready := awslc.Live().CryptoBytes
	t.Run("handshake", func(t *testing.T) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		client, server, _ := tlstest.Configs(t)
		newPair(t, newProvider(t), client, server).MustRun(t)
	})
	grown := awslc.Live().CryptoBytes - ready
	fmt.Println("first handshake:", ready, grown)
	if ready > 0 { // 0 if AWS-LC's allocator cannot be replaced
		require.Less(t, grown, ready/4)
		require.Greater(t, ready, int64(100<<10))
	}
}

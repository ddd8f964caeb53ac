package interop

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

var nativeProvider = native.New()

// holdings counts what our providers hold: sessions, keys, and bytes of C memory.
type holdings struct{ native, handles, bytes int64 }

func held() (h holdings) {
	h.native, _ = nativeProvider.Live()
	c := awslc.Live()
	h.handles, h.bytes = c.Handles, c.TLSBytes
	return h
}

// TestMain fails if one of our connections leaves something allocated after it ends, however it ended.
func TestMain(m *testing.M) {
	_, _ = s2n.New(s2n.AllowClassical()) // allocates what the library keeps permanently
	before := held()
	code := m.Run()
	// The last connections are still draining (RFC 9000, section 10.2).
	for limit := time.Now().Add(30 * time.Second); held() != before && time.Now().Before(limit); {
		runtime.Gosched()
	}
	if left := held(); code == 0 && left != before {
		fmt.Fprintf(os.Stderr, "left behind: %+v; there was %+v before\n", left, before)
		code = 1
	}
	os.Exit(code)
}

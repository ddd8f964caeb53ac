//go:build !linux

package capture

import (
	"fmt"
	"runtime"
)

// Listen captures from a network interface. It is available only on Linux.
func Listen(name string) (Source, error) {
	return nil, fmt.Errorf("interface %q: live capture is not supported on %s; use a pipe: "+
		"`tcpdump -i %s -U -w - | pqinspect -`", name, runtime.GOOS, name)
}

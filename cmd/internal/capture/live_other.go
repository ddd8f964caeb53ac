//go:build !linux

package capture

import (
	"fmt"
	"runtime"
)

// Listen captures from a network interface, on Linux only.
func Listen(name string) (Source, error) {
	return nil, fmt.Errorf("interface %q: live capture is not built for %s; pipe instead: "+
		"`tcpdump -i %s -U -w - | pqinspect -`", name, runtime.GOOS, name)
}

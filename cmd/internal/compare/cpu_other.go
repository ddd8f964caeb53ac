//go:build !linux

package compare

import "errors"

// cpuSeconds is not available on other systems without C.
func cpuSeconds(int) (float64, error) { return 0, errors.ErrUnsupported }

//go:build unix

package drivercli

import (
	"fmt"
	"os"
	"syscall"
)

// replace executes the driver at path in this process.
func replace(path string, err error) error {
	if err != nil {
		return err
	}
	if err := syscall.Exec(path, append([]string{path}, others(os.Args[1:])...), os.Environ()); err != nil {
		return fmt.Errorf("driver %s: %w", path, err)
	}
	return nil
}

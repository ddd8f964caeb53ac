//go:build !unix

package drivercli

import (
	"errors"
	"os"
	"os/exec"
)

// replace runs the driver at path instead of this program and exits with its status.
func replace(path string, err error) error {
	if err != nil {
		return err
	}
	c := exec.Command(path, others(os.Args[1:])...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	return err
}

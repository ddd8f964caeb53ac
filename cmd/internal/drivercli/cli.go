// Package drivercli is the command line that all of netbench's drivers share: server FILE and client
// FILE, with the flags and the environment of s2n-netbench's.
package drivercli

import (
	"errors"

	"github.com/spf13/cobra"
)

// Failed says that the driver did its work, and that something in it failed.
type Failed struct{ Err error }

func (f *Failed) Error() string { return f.Err.Error() }
func (f *Failed) Unwrap() error { return f.Err }

// A Stack is a transport that a program has.
type Stack struct{ Name string }

// NewServer is the command "server FILE".
func NewServer([]Stack) *cobra.Command {
	return &cobra.Command{Use: "server FILE", RunE: func(*cobra.Command, []string) error { return errors.New("not yet") }}
}

// NewClient is the command "client FILE".
func NewClient([]Stack) *cobra.Command {
	return &cobra.Command{Use: "client FILE", RunE: func(*cobra.Command, []string) error { return errors.New("not yet") }}
}

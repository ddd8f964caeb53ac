package main

import "github.com/pqquic/pqquic/cmd/internal/drivercli"

// stacks are the transports that netbench has built in, the first being the default.
func stacks() []drivercli.Stack { return nil }

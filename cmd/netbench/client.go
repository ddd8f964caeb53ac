package main

import (
	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/drivercli"
)

func newClientCommand() *cobra.Command { return drivercli.NewClient(stacks()) }

package main

import (
	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/drivercli"
)

func newServerCommand() *cobra.Command { return drivercli.NewServer(stacks()) }

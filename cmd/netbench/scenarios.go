package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newScenariosCommand() *cobra.Command {
	return &cobra.Command{Use: "scenarios [OUT_DIR]", Short: "Write the scenario files",
		RunE: func(*cobra.Command, []string) error { return errors.New("not yet") }}
}

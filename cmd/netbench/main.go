// Command netbench measures QUIC: it makes the scenarios of s2n-netbench, runs their servers and
// clients, samples them, draws reports, and compares configurations with one another.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/about"
	"github.com/pqquic/pqquic/cmd/internal/drivercli"
)

func main() { os.Exit(run(newCommand(), os.Stderr)) }

// run executes the command and says how the process should exit: 0; 1 when what was asked for was done
// and did not succeed throughout, as a client of which a connection failed; 2 for a wrong command line,
// a file that cannot be read and the like.
func run(c *cobra.Command, complain *os.File) int {
	err := c.Execute()
	var failed *drivercli.Failed
	var driver exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &driver):
		return int(driver)
	case errors.As(err, &failed):
		fmt.Fprintln(complain, "netbench:", err)
		return 1
	}
	fmt.Fprintln(complain, "netbench:", err)
	return 2
}

func newCommand() *cobra.Command {
	var licenses bool
	c := &cobra.Command{
		Use:   "netbench",
		Short: "Measure QUIC, with and without post-quantum key exchange",
		Long: `netbench makes scenarios, runs their servers and clients, samples them, and reports.
Its files are those of s2n-netbench, in both directions.

Exit status: 0; 1 when a connection failed; 2 for a wrong command line or file.`,
		Example: `  netbench scenarios build/scenarios --request_response.connections 10000 \
    --request_response.request_size 1 --request_response.response_size 1
  netbench server build/scenarios/request_response.json
  SERVER_0=localhost:4433 netbench client --summary build/scenarios/request_response.json`,
		Version:       about.Version(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if licenses {
				fmt.Fprint(cmd.OutOrStdout(), about.Licenses())
				return nil
			}
			return cmd.Help()
		},
	}
	c.Flags().BoolVar(&licenses, "licenses", false, "show the licences of this program and of what is linked into it")
	c.AddCommand(
		newScenariosCommand(),
		newServerCommand(),
		newClientCommand(),
		newCompareCommand(),
		newCollectCommand(),
		newReportCommand(),
		newReportTreeCommand(),
	)
	return c
}

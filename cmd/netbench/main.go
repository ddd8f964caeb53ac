// Command netbench measures QUIC. It makes the scenarios of s2n-netbench, runs their servers and clients,
// samples them, draws reports, and compares configurations.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/cmd/internal/drivercli"
	"github.com/pqquic/pqquic/cmd/internal/transport/pq"
	"github.com/pqquic/pqquic/cmd/internal/transport/tcp"
)

func main() { os.Exit(run(newCommand(), os.Stderr)) }

// run executes the command and returns the exit status: 0; 1 if the command ran but something in it failed,
// such as a client's connection; 2 for an invalid command line, a file that cannot be read and similar
// errors.
func run(c *cobra.Command, stderr *os.File) int {
	err := c.Execute()
	var driver exitStatus
	if errors.As(err, &driver) {
		return int(driver)
	}
	if err != nil {
		fmt.Fprintln(stderr, "netbench:", cli.OneLine(err))
	}
	return cli.Status[*drivercli.Failed](err)
}

func newCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "netbench",
		Short: "Measure QUIC, with and without post-quantum key exchange",
		Long: `netbench makes scenarios, runs their servers and clients, samples them, and reports.
It reads and writes the files of s2n-netbench.

Exit status: 0; 1 if a connection failed; 2 for an invalid command line or file.`,
		Example: `  netbench scenarios build/scenarios --request_response.connections 10000 \
    --request_response.request_size 1 --request_response.response_size 1
  netbench server build/scenarios/request_response.json
  SERVER_0=localhost:4433 netbench client --summary build/scenarios/request_response.json`,
		Version: pq.VersionNote(),
		Args:    cobra.NoArgs,
	}
	c.AddCommand(
		newScenariosCommand(),
		drivercli.NewServer(stacks()),
		drivercli.NewClient(stacks()),
		newCompareCommand(),
		newCollectCommand(),
		newReportCommand(),
		newReportTreeCommand(),
	)
	return cli.New(c)
}

// stacks returns the built-in transports. The first is the default.
func stacks() []drivercli.Stack {
	return []drivercli.Stack{{Name: "pqquic", New: pq.New}, {Name: "tcp", New: tcp.New}}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/about"
	"github.com/pqquic/pqquic/cmd/internal/collect"
)

// exitStatus is an error that carries only a driver's exit status.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("the driver ended with status %d", int(e)) }

func newCollectCommand() *cobra.Command {
	o := collect.Options{Version: about.Version()}
	var out string
	c := &cobra.Command{
		Use:   "collect [-s FILE] [-i 1s] [-o OUT] -- DRIVER [ARGS...]",
		Short: "Run a driver, sample it, and write statistics of the run",
		Long: `collect runs a driver with TRACE=disabled and SCENARIO=FILE, samples its process, and writes
JSON lines in the format of s2n-netbench's collector, with measured times and memory in bytes. CPU time,
memory and context switches need no privileges. Performance counters are read if the kernel permits it;
otherwise the last line notes that they are missing.

netbench's drivers write what only they know (connections, bytes, latencies) to the descriptor in
NETBENCH_STATS_FD. For other drivers, such as those of s2n-netbench, only the samples are known; the last
line and the report note this.

SIGINT, SIGTERM and similar signals are forwarded to the driver. Exit status: the driver's; 128 plus the
signal's number if a signal ended it; 2 if it could not be run.`,
		Example: `  SERVER_0=localhost:4433 netbench collect -o client.json -- netbench client request_response.json
  netbench collect -s request_response.json ./s2n-netbench-driver-client-s2n-quic > client.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			o.Program, o.Args = args[0], args[1:]
			o.Out, o.Stdout, o.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr(), cmd.ErrOrStderr()
			if out != "" && out != "-" {
				f, cerr := os.Create(out)
				if cerr != nil {
					return cerr
				}
				defer func() { err = errors.Join(err, f.Close()) }()
				// The driver's own output, such as a client's --summary, is then kept separate from ours.
				o.Out, o.Stdout = io.Writer(f), cmd.OutOrStdout()
			}
			status, err := collect.Run(cmd.Context(), o)
			if err == nil && status != 0 {
				return exitStatus(status)
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVarP(&o.Scenario, "scenario", "s", os.Getenv("SCENARIO"), "pass this `FILE` to the driver in SCENARIO, and use its trace names (default: $SCENARIO)")
	f.DurationVarP(&o.Interval, "interval", "i", time.Second, "time between two samples, at least 50ms")
	f.StringVarP(&out, "output", "o", "", "write to `FILE` instead of standard output")
	return c
}

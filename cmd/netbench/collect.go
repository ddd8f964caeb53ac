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

// exitStatus is an error that is nothing but the status of a driver, which is passed on.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("the driver ended with status %d", int(e)) }

func newCollectCommand() *cobra.Command {
	o := collect.Options{Version: about.Version()}
	var out string
	c := &cobra.Command{
		Use:   "collect [-s FILE] [-i 1s] [-o OUT] -- DRIVER [ARGS...]",
		Short: "Run a driver, sample it, and write the statistics of its run",
		Long: `collect runs a driver with TRACE=disabled and SCENARIO=FILE, samples its process, and writes
JSON lines: those of s2n-netbench's collector, with measured times and memory in bytes. CPU time, memory
and context switches need no privileges; performance counters are read where the kernel permits it
(otherwise the last line says that it did not).

What only the driver knows (connections, bytes, latencies) it writes itself, to the descriptor that
NETBENCH_STATS_FD names; netbench's drivers do. Of one that does not, as those of s2n-netbench, only what
was sampled is known, and the last line and the report say so.

SIGINT, SIGTERM and the like are passed on to the driver. Exit status: the driver's; 128 and the signal's
number when one ended it; 2 when it could not be run.`,
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
				// The driver's own output, as a client's --summary, does not mix with ours then.
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
	f.StringVarP(&o.Scenario, "scenario", "s", os.Getenv("SCENARIO"), "pass this `FILE` on in SCENARIO, and name its traces (default: $SCENARIO)")
	f.DurationVarP(&o.Interval, "interval", "i", time.Second, "time between two samples, at least 50ms")
	f.StringVarP(&out, "output", "o", "", "write to `FILE` instead of standard output")
	return c
}

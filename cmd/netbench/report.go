package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/about"
	"github.com/pqquic/pqquic/cmd/internal/report"
)

func newReportCommand() *cobra.Command {
	var page, vega, chart, svg, png string
	c := &cobra.Command{
		Use:   "report FILE... [-o report.html]",
		Short: "Present statistics files as a page, a chart, or a specification for Vega",
		Long: `report reads files of netbench collect or of s2n-netbench's collector and writes one page that
needs only a browser: rates, CPU time per connection and byte, memory, latencies, a summary with
confidence intervals, and a description of the compared runs. Damaged lines, such as the last one of a run
that was killed, are reported on the page and left out.

The page goes to standard output unless -o names a file; with --vega, --svg or --png it is written only
if -o is given.`,
		Example: `  netbench report client-x25519.json client-mlkem.json -o report.html
  netbench report client.json --chart connection-rate --svg rate.svg
  netbench report client.json server.json --vega report.vega.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if (svg != "" || png != "") != (chart != "") {
				return errors.New("--chart needs --svg or --png, and these need --chart")
			}
			inputs, err := report.ReadFiles(files)
			if err != nil {
				return err
			}
			for _, in := range inputs {
				for _, p := range in.Run.Problems {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", in.Name, p)
				}
			}
			type output struct {
				file  string
				write func(io.Writer) error
			}
			var outputs []output
			if page != "" || vega == "" && chart == "" {
				outputs = append(outputs, output{page, func(w io.Writer) error { return report.WritePage(w, inputs, about.Version()) }})
			}
			if vega != "" {
				outputs = append(outputs, output{vega, func(w io.Writer) error { return report.WriteVega(w, inputs) }})
			}
			for _, o := range []struct{ file, format string }{{svg, "svg"}, {png, "png"}} {
				if o.file != "" {
					outputs = append(outputs, output{o.file, func(w io.Writer) error { return report.WriteChart(w, inputs, chart, o.format) }})
				}
			}
			for _, o := range outputs {
				if err := writeWhole(cmd.OutOrStdout(), o.file, o.write); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVarP(&page, "output", "o", "", "write the page to `FILE`")
	f.StringVar(&vega, "vega", "", "write a specification for Vega 5 to `FILE`, like s2n-netbench report")
	f.StringVar(&chart, "chart", "", "draw the chart of this `NAME`: "+
		"connection-rate, throughput, cpu, cpu-per-connection, cpu-per-byte, memory, latency-connect, latency-ttfb, latency-request, trace-NAME")
	f.StringVar(&svg, "svg", "", "write the chart to `FILE` as SVG")
	f.StringVar(&png, "png", "", "write the chart to `FILE` as PNG")
	c.RegisterFlagCompletionFunc("chart", func(_ *cobra.Command, files []string, _ string) ([]string, cobra.ShellCompDirective) {
		inputs, err := report.ReadFiles(files)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return report.Charts(inputs), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

// writeWhole writes a file completely or not at all. Without a name, or with "-", it writes to standard
// output.
func writeWhole(stdout io.Writer, file string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	if file == "" || file == "-" {
		_, err := stdout.Write(b.Bytes())
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

func newReportTreeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report-tree INPUT_DIR OUT_DIR",
		Short: "Make a page for each scenario in a folder of statistics files",
		Long: `report-tree reads INPUT_DIR/SCENARIO/DRIVER/*.json and writes OUT_DIR/SCENARIO/index.html,
with clients and servers on one page, and OUT_DIR/index.html with links to them. The pages open without
a web server or Internet access.`,
		Example: "  netbench report-tree target/s2n-netbench/results target/s2n-netbench/report",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			written, skipped, err := report.WriteTree(args[0], args[1], about.Version())
			for _, s := range skipped {
				fmt.Fprintln(cmd.ErrOrStderr(), "skipped:", strings.TrimSpace(s))
			}
			for _, w := range written {
				fmt.Fprintln(cmd.ErrOrStderr(), "created:", w)
			}
			return err
		},
	}
}

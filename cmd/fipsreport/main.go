// Command fipsreport makes connections of each kind and prints each service of the FIPS module that they used, and whether
// the module's service indicator counted it as approved. `make fips-report` builds and runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cgo/fipsreport"
	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// errUnexplained means that a service was not approved and that reasons.go gives no reason.
var errUnexplained = errors.New("services were not approved")

func main() {
	cli.Main(newCommand(), func(err error) int {
		if errors.Is(err, errUnexplained) {
			return cli.StatusFailed
		}
		return cli.StatusError
	})
}

func newCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "fipsreport",
		Short: "Show which operations of QUIC connections the FIPS module counts as approved",
		Long: `fipsreport makes connections of each kind between two endpoints in this process, and prints, in Markdown, each
cryptographic service that they used and whether the service indicator of AWS-LC counted it as approved. What is not
approved has a letter, and the reason is below the table. See docs/fips.md.

It needs the archive of scripts/build fips --report and the tags pqquic_fips and pqquic_report.

Exit status: 0; 1 if a service was not approved for no known reason; 2 if a connection failed, and for an invalid
command line.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return report(cmd.Context(), cmd.OutOrStdout()) },
	}
	return cli.New(c)
}

// report makes the connections and prints the tables.
func report(ctx context.Context, w io.Writer) error {
	if _, err := fipsreport.Rows(); err != nil {
		return err
	}
	prov, err := s2n.New()
	if err != nil {
		return err
	}
	results, err := connections(ctx, prov)
	if err != nil {
		return err
	}
	caps := prov.Capabilities()
	if err := write(w, fmt.Sprintf("%s, in %s", caps.FIPS.Version, caps.Library), results); err != nil {
		return err
	}
	if problems := unexplained(results); len(problems) > 0 {
		for _, p := range problems {
			fmt.Fprintln(os.Stderr, p)
		}
		return fmt.Errorf("%w in %d cases without a known reason", errUnexplained, len(problems))
	}
	return nil
}

// connections makes connections of each kind.
func connections(ctx context.Context, prov tlsprovider.Provider) (results []result, err error) {
	caps := prov.Capabilities()
	for _, k := range append(kinds(caps), keyed(offersMLDSA(caps))...) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		err := run(ctx, prov, k)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		rows, err := fipsreport.Rows()
		if err != nil {
			return nil, err
		}
		results = append(results, resultOf(k.name, rows))
	}
	return results, nil
}

func offersMLDSA(caps tlsprovider.Capabilities) bool {
	for _, s := range caps.SignatureSchemes {
		if s.PostQuantum() {
			return true
		}
	}
	return false
}

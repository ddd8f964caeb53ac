package drivercli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/about"
)

// Main is the main function of a program that is a driver for one stack.
func Main(name string, s Stack) {
	stacks := []Stack{s}
	var licenses bool
	c := &cobra.Command{
		Use: name, Short: "Run the scenarios of netbench on " + s.Name, Version: about.Version(),
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		Example: "  " + name + " server FILE\n  SERVER_0=localhost:4433 " + name + " client --summary FILE",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if licenses {
				fmt.Fprint(cmd.OutOrStdout(), about.Licenses())
				return nil
			}
			return cmd.Help()
		},
	}
	c.Flags().BoolVar(&licenses, "licenses", false, "show the licences of this program and of what is linked into it")
	c.AddCommand(NewServer(stacks), NewClient(stacks))
	os.Exit(Status(name, c.Execute()))
}

// Status is the exit status for the error of a command, about which it complains.
func Status(name string, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	if errors.As(err, new(*Failed)) {
		return 1
	}
	return 2
}

// RefuseTCP is an error about options that do nothing on QUIC.
func (o *Options) RefuseTCP() error {
	if o.Given == nil {
		return nil
	}
	for _, flag := range []string{"rx-buffer", "tx-buffer"} {
		if o.Given(flag) {
			return fmt.Errorf("--%s: this is of the tcp driver: QUIC is on UDP", flag)
		}
	}
	if o.Given("multiplex") && !o.Multiplex {
		return errors.New("--multiplex=false: a connection of QUIC always has many streams")
	}
	return nil
}

// Refuse is an error about options of the QUIC stack inside of package quic, which others do not have.
func (o *Options) Refuse(stack string) error {
	if err := o.RefuseTCP(); err != nil {
		return err
	}
	for _, c := range []struct {
		set  bool
		flag string
	}{
		{o.Provider != "" && o.Provider != "native", "--provider " + o.Provider}, {o.Policy != "", "--policy"},
		{o.CongestionControl != "", "--congestion-control"}, {o.MaxMTU != 0, "--max-mtu"},
	} {
		if c.set {
			return fmt.Errorf("%s: the driver on %s and crypto/tls has no such choice", c.flag, stack)
		}
	}
	return nil
}

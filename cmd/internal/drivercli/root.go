package drivercli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/cli"
)

// Main is the main function of a driver for one stack.
func Main(name string, s Stack) {
	stacks := []Stack{s}
	c := &cobra.Command{
		Use: name, Short: "Run the scenarios of netbench on " + s.Name,
		Args:    cobra.NoArgs,
		Example: "  " + name + " server FILE\n  SERVER_0=localhost:4433 " + name + " client --summary FILE",
	}
	c.AddCommand(NewServer(stacks), NewClient(stacks))
	cli.Main(cli.New(c), cli.Status[*Failed])
}

// RefuseTCP returns an error for options that apply only to TCP.
func (o *Options) RefuseTCP() error {
	if o.Given == nil {
		return nil
	}
	for _, flag := range []string{"rx-buffer", "tx-buffer"} {
		if o.Given(flag) {
			return fmt.Errorf("--%s applies only to the tcp driver", flag)
		}
	}
	if o.Given("multiplex") && !o.Multiplex {
		return errors.New("--multiplex=false applies only to the tcp driver: a QUIC connection always has several streams")
	}
	return nil
}

// Refuse returns an error for options that only the drivers on package quic support.
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
			return fmt.Errorf("%s is not supported by the driver on %s and crypto/tls", c.flag, stack)
		}
	}
	return nil
}

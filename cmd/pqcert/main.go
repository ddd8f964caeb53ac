// Command pqcert makes authorities and certificates for tests, with ECDSA, RSA, Ed25519 and ML-DSA keys, also mixed
// in one chain.
package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/certs"
	"github.com/pqquic/pqquic/cmd/internal/cli"
)

func main() { cli.Main(newCommand(), func(error) int { return cli.StatusError }) }

// options are the flags of all commands.
type options struct {
	dir, issuer, form string
	days              int
	hosts             []string
	der               bool
}

func newCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "pqcert",
		Short: "Make authorities and certificates for tests, with classical and ML-DSA keys",
		Long: `pqcert makes authorities and certificates for tests. A chain can mix algorithms: each certificate has the
key that you name, and is signed by the key of its issuer.

An authority or certificate NAME is two files, NAME.pem with its chain, without the root, and NAME-key.pem. Keys are in
the clear: use them only in tests.

Algorithms: ` + strings.Join(certs.Algorithms(), ", ") + `. ML-DSA needs a build with Go 1.27 or with the C library of
the default variant.

Exit status: 0; 2 for an invalid command line or a file that cannot be read or written.`,
		Example: `  pqcert ca root --key ml-dsa-87
  pqcert ca intermediate --issuer root --key ml-dsa-65
  pqcert leaf server --issuer intermediate --key ml-dsa-44 --host localhost --host 127.0.0.1
  pqcert all -d certs --host localhost
  source <(pqcert completion bash)`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(newCA(), newLeaf(), newAll())
	return cli.New(c)
}

// common adds the flags that all commands have.
func (o *options) common(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&o.dir, "dir", "d", ".", "`folder` of the files")
	f.IntVar(&o.days, "days", 365, "number of days for which certificates are valid, from now on")
	f.BoolVar(&o.der, "der", false, "also write each certificate and key in DER, to NAME.der and NAME-key.der")
}

// hostFlag adds the flag for the names of a server.
func (o *options) hostFlag(c *cobra.Command) {
	c.Flags().StringArrayVar(&o.hosts, "host", []string{"localhost", "127.0.0.1", "::1"}, "DNS `name` or IP address (repeatable)")
}

// formFlag adds the flag for the form of an ML-DSA key.
func (o *options) formFlag(c *cobra.Command) {
	c.Flags().StringVar(&o.form, "key-form", string(certs.Seed), "form of an ML-DSA key in the file: seed, expanded or both")
	cli.Complete(c, "key-form", string(certs.Seed), string(certs.Expanded), string(certs.Both))
}

// keyFlag adds the flag for the algorithm of a key.
func keyFlag(c *cobra.Command, algorithm *string) {
	c.Flags().StringVar(algorithm, "key", "ml-dsa-65", "`algorithm` of the key")
	cli.Complete(c, "key", certs.Algorithms()...)
}

// validity returns the time from an hour ago, because clocks differ, until --days from now.
func (o *options) validity() (certs.Validity, error) {
	if o.days < 1 {
		return certs.Validity{}, fmt.Errorf("--days %d: use 1 or more", o.days)
	}
	now := time.Now()
	return certs.Validity{From: now.Add(-time.Hour), To: now.AddDate(0, 0, o.days)}, nil
}

func newCA() *cobra.Command {
	var o options
	var algorithm string
	c := &cobra.Command{
		Use: "ca NAME", Short: "Make an authority: a root, or with --issuer an intermediate", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			v, err := o.validity()
			if err != nil {
				return err
			}
			var id *certs.Identity
			if o.issuer == "" {
				id, err = certs.NewRoot(args[0], certs.Algorithm(algorithm), v)
			} else {
				var issuer *certs.Identity
				if issuer, err = o.read(o.issuer); err == nil {
					id, err = issuer.NewCA(args[0], certs.Algorithm(algorithm), v)
				}
			}
			if err != nil {
				return err
			}
			return o.write(args[0], id, certs.KeyForm(o.form))
		},
	}
	o.common(c)
	o.formFlag(c)
	keyFlag(c, &algorithm)
	c.Flags().StringVar(&o.issuer, "issuer", "", "`name` of the authority that signs the certificate")
	return c
}

func newLeaf() *cobra.Command {
	var o options
	var algorithm string
	c := &cobra.Command{
		Use: "leaf NAME --issuer CA", Short: "Make a certificate for a server or a client", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			v, err := o.validity()
			if err != nil {
				return err
			}
			issuer, err := o.read(o.issuer)
			if err != nil {
				return err
			}
			id, err := issuer.NewLeaf(args[0], o.hosts, certs.Algorithm(algorithm), v)
			if err != nil {
				return err
			}
			return o.write(args[0], id, certs.KeyForm(o.form))
		},
	}
	o.common(c)
	o.hostFlag(c)
	o.formFlag(c)
	keyFlag(c, &algorithm)
	c.Flags().StringVar(&o.issuer, "issuer", "", "`name` of the authority that signs the certificate")
	if err := c.MarkFlagRequired("issuer"); err != nil {
		panic(err) // the flag exists
	}
	return c
}

package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/certs"
)

// A kind is one of the certificates of pqcert all: the algorithms of its chain from the root to the leaf.
type kind struct {
	name  string
	chain []certs.Algorithm
	form  certs.KeyForm
}

var kinds = []kind{
	{name: "ecdsa-p256", chain: []certs.Algorithm{"ecdsa-p256", "ecdsa-p256"}},
	{name: "rsa-2048", chain: []certs.Algorithm{"rsa-2048", "rsa-2048"}},
	{name: "ml-dsa-44", chain: []certs.Algorithm{"ml-dsa-44", "ml-dsa-44"}},
	{name: "ml-dsa-65", chain: []certs.Algorithm{"ml-dsa-65", "ml-dsa-65"}},
	{name: "ml-dsa-87", chain: []certs.Algorithm{"ml-dsa-87", "ml-dsa-87"}},
	{name: "ml-dsa-65-expanded", chain: []certs.Algorithm{"ml-dsa-65", "ml-dsa-65"}, form: certs.Expanded},
	{name: "ml-dsa-65-both", chain: []certs.Algorithm{"ml-dsa-65", "ml-dsa-65"}, form: certs.Both},
	{name: "ml-dsa-intermediate", chain: []certs.Algorithm{"ml-dsa-87", "ml-dsa-65", "ml-dsa-44"}},
	{name: "ml-dsa-long", chain: []certs.Algorithm{"ml-dsa-87", "ml-dsa-87", "ml-dsa-87", "ml-dsa-87"}},
	{name: "mixed-ml-dsa-leaf", chain: []certs.Algorithm{"ecdsa-p256", "ml-dsa-65"}},
	{name: "mixed-ecdsa-leaf", chain: []certs.Algorithm{"ml-dsa-65", "ecdsa-p256"}},
	{name: "mixed-ecdsa-intermediate", chain: []certs.Algorithm{"ml-dsa-65", "ecdsa-p256", "ml-dsa-65"}},
	{name: "mixed-ecdsa-root", chain: []certs.Algorithm{"ecdsa-p256", "ml-dsa-65", "ml-dsa-65"}},
}

func newAll() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use: "all", Short: "Make a certificate of every kind", Args: cobra.NoArgs,
		Long: `all makes a certificate of every kind, and a root for each algorithm that signs. Roots are named root-ALGORITHM.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.all(cmd.OutOrStdout()) },
	}
	o.common(c)
	o.hostFlag(c)
	return c
}

// all makes all kinds of certificates and prints a table of them.
func (o *options) all(out io.Writer) error {
	v, err := o.validity()
	if err != nil {
		return err
	}
	roots := make(map[certs.Algorithm]*certs.Identity)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "name\tfrom the root to the leaf\tbytes of the chain")
	for _, k := range kinds {
		root := roots[k.chain[0]]
		if root == nil {
			name := "root-" + string(k.chain[0])
			if root, err = certs.NewRoot(name, k.chain[0], v); err != nil {
				return err
			}
			roots[k.chain[0]] = root
			if err := o.write(name, root, certs.Seed); err != nil {
				return err
			}
		}
		id := root
		for i, a := range k.chain[1:] {
			if i+2 < len(k.chain) {
				id, err = id.NewCA(fmt.Sprintf("%s %d", k.name, i+1), a, v)
			} else {
				id, err = id.NewLeaf(k.name, o.hosts, a, v)
			}
			if err != nil {
				return err
			}
		}
		if err := o.write(k.name, id, cmp.Or(k.form, certs.Seed)); err != nil {
			return err
		}
		size := 0
		for _, der := range id.Chain {
			size += len(der)
		}
		fmt.Fprintf(w, "%s\t%v\t%d\n", k.name, k.chain, size)
	}
	return w.Flush()
}

package main

import (
	"fmt"
	"io"

	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/cmd/internal/inspect"
)

// table prints a line for each connection as soon as it is complete.
type table struct {
	w     io.Writer
	begun bool
}

func newTable(w io.Writer) *table { return &table{w: w} }

const rowFormat = "%-12s  %-45s  %-8s  %-22s  %-29s  %-14s  %s\n"

func (t *table) row(c *inspect.Connection) error {
	if !t.begun {
		t.begun = true
		if _, err := fmt.Fprintf(t.w, rowFormat, "TIME", "CLIENT > SERVER", "PROTOCOL", "SERVER NAME", "KEY EXCHANGE", "VERDICT", "WHY"); err != nil {
			return err
		}
	}
	key, why := "-", cli.Printable(c.Verdict.Reason)
	if c.Selected != nil {
		key = c.Selected.String()
	}
	if c.RetryRequest != nil {
		why += " (after a HelloRetryRequest)"
	}
	_, err := fmt.Fprintf(t.w, rowFormat, c.Start.Local().Format("15:04:05.000"), c.Client.String()+" > "+c.Server.String(),
		orDash(c.Version), orDash(c.ServerName), key, c.Verdict.Result, why)
	return err
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return cli.Printable(s)
}

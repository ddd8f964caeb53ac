package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pqquic/pqquic/cmd/internal/inspect"
)

// table shows a line for each connection, as soon as it is known.
type table struct {
	w     io.Writer
	begun bool
}

func newTable(w io.Writer) *table { return &table{w: w} }

const rowFormat = "%-12s  %-45s  %-8s  %-22s  %-29s  %-11s  %s\n"

func (t *table) row(c *inspect.Connection) error {
	if !t.begun {
		t.begun = true
		if _, err := fmt.Fprintf(t.w, rowFormat, "TIME", "CLIENT > SERVER", "PROTOCOL", "SERVER NAME", "KEY EXCHANGE", "SHARES", "VERDICT"); err != nil {
			return err
		}
	}
	group := "-"
	if c.Selected != nil {
		group = c.Selected.String()
	}
	_, err := fmt.Fprintf(t.w, rowFormat, c.Start.Format("15:04:05.000"), c.Client.String()+" > "+c.Server.String(),
		c.Version, orDash(c.ServerName), group, shares(c), verdict(c))
	return err
}

func verdict(c *inspect.Connection) string {
	s := c.Verdict.Result
	if c.Verdict.Result != inspect.PostQuantum {
		s += ": " + printable(c.Verdict.Reason)
	}
	if c.RetryRequest != nil {
		s += " (after a HelloRetryRequest)"
	}
	return s
}

// shares are the sizes of the two key shares that made the key.
func shares(c *inspect.Connection) string {
	client, server := "?", "?"
	if c.Selected == nil {
		return "-"
	}
	if s := clientShare(c); s != nil {
		client = strconv.Itoa(s.Bytes)
	}
	if c.ServerHello != nil && c.ServerHello.Share != nil {
		server = strconv.Itoa(c.ServerHello.Share.Bytes)
	}
	return client + "+" + server
}

// clientShare is the client's share of the group that was chosen.
func clientShare(c *inspect.Connection) *inspect.Share {
	hello := c.Hello
	if c.RetryHello != nil {
		hello = c.RetryHello
	}
	if hello == nil || c.Selected == nil {
		return nil
	}
	for i := range hello.Shares {
		if hello.Shares[i].ID == c.Selected.ID {
			return &hello.Shares[i]
		}
	}
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}

// printable makes a peer's text safe for a terminal.
func printable(s string) string {
	q := strconv.QuoteToGraphic(s)
	return q[1 : len(q)-1]
}

// describe shows all that is known of a connection.
func describe(w io.Writer, c *inspect.Connection) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-22s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(&b, "%s  %s > %s  %s\n", c.Start.Format("2006-01-02 15:04:05.000000"), c.Client, c.Server, c.Version)
	line("verdict", "%s: %s", c.Verdict.Result, c.Verdict.Reason)
	if c.ServerName != "" {
		line("server name", "%s", c.ServerName)
	}
	if len(c.ALPN) > 0 {
		line("protocols offered", "%s", strings.Join(c.ALPN, ", "))
	}
	if h := c.Hello; h != nil {
		describeHello(line, h, "")
	}
	if r := c.RetryRequest; r != nil {
		line("HelloRetryRequest", "asks for %s", group(r.Group))
	}
	if h := c.RetryHello; h != nil {
		describeHello(line, h, "second ")
	}
	if h := c.ServerHello; h != nil {
		line("ServerHello", "%d bytes, %s, %s", h.Bytes, h.Version, h.Suite)
		if h.Share != nil {
			line("server's key share", "%s", share(h.Share))
		}
	}
	if c.Resumed {
		line("resumed", "yes")
	}
	if c.Retry {
		line("Retry", "the server validated the client's address")
	}
	if len(c.VersionNegotiation) > 0 {
		line("Version Negotiation", "%s", strings.Join(c.VersionNegotiation, ", "))
	}
	if i := c.ClientInitials; i != nil {
		line("client's Initials", "%d datagrams of %s bytes", i.Datagrams, numbers(i.Bytes))
	}
	if i := c.ServerInitials; i != nil {
		line("server's Initials", "%d datagrams of %s bytes", i.Datagrams, numbers(i.Bytes))
	}
	if h := c.Handshake; h != nil {
		describeHandshake(line, h)
	}
	if c.Close != "" {
		line("closed", "%s", c.Close)
	}
	for _, p := range c.Problems {
		line("problem", "%s", p)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

type lineFunc func(name, format string, args ...any)

func describeHello(line lineFunc, h *inspect.ClientHello, which string) {
	line(which+"ClientHello", "%d bytes, %s", h.Bytes, strings.Join(h.Versions, ", "))
	line("cipher suites", "%s", named(h.Suites))
	var groups []string
	for _, g := range h.Groups {
		groups = append(groups, g.String())
	}
	line("supported groups", "%s", strings.Join(groups, ", "))
	for i := range h.Shares {
		line("key share", "%s", share(&h.Shares[i]))
	}
	if h.ECH {
		line("encrypted ClientHello", "offered: name and offer inside are not visible")
	}
}

func describeHandshake(line lineFunc, h *inspect.Handshake) {
	if h.ALPN != "" {
		line("protocol", "%s", h.ALPN)
	}
	if c := h.Certificate; c != nil {
		line("certificate", "%s, %s key, signed with %s; %d in the chain, %d bytes", c.Subject, c.PublicKey,
			c.SignatureAlgorithm, c.Chain, c.ChainBytes)
	}
	if h.Signature != nil {
		line("handshake signature", "%s", h.Signature)
	}
	if c := h.ClientCertificate; c != nil {
		line("client certificate", "%s, %s key", c.Subject, c.PublicKey)
	}
	for _, p := range h.ServerParameters {
		line("server's parameter", "%s = %s", p.Name, p.Value)
	}
}

func named(list []inspect.Named) string {
	var out []string
	for _, n := range list {
		out = append(out, n.String())
	}
	return strings.Join(out, ", ")
}

func group(g *inspect.Group) string {
	if g == nil {
		return "nothing"
	}
	return g.String()
}

// share shows a key share with a hybrid's halves apart.
func share(s *inspect.Share) string {
	out := fmt.Sprintf("%s, %d bytes", s.Group.String(), s.Bytes)
	var halves []string
	for _, h := range s.Halves {
		halves = append(halves, fmt.Sprintf("%d %s", h.Bytes, h.Name))
	}
	if len(halves) > 0 {
		out += " = " + strings.Join(halves, " + ")
	}
	if s.WrongSize {
		out += " (the wrong size)"
	}
	return out
}

func numbers(ns []int) string {
	var out []string
	for _, n := range ns {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, ", ")
}

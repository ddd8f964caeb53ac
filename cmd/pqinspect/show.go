package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/cmd/internal/inspect"
)

// block is the description of one connection: a name and a value in each line.
type block struct{ strings.Builder }

func (b *block) line(name, format string, args ...any) {
	fmt.Fprintf(b, "  %-20s  %s\n", name, cli.Printable(fmt.Sprintf(format, args...)))
}

// describe writes everything that is known about a connection.
func describe(w io.Writer, c *inspect.Connection) error {
	b := new(block)
	fmt.Fprintf(b, "%s  %s > %s  %s\n", c.Start.Local().Format("2006-01-02 15:04:05.000000"), c.Client, c.Server, orDash(c.Version))
	b.line("verdict", "%s: %s", strings.ToUpper(c.Verdict.Result), c.Verdict.Reason)
	if c.ServerName != "" {
		b.line("server name", "%s", c.ServerName)
	}
	if len(c.ALPN) > 0 {
		b.line("protocols offered", "%s", strings.Join(c.ALPN, ", "))
	}
	if h := c.Hello; h != nil {
		b.clientHello(h, "ClientHello")
	}
	if r := c.RetryRequest; r != nil {
		b.line("HelloRetryRequest", "requests %s", group(r.Group))
	} else if c.ServerHello != nil {
		b.line("HelloRetryRequest", "none")
	}
	if h := c.RetryHello; h != nil {
		b.clientHello(h, "second ClientHello")
	}
	b.serverHello(c)
	b.datagrams(c)
	if h := c.Handshake; h != nil {
		b.handshake(h)
	}
	if c.Close != "" {
		b.line("closed", "%s", c.Close)
	}
	for _, p := range c.Problems {
		b.line("problem", "%s", p)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

func (b *block) clientHello(h *inspect.ClientHello, which string) {
	b.line(which, "%d bytes, %s", h.Bytes, strings.Join(h.Versions, ", "))
	b.line("  cipher suites", "%s", named(h.Suites))
	var groups []string
	for _, g := range h.Groups {
		groups = append(groups, g.String())
	}
	b.line("  supported groups", "%s", strings.Join(groups, ", "))
	for i := range h.Shares {
		b.line("  key share", "%s", share(&h.Shares[i]))
	}
	if h.PSK {
		b.line("  resumption", "offered%s", map[bool]string{true: ", with early data"}[h.EarlyData])
	}
	if h.ECH {
		b.line("  encrypted hello", "offered: the name and the offer inside are not visible")
	}
	b.parameters("  parameters", h.Parameters)
}

func (b *block) serverHello(c *inspect.Connection) {
	h := c.ServerHello
	if h == nil {
		return
	}
	b.line("ServerHello", "%d bytes, %s, %s", h.Bytes, h.Version, h.Suite)
	switch {
	case h.Share != nil:
		b.line("  key share", "%s", share(h.Share))
	case c.Selected != nil:
		b.line("  group", "%s", c.Selected)
	}
	b.line("  resumed", "%s", map[bool]string{true: "yes", false: "no"}[c.Resumed])
}

func (b *block) datagrams(c *inspect.Connection) {
	if c.Retry {
		b.line("Retry", "the server validated the client's address")
	}
	if len(c.VersionNegotiation) > 0 {
		b.line("Version Negotiation", "%s", strings.Join(c.VersionNegotiation, ", "))
	}
	if i := c.ClientInitials; i != nil {
		b.line("client's Initials", "%s", initials(i))
	}
	if i := c.ServerInitials; i != nil {
		b.line("server's Initials", "%s", initials(i))
	}
}

func (b *block) handshake(h *inspect.Handshake) {
	if h.ALPN != "" {
		b.line("protocol", "%s", h.ALPN)
	}
	if c := h.Certificate; c != nil {
		b.line("certificate", "%s", certificate(c))
	}
	if h.CompressedCert {
		b.line("certificate", "compressed: not decoded")
	}
	if h.Signature != nil {
		b.line("handshake signature", "%s", h.Signature)
	}
	if h.ClientCertAsked {
		b.line("client certificate", "requested")
	}
	if c := h.ClientCertificate; c != nil {
		b.line("client certificate", "%s", certificate(c))
	}
	if h.ClientSignature != nil {
		b.line("client's signature", "%s", h.ClientSignature)
	}
	b.parameters("server's parameters", h.ServerParameters)
}

func (b *block) parameters(name string, list []inspect.Parameter) {
	var out []string
	for _, p := range list {
		if p.Value == "" {
			out = append(out, p.Name)
			continue
		}
		out = append(out, p.Name+" "+p.Value)
	}
	if len(out) > 0 {
		b.line(name, "%s", strings.Join(out, ", "))
	}
}

func certificate(c *inspect.Certificate) string {
	who := c.Subject
	if who == "" {
		who = strings.Join(c.DNSNames, ", ")
	}
	return fmt.Sprintf("%s; %s key, signed with %s; %d in the chain, %d bytes", who, c.PublicKey, c.SignatureAlgorithm, c.Chain, c.ChainBytes)
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
	var sizes, names []string
	for _, h := range s.Halves {
		if s.Prefixed {
			sizes = append(sizes, "2")
		}
		sizes, names = append(sizes, strconv.Itoa(h.Bytes)), append(names, h.Name)
	}
	if len(sizes) > 0 {
		out += fmt.Sprintf(" = %s (%s)", strings.Join(sizes, " + "), strings.Join(names, " + "))
	}
	if s.WrongSize {
		out += " (wrong size)"
	}
	return out
}

func initials(i *inspect.Initials) string {
	var sizes []string
	for _, n := range i.Bytes {
		sizes = append(sizes, strconv.Itoa(n))
	}
	if i.Datagrams > len(i.Bytes) {
		sizes = append(sizes, "…")
	}
	noun := "datagrams"
	if i.Datagrams == 1 {
		noun = "datagram"
	}
	return fmt.Sprintf("%d %s: %s bytes", i.Datagrams, noun, strings.Join(sizes, " + "))
}

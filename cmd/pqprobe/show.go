package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/cmd/internal/probe"
)

// A page collects lines of text.
type page struct{ strings.Builder }

func (p *page) line(label, format string, args ...any) {
	fmt.Fprintf(p, "  %-22s%s\n", label, cli.Printable(fmt.Sprintf(format, args...)))
}

// show prints a report for readers.
func show(w io.Writer, r *probe.Report) error {
	p := new(page)
	fmt.Fprintf(p, "%s\n", cli.Printable(r.Host))
	if r.Error != "" {
		p.line("error", "%s", r.Error)
	}
	if r.Reachable() {
		p.line("key exchange", "%s", verdict(r.PQKeyExchange))
		p.line("authentication", "%s", verdict(r.PQAuthentication))
	}
	if r.QUIC != nil {
		p.transport("QUIC", r.QUIC)
	}
	if r.TCP != nil {
		p.transport("TLS over TCP", r.TCP)
	}
	p.chain("certificates", r.Chain)
	p.chain("certificates over TCP", r.TCPChain)
	p.WriteByte('\n')
	_, err := io.WriteString(w, p.String())
	return err
}

func verdict(pq bool) string {
	if pq {
		return "POST-QUANTUM"
	}
	return "CLASSICAL"
}

func (p *page) transport(name string, t *probe.Transport) {
	if !t.Reachable {
		fmt.Fprintf(p, "%s: not reachable: %s\n", name, cli.Printable(t.Error))
		return
	}
	fmt.Fprintf(p, "%s (%s)\n", name, orDash(t.Address))
	if t.Error != "" {
		p.line("usual handshake", "FAILED: %s", t.Error)
	} else {
		p.line("usual handshake", "%s, %s, %s", t.Negotiated, t.CipherSuite, strings.ToLower(verdict(t.PQKeyExchange)))
	}
	p.line("versions", "%s", list(t.Versions))
	p.line("groups", "%s", list(t.Groups))
	if len(t.LostGroups) > 0 {
		p.line("groups lost", "%s", list(t.LostGroups))
	}
	switch {
	case t.Preferred == "":
		p.line("preferred", "-")
	case t.PreferenceOf == "":
		p.line("preferred", "%s (0x%04X)", t.Preferred, uint16(t.GroupID))
	default:
		p.line("preferred", "%s (0x%04X), by the order of the %s", t.Preferred, uint16(t.GroupID), t.PreferenceOf)
	}
	p.line("HelloRetryRequest", "%s in the usual handshake; %s if hybrids come without key shares", yesNo(t.HelloRetry), orDash(t.WithoutShare))
	p.line("large ClientHello", "%s", t.LargeHello)
	p.line("protocol (ALPN)", "%s", orDash(t.ALPN))
	if t.Retry != nil {
		p.line("Retry", "%s", yesNo(*t.Retry))
	}
	early := "not probed over TCP"
	if t.EarlyData != nil {
		early = yesNo(*t.EarlyData)
	}
	p.line("resumption", "%s; 0-RTT: %s", yesNo(t.Resumption), early)
	switch {
	case t.Verified && t.SignatureScheme != "":
		p.line("certificate", "verified, signs with %s, %s", t.SignatureScheme, strings.ToLower(verdict(t.PQAuthentication)))
	case t.Verified:
		p.line("certificate", "verified, %s", strings.ToLower(verdict(t.PQAuthentication)))
	default:
		p.line("certificate", "NOT VERIFIED: %s", orDash(t.VerifyError))
	}
	p.line("OCSP response", "%s", yesNo(t.OCSPStaple))
	for _, n := range t.Notes {
		p.line("note", "%s", n)
	}
}

func (p *page) chain(name string, chain []probe.Certificate) {
	if len(chain) == 0 {
		return
	}
	sum := 0
	for _, c := range chain {
		sum += c.Bytes
	}
	fmt.Fprintf(p, "%s: %d, %d bytes\n", name, len(chain), sum)
	for i, c := range chain {
		if c.Error != "" {
			fmt.Fprintf(p, "  %d  %d bytes, cannot be parsed: %s\n", i, c.Bytes, cli.Printable(c.Error))
			continue
		}
		fmt.Fprintf(p, "  %d  %s\n     key %s, signed with %s by %s, %d bytes, until %s\n", i, orDash(c.Subject), cli.Printable(c.PublicKey),
			cli.Printable(c.SignatureAlgorithm), orDash(c.Issuer), c.Bytes, c.NotAfter.UTC().Format("2006-01-02"))
	}
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return cli.Printable(s)
}

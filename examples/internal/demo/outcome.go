package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/pqquic/pqquic/quic"
)

// Outcome holds what was negotiated and the exchanged message.
type Outcome struct {
	Provider         string `json:"provider"`
	Group            string `json:"group"`
	GroupID          uint16 `json:"group_id"`
	CipherSuite      string `json:"cipher_suite"`
	ALPN             string `json:"alpn"`
	Resumed          bool   `json:"resumed"`
	FIPS             bool   `json:"fips"`
	FIPSDetail       string `json:"fips_detail,omitempty"`
	ClientShareBytes int    `json:"client_share_bytes"`
	ServerShareBytes int    `json:"server_share_bytes"`
	HandshakeMicros  int64  `json:"handshake_us"`
	Reply            string `json:"reply"`

	postQuantum bool
}

// OutcomeOf reads a connection's state.
func OutcomeOf(c *quic.Conn) Outcome {
	s := c.ConnectionState().TLS
	return Outcome{
		Provider: s.Provider, Group: s.Group.String(), GroupID: uint16(s.Group),
		CipherSuite: s.CipherSuite.String(), ALPN: s.ALPN, Resumed: s.Resumed, FIPS: s.FIPS, FIPSDetail: s.FIPSDetail,
		ClientShareBytes: s.ClientShareLen, ServerShareBytes: s.ServerShareLen,
		HandshakeMicros: c.Stats().HandshakeTime.Microseconds(),
		postQuantum:     s.Group.PostQuantum(),
	}
}

// Print writes the outcome for people.
func (o Outcome) Print(w io.Writer) {
	verdict := "classical"
	if o.postQuantum {
		verdict = "post-quantum"
	}
	fmt.Fprintf(w, "  provider      %s\n", o.Provider)
	fmt.Fprintf(w, "  key exchange  %s (0x%04X), %s\n", o.Group, o.GroupID, verdict)
	fmt.Fprintf(w, "  key shares    client %d bytes, server %d bytes\n", o.ClientShareBytes, o.ServerShareBytes)
	fmt.Fprintf(w, "  cipher suite  %s\n", o.CipherSuite)
	fmt.Fprintf(w, "  ALPN          %s\n", o.ALPN)
	switch {
	case o.FIPS:
		fmt.Fprintf(w, "  FIPS 140-3    yes: %s\n", o.FIPSDetail)
	case o.FIPSDetail != "":
		fmt.Fprintf(w, "  FIPS 140-3    no: %s\n", o.FIPSDetail)
	}
	fmt.Fprintf(w, "  handshake     %v\n", time.Duration(o.HandshakeMicros)*time.Microsecond)
}

// PrintJSON writes the outcome as one object on one line.
func (o Outcome) PrintJSON(w io.Writer) error { return json.NewEncoder(w).Encode(o) }

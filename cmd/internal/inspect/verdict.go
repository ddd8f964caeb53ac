package inspect

import (
	"fmt"
	"strings"
)

// Results of a verdict.
const (
	PostQuantum = "post-quantum"
	Classical   = "classical"
	Unknown     = "unknown"
)

// Causes of a verdict other than post-quantum.
const (
	CauseBothOffered  = "both_offered"    // both sides support post-quantum groups but used none
	CauseClient       = "client"          // the client offered none
	CauseServer       = "server"          // the server chose none of the client's
	CauseOldTLS       = "old_tls"         // TLS 1.2 and earlier have none
	CauseNoExchange   = "psk_only"        // resumed without a key exchange
	CauseNoHello      = "no_client_hello" // the ClientHello is missing or cannot be read
	CauseNoAnswer     = "no_server_hello" // the ServerHello is missing or cannot be read
	CauseUnknownGroup = "unknown_group"   // the group's code point is unknown
)

// A Verdict states whether a key exchange was post-quantum, and if not, why.
type Verdict struct {
	Result string `json:"result"`
	Cause  string `json:"cause,omitempty"`
	Reason string `json:"reason"`
}

// maxServers bounds the servers whose support is remembered.
const maxServers = 65536

// judge fills in a connection's verdict.
func (in *Inspector) judge(c *Connection) {
	c.Verdict = in.verdict(c)
	if c.Verdict.Result == PostQuantum && len(in.pqServer) < maxServers {
		in.pqServer[c.Server] = true
	}
}

func (in *Inspector) verdict(c *Connection) Verdict {
	offered := offeredPQ(c.lastHello())
	switch {
	case c.Hello == nil:
		return Verdict{Unknown, CauseNoHello, "the capture holds no complete ClientHello" + problems(c)}
	case c.ServerHello == nil:
		return Verdict{Unknown, CauseNoAnswer, "the capture holds no ServerHello" + closeReason(c) + problems(c) +
			"; the client offered " + orNone(offered)}
	case c.ServerHello.version < tls13:
		return Verdict{Classical, CauseOldTLS, c.ServerHello.Version + " has no post-quantum key exchange" +
			butOffered(offered)}
	case c.Selected == nil:
		return Verdict{Classical, CauseNoExchange, "resumed from a ticket without a key exchange"}
	case c.Selected.PostQuantum:
		return Verdict{Result: PostQuantum, Reason: c.Selected.String() + " was negotiated"}
	case c.Selected.Name == "unknown":
		return Verdict{Unknown, CauseUnknownGroup, fmt.Sprintf("group 0x%04X is unknown", c.Selected.ID)}
	case len(offered) == 0:
		return Verdict{Classical, CauseClient, "the client offered no post-quantum group; " +
			c.Selected.String() + " was negotiated"}
	case in.pqServer[c.Server] || c.Handshake != nil && anyPQ(c.Handshake.ServerGroups):
		return Verdict{Classical, CauseBothOffered, "the server supports post-quantum groups and the client offered " +
			orNone(offered) + ", but " + c.Selected.String() + " was negotiated" + noShare(c)}
	}
	return Verdict{Classical, CauseServer, "the client offered " + orNone(offered) + ", the server chose " +
		c.Selected.String()}
}

func offeredPQ(h *ClientHello) (out []Group) {
	if h == nil {
		return nil
	}
	for _, g := range h.Groups {
		if g.PostQuantum {
			out = append(out, g)
		}
	}
	return out
}

func anyPQ(gs []Group) bool {
	for _, g := range gs {
		if g.PostQuantum {
			return true
		}
	}
	return false
}

func orNone(gs []Group) string {
	if len(gs) == 0 {
		return "no post-quantum group"
	}
	var names []string
	for _, g := range gs {
		names = append(names, g.Name)
	}
	return strings.Join(names, ", ")
}

func butOffered(gs []Group) string {
	if len(gs) == 0 {
		return ""
	}
	return ", though the client offered " + orNone(gs)
}

// noShare describes the usual cause: a server that does not ask for a group for which the client sent no
// key share.
func noShare(c *Connection) string {
	for _, s := range c.lastHello().Shares {
		if s.PostQuantum {
			return ""
		}
	}
	return ": the client sent no key share for them, and the server did not ask for one"
}

func closeReason(c *Connection) string {
	switch {
	case c.Close != "":
		return " (closed: " + c.Close + ")"
	case len(c.VersionNegotiation) > 0:
		return " (the server does not support the client's version; it offered " +
			strings.Join(c.VersionNegotiation, ", ") + ")"
	}
	return ""
}

func problems(c *Connection) string {
	if len(c.Problems) == 0 {
		return ""
	}
	return " (" + strings.Join(c.Problems, "; ") + ")"
}

package scenario

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"
)

// computeID returns the ID that s2n-netbench gives to the scenario: a hash of everything except the
// certificates, for which their templates count. It hashes what Rust's derived Hash passes to a hasher on a
// 64-bit little-endian machine.
func (s *Scenario) computeID() string {
	var h hash
	h.str("") // the ID itself
	h.num(len(s.Clients))
	for i := range s.Clients {
		h.client(&s.Clients[i])
	}
	h.num(len(s.Servers))
	for i := range s.Servers {
		h.server(&s.Servers[i])
	}
	h.num(0) // routers
	h.num(len(s.Traces))
	for _, t := range s.Traces {
		h.str(t)
	}
	h.num(0) // certificates
	h.num(len(s.templates))
	for _, t := range s.templates {
		t.hash(&h)
	}
	sum := sha256.Sum256(h.b)
	return strings.ReplaceAll(base64.RawURLEncoding.EncodeToString(sum[:]), "_", "-")
}

type hash struct{ b []byte }

func (h *hash) u64(n uint64) { h.b = binary.LittleEndian.AppendUint64(h.b, n) }
func (h *hash) num(n int)    { h.u64(uint64(n)) }
func (h *hash) str(s string) { h.b = append(append(h.b, s...), 0xff) }

func (h *hash) duration(d time.Duration) {
	h.u64(uint64(d / time.Second))
	h.b = binary.LittleEndian.AppendUint32(h.b, uint32(d%time.Second))
}

func (h *hash) configuration(c map[string]string) {
	h.num(len(c))
	for _, k := range slices.Sorted(maps.Keys(c)) {
		h.str(k)
		h.str(c[k])
	}
}

func (h *hash) client(c *Client) {
	h.str(c.Name)
	h.ops(c.Scenario, true)
	h.connections(c.Connections)
	h.configuration(c.Configuration)
	h.num(len(c.CertificateAuthorities))
	for _, i := range c.CertificateAuthorities {
		h.u64(i)
	}
}

func (h *hash) server(s *Server) {
	h.str(s.Name)
	h.connections(s.Connections)
	h.configuration(s.Configuration)
	h.u64(s.PrivateKey)
	h.u64(s.Certificate)
	h.u64(s.CertificateAuthority)
}

func (h *hash) connections(cs []Connection) {
	h.num(len(cs))
	for _, c := range cs {
		h.ops(c.Ops, false)
		h.num(len(c.PeerStreams))
		for _, ops := range c.PeerStreams {
			h.ops(ops, false)
		}
	}
}

func (h *hash) ops(ops []Op, client bool) {
	h.num(len(ops))
	for i := range ops {
		if client {
			h.clientOp(&ops[i])
		} else {
			h.op(&ops[i])
		}
	}
}

func (h *hash) clientOp(op *Op) {
	switch op.Kind {
	case Sleep:
		h.num(0)
		h.duration(op.Period)
	case Connect:
		h.num(1)
		h.u64(op.ServerID)
		h.option(op.RouterID, op.HasRouter)
		h.u64(op.ServerConnectionID)
		h.u64(op.ClientConnectionID)
	case Park, Unpark, Trace:
		h.num(2 + int(op.Kind-Park))
		h.u64(op.ID)
	case Scope:
		h.num(5)
		h.threads(op, true)
	}
}

func (h *hash) op(op *Op) {
	h.num(int(op.Kind))
	if op.Kind.Stream() {
		h.u64(op.StreamID)
	}
	switch op.Kind {
	case Sleep:
		h.duration(op.Period)
	case Send, Receive:
		h.u64(op.Bytes)
	case SendRate, ReceiveRate:
		h.u64(op.Bytes)
		h.duration(op.Period)
	case Park, Unpark, Trace:
		h.u64(op.ID)
	case Profile:
		h.u64(op.ID)
		h.ops(op.Operations, false)
	case Iterate:
		if op.Timed {
			h.num(0)
			h.duration(op.Period)
		} else {
			h.num(1)
			h.u64(op.Count)
		}
		h.ops(op.Operations, false)
		h.option(op.ID, op.HasTrace)
	case Scope:
		h.threads(op, false)
	}
}

func (h *hash) threads(op *Op, client bool) {
	h.num(len(op.Threads))
	for _, t := range op.Threads {
		h.ops(t, client)
	}
}

func (h *hash) option(v uint64, some bool) {
	if !some {
		h.num(0)
		return
	}
	h.num(1)
	h.u64(v)
}

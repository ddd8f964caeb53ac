package scenario

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Marshal returns the scenario as a file: one line without a newline, with keys in the order of the format.
// Empty lists and names are omitted where the format omits them.
func (s *Scenario) Marshal() []byte {
	w := new(writer)
	w.open('{')
	w.key("id").str(s.ID)
	w.key("clients").open('[')
	for i := range s.Clients {
		w.client(&s.Clients[i])
	}
	w.close(']')
	w.key("servers").open('[')
	for i := range s.Servers {
		w.server(&s.Servers[i])
	}
	w.close(']')
	if len(s.Routers) > 0 {
		w.key("routers").open('[')
		for i := range s.Routers {
			w.router(&s.Routers[i])
		}
		w.close(']')
	}
	if len(s.Traces) > 0 {
		w.key("traces").open('[')
		for _, t := range s.Traces {
			w.str(t)
		}
		w.close(']')
	}
	if len(s.Certificates) > 0 {
		w.key("certificates").open('[')
		for _, c := range s.Certificates {
			w.open('{')
			w.nonEmpty("pem", c.PEM)
			w.nonEmpty("pkcs12", c.PKCS12)
			w.close('}')
		}
		w.close(']')
	}
	w.close('}')
	return w.b.Bytes()
}

// writer writes compact JSON. It puts a comma before each element of a list except the first.
type writer struct {
	b     bytes.Buffer
	comma bool
}

func (w *writer) sep() {
	if w.comma {
		w.b.WriteByte(',')
	}
	w.comma = true
}

func (w *writer) open(c byte) {
	w.sep()
	w.b.WriteByte(c)
	w.comma = false
}

func (w *writer) close(c byte) {
	w.b.WriteByte(c)
	w.comma = true
}

func (w *writer) key(name string) *writer {
	w.str(name)
	w.b.WriteByte(':')
	w.comma = false
	return w
}

func (w *writer) str(s string) {
	w.sep()
	e := json.NewEncoder(&w.b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)             // encoding a string does not fail
	w.b.Truncate(w.b.Len() - 1) // the newline
}

func (w *writer) num(n uint64) {
	w.sep()
	w.b.Write(strconv.AppendUint(nil, n, 10))
}

func (w *writer) ms(d time.Duration) { w.num(uint64(d / time.Millisecond)) }

func (w *writer) nonEmpty(name, value string) {
	if value != "" {
		w.key(name).str(value)
	}
}

func (w *writer) configuration(c map[string]string) {
	if len(c) == 0 {
		return
	}
	w.key("configuration").open('{')
	for _, k := range slices.Sorted(maps.Keys(c)) {
		w.key(k).str(c[k])
	}
	w.close('}')
}

func (w *writer) client(c *Client) {
	w.open('{')
	w.nonEmpty("name", c.Name)
	w.key("scenario").ops(c.Scenario, true)
	w.key("connections").connections(c.Connections)
	w.configuration(c.Configuration)
	if len(c.CertificateAuthorities) > 0 {
		w.key("certificate_authorities").open('[')
		for _, i := range c.CertificateAuthorities {
			w.num(i)
		}
		w.close(']')
	}
	w.close('}')
}

func (w *writer) server(s *Server) {
	w.open('{')
	w.nonEmpty("name", s.Name)
	w.key("connections").connections(s.Connections)
	w.configuration(s.Configuration)
	w.key("private_key").num(s.PrivateKey)
	w.key("certificate").num(s.Certificate)
	w.key("certificate_authority").num(s.CertificateAuthority)
	w.close('}')
}

func (w *writer) router(r *Router) {
	w.open('{')
	w.nonEmpty("name", r.Name)
	w.key("scenario").sep()
	w.b.Write(r.Scenario)
	w.configuration(r.Configuration)
	w.close('}')
}

func (w *writer) connections(cs []Connection) {
	w.open('[')
	for _, c := range cs {
		w.open('{')
		if len(c.Ops) > 0 {
			w.key("ops").ops(c.Ops, false)
		}
		if len(c.PeerStreams) > 0 {
			w.key("peer_streams").threads(c.PeerStreams, false)
		}
		w.close('}')
	}
	w.close(']')
}

func (w *writer) threads(ts [][]Op, client bool) {
	w.open('[')
	for _, t := range ts {
		w.ops(t, client)
	}
	w.close(']')
}

func (w *writer) ops(ops []Op, client bool) {
	w.open('[')
	for i := range ops {
		w.op(&ops[i], client)
	}
	w.close(']')
}

func (w *writer) op(op *Op, client bool) {
	w.open('{')
	w.key(op.Kind.String()).open('{')
	if op.Kind.Stream() {
		w.key("stream_id").num(op.StreamID)
	}
	switch op.Kind {
	case Sleep:
		if client {
			w.key("timeout_ms").ms(op.Period)
		} else {
			w.key("amount_ms").ms(op.Period)
		}
	case Send, Receive:
		w.key("bytes").num(op.Bytes)
	case SendRate, ReceiveRate:
		w.key("bytes").num(op.Bytes)
		w.key("period_ms").ms(op.Period)
	case Park, Unpark:
		w.key("checkpoint").num(op.ID)
	case Trace:
		w.key("trace_id").num(op.ID)
	case Profile:
		w.key("trace_id").num(op.ID)
		w.key("operations").ops(op.Operations, client)
	case Iterate:
		w.iterate(op, client)
	case Scope:
		w.key("threads").threads(op.Threads, client)
	case Connect:
		w.key("server_id").num(op.ServerID)
		if op.HasRouter {
			w.key("router_id").num(op.RouterID)
		}
		w.key("server_connection_id").num(op.ServerConnectionID)
		w.key("client_connection_id").num(op.ClientConnectionID)
	}
	w.close('}')
	w.close('}')
}

func (w *writer) iterate(op *Op, client bool) {
	w.key("value").open('{')
	if op.Timed {
		w.key("time").open('{')
		w.key("amount_ms").ms(op.Period)
	} else {
		w.key("count").open('{')
		w.key("amount").num(op.Count)
	}
	w.close('}')
	w.close('}')
	w.key("operations").ops(op.Operations, client)
	if op.HasTrace {
		w.key("trace_id").num(op.ID)
	}
}

package scenario

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// Load reads and validates a file.
func Load(file string) (*Scenario, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := Parse(b)
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// Parse reads a scenario, of today's s2n-netbench or that of 2022. Unknown fields are ignored. Unknown
// operations and missing fields of operations are errors. Errors give the place in the scenario.
func Parse(b []byte) (s *Scenario, err error) {
	if !json.Valid(b) {
		var v any
		return nil, fmt.Errorf("not JSON: %w", json.Unmarshal(b, &v))
	}
	defer func() {
		if r := recover(); r != nil {
			i, ok := r.(invalid)
			if !ok {
				panic(r)
			}
			s, err = nil, i.err
		}
	}()
	return parseScenario((&node{raw: b}).object()), nil
}

func parseScenario(o object) *Scenario {
	s := &Scenario{ID: o.member("id").str()}
	for _, n := range o.member("clients").list() {
		s.Clients = append(s.Clients, parseClient(n.object()))
	}
	for _, n := range o.member("servers").list() {
		s.Servers = append(s.Servers, parseServer(n.object()))
	}
	for _, n := range o.optionalList("routers") {
		r := n.object()
		s.Routers = append(s.Routers, Router{Name: r.optionalString("name"),
			Scenario: slices.Clone(r.member("scenario").raw), Configuration: r.configuration()})
	}
	for _, n := range o.optionalList("traces") {
		s.Traces = append(s.Traces, n.str())
	}
	for _, n := range o.optionalList("certificates") {
		c := n.object()
		s.Certificates = append(s.Certificates, Certificate{c.optionalString("pem"), c.optionalString("pkcs12")})
	}
	return s
}

func parseClient(o object) Client {
	c := Client{Name: o.optionalString("name"), Scenario: parseOps(o.member("scenario"), true, 0),
		Connections: parseConnections(o.member("connections")), Configuration: o.configuration()}
	for _, n := range o.optionalList("certificate_authorities") {
		c.CertificateAuthorities = append(c.CertificateAuthorities, n.uint())
	}
	return c
}

func parseServer(o object) Server {
	return Server{Name: o.optionalString("name"), Connections: parseConnections(o.member("connections")),
		Configuration: o.configuration(), PrivateKey: o.member("private_key").uint(),
		Certificate: o.member("certificate").uint(), CertificateAuthority: o.member("certificate_authority").uint()}
}

func parseConnections(n *node) []Connection {
	var out []Connection
	for _, n := range n.list() {
		o := n.object()
		var c Connection
		if ops := o.optional("ops"); ops != nil {
			c.Ops = parseOps(ops, false, 0)
		}
		if peer := o.optional("peer_streams"); peer != nil {
			c.PeerStreams = parseThreads(peer, false, 0)
		}
		out = append(out, c)
	}
	return out
}

func parseThreads(n *node, client bool, depth int) [][]Op {
	list := n.list()
	out := make([][]Op, len(list))
	for i, t := range list {
		out[i] = parseOps(t, client, depth)
	}
	return out
}

func parseOps(n *node, client bool, depth int) []Op {
	if depth > maxDepth {
		n.fail("operations are nested more than %d levels deep", maxDepth)
	}
	list := n.list()
	out := make([]Op, len(list))
	for i, o := range list {
		out[i] = parseOp(o.object(), client, depth)
	}
	return out
}

func parseOp(o object, client bool, depth int) Op {
	if len(o.members) != 1 {
		o.fail("an operation must have one member, not %d", len(o.members))
	}
	var op Op
	for name := range o.members {
		k := slices.Index(kindNames[:], name)
		if k < 0 || client != clientKind(Kind(k)) && !bothKind(Kind(k)) {
			of := "a connection"
			if client {
				of = "a client"
			}
			o.fail("%q is not an operation of %s", name, of)
		}
		op = Op{Kind: Kind(k)}
		parseFields(&op, o.member(name).object(), client, depth)
	}
	return op
}

func clientKind(k Kind) bool { return k == Connect }

// bothKind reports whether clients and connections have the operation.
func bothKind(k Kind) bool {
	return k == Sleep || k == Park || k == Unpark || k == Trace || k == Scope
}

func parseFields(op *Op, o object, client bool, depth int) {
	if op.Kind.Stream() {
		op.StreamID = o.member("stream_id").uint()
	}
	switch op.Kind {
	case Sleep:
		name := "amount_ms"
		if client {
			name = "timeout_ms"
		}
		op.Period = o.member(name).millis()
	case Send, Receive:
		op.Bytes = o.member("bytes").uint()
	case SendRate, ReceiveRate:
		op.Bytes = o.member("bytes").uint()
		op.Period = o.member("period_ms").millis()
	case Park, Unpark:
		op.ID = o.member("checkpoint").uint()
	case Trace:
		op.ID = o.member("trace_id").uint()
	case Profile:
		op.ID = o.member("trace_id").uint()
		op.Operations = parseOps(o.member("operations"), client, depth+1)
	case Iterate:
		parseIterate(op, o, client, depth)
	case Scope:
		op.Threads = parseThreads(o.member("threads"), client, depth+1)
	case Connect:
		op.ServerID = o.member("server_id").uint()
		op.ServerConnectionID = o.member("server_connection_id").uint()
		op.ClientConnectionID = o.member("client_connection_id").uint()
		if n := o.optional("router_id"); n != nil && string(n.raw) != "null" {
			op.RouterID, op.HasRouter = n.uint(), true
		}
	}
}

func parseIterate(op *Op, o object, client bool, depth int) {
	value := o.member("value").object()
	t, c := value.optional("time"), value.optional("count")
	switch {
	case len(value.members) != 1 || t == nil && c == nil:
		value.fail("give either time or count")
	case t != nil:
		op.Timed, op.Period = true, t.object().member("amount_ms").millis()
	default:
		op.Count = c.object().member("amount").uint()
	}
	op.Operations = parseOps(o.member("operations"), client, depth+1)
	if n := o.optional("trace_id"); n != nil && string(n.raw) != "null" {
		op.ID, op.HasTrace = n.uint(), true
	}
}

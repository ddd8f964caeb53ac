package scenario

import (
	"slices"
	"time"
)

// builder builds a scenario by the rules of s2n-netbench's generator.
type builder struct {
	s           *Scenario
	checkpoints uint64
	known       []map[string]uint64 // connections of the client, then of each server, by their JSON
}

func newBuilder(servers uint64) *builder {
	b := &builder{s: &Scenario{Clients: []Client{{CertificateAuthorities: []uint64{0}}}}}
	for range servers {
		b.s.Servers = append(b.s.Servers, Server{PrivateKey: 1, Certificate: 2, CertificateAuthority: 0})
	}
	for range servers + 1 {
		b.known = append(b.known, make(map[string]uint64))
	}
	return b
}

// finish sets the ID and makes the certificates.
func (b *builder) finish(t CertificateType) (*Scenario, error) {
	k, err := t.key()
	if err != nil {
		return nil, err
	}
	b.s.templates = templates(k)
	b.s.ID = b.s.computeID()
	if b.s.ID[0] == '-' {
		// crypto/x509 rejects a host name that begins with a hyphen.
		b.s.ID = "x" + b.s.ID[1:]
	}
	b.s.Certificates, err = NewCertificates(b.s.ID, t)
	return b.s, err
}

// trace returns the ID of the trace with this name.
func (b *builder) trace(name string) uint64 {
	i := slices.Index(b.s.Traces, name)
	if i < 0 {
		i = len(b.s.Traces)
		b.s.Traces = append(b.s.Traces, name)
	}
	return uint64(i)
}

func (b *builder) checkpoint() uint64 {
	b.checkpoints++
	return b.checkpoints - 1
}

// connect adds the two sides of a connection unless the same ones exist, and returns the operation.
func (b *builder) connect(server uint64, client, peer Connection) Op {
	return Op{Kind: Connect, ServerID: server,
		ServerConnectionID: b.add(&b.s.Servers[server].Connections, b.known[server+1], peer),
		ClientConnectionID: b.add(&b.s.Clients[0].Connections, b.known[0], client)}
}

func (b *builder) add(to *[]Connection, known map[string]uint64, c Connection) uint64 {
	w := new(writer)
	w.connections([]Connection{c})
	text := w.b.String()
	i, ok := known[text]
	if !ok {
		i = uint64(len(*to))
		known[text] = i
		*to = append(*to, c)
	}
	return i
}

// scope runs threads concurrently. No threads need no operation, and one thread needs no scope.
func scope(threads [][]Op) []Op {
	switch len(threads) {
	case 0:
		return nil
	case 1:
		return threads[0]
	}
	return []Op{{Kind: Scope, Threads: threads}}
}

func (b *builder) profile(name string, ops ...Op) Op {
	return Op{Kind: Profile, ID: b.trace(name), Operations: ops}
}

// iterateFor repeats ops for a time and profiles each repetition.
func (b *builder) iterateFor(d time.Duration, name string, ops ...Op) []Op {
	if d < time.Millisecond || len(ops) == 0 {
		return nil
	}
	return []Op{{Kind: Iterate, Timed: true, Period: d, ID: b.trace(name), HasTrace: true, Operations: ops}}
}

func send(stream uint64, n Bytes) Op    { return Op{Kind: Send, StreamID: stream, Bytes: uint64(n)} }
func receive(stream uint64, n Bytes) Op { return Op{Kind: Receive, StreamID: stream, Bytes: uint64(n)} }

// ends returns the operations that finish both directions of a stream.
func ends(stream uint64) []Op {
	return []Op{{Kind: SendFinish, StreamID: stream}, {Kind: ReceiveFinish, StreamID: stream}}
}

func openStream(stream uint64) Op { return Op{Kind: OpenBidirectionalStream, StreamID: stream} }

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/pqquic/pqquic/cmd/internal/inspect"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// An evidence is what the checks know about a run of a test case.
type evidence struct {
	c              Case
	www, downloads string
	trace          *trace
	connections    []*inspect.Connection // as far as the key logs open them
}

// A check returns an error if a run has failed. The checks are the runner's.
type check func(*evidence) error

// sameFiles fails unless the client has downloaded the files and nothing else.
func sameFiles(e *evidence) error {
	got, err := os.ReadDir(e.downloads)
	if err != nil {
		return err
	}
	if len(got) != len(e.c.files) {
		return fmt.Errorf("the client has %d files instead of %d", len(got), len(e.c.files))
	}
	for _, f := range e.c.files {
		want, err := os.ReadFile(filepath.Join(e.www, f.name))
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(e.downloads, f.name))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("the client's %.20s differs from the server's", f.name)
		}
	}
	return nil
}

// onlyVersion1 fails if a server has used another version.
func onlyVersion1(e *evidence) error {
	if v := e.versions(server, typeInitial); len(v) != 1 || !v[1] {
		return fmt.Errorf("the versions of the server's Initial packets are %v instead of version 1 alone", v)
	}
	return nil
}

// versions returns the versions of an end's packets of a type.
func (e *evidence) versions(from, kind int) map[uint32]bool {
	found := make(map[uint32]bool)
	e.trace.packets(from, func(_ *record, p *longPacket) {
		if p.kind == kind {
			found[p.version] = true
		}
	})
	return found
}

// upgraded fails unless the client began with version 1 and the server has chosen version 2.
func upgraded(e *evidence) error {
	if !e.versions(client, typeInitial)[1] {
		return errors.New("the client has not begun with version 1")
	}
	if !e.versions(server, typeInitial)[version2] {
		return errors.New("the server has sent no Initial packet of version 2")
	}
	for end, name := range []string{"client", "server"} {
		if v := e.versions(end, typeHandshake); len(v) != 1 || !v[version2] {
			return fmt.Errorf("the versions of the %s's Handshake packets are %v instead of version 2 alone", name, v)
		}
	}
	return nil
}

// completed fails unless the expected number of handshakes was made. Each has one source connection ID in the
// server's Initial packets.
func completed(e *evidence) error {
	ids := make(map[string]bool)
	e.trace.packets(server, func(_ *record, p *longPacket) {
		if p.kind == typeInitial {
			ids[p.scid] = true
		}
	})
	if len(ids) != e.c.handshakes {
		return fmt.Errorf("%d handshakes instead of %d", len(ids), e.c.handshakes)
	}
	return nil
}

// noRetry fails if the server has sent a Retry.
func noRetry(e *evidence) (err error) {
	e.trace.packets(server, func(_ *record, p *longPacket) {
		if p.kind == typeRetry {
			err = errors.New("the server has sent a Retry")
		}
	})
	return err
}

// initials calls f for the client's Initial packets whose keys come from their own connection IDs.
func (e *evidence) initials(f func(p *longPacket, number uint64, crypto []span)) {
	var provider tlsprovider.Provider = native.New()
	e.trace.packets(client, func(_ *record, p *longPacket) {
		if p.kind == typeInitial {
			if number, payload, ok := openInitial(provider, p); ok {
				f(p, number, cryptoSpans(payload))
			}
		}
	})
}

// helloRepeated fails unless the client has sent a part of its ClientHello again.
func helloRepeated(e *evidence) error {
	var seen []span
	repeated := false
	e.initials(func(_ *longPacket, _ uint64, crypto []span) {
		for _, s := range crypto {
			repeated = repeated || slices.ContainsFunc(seen, func(o span) bool { return s.start < o.end && o.start < s.end })
		}
		seen = append(seen, crypto...)
	})
	if !repeated {
		return errors.New("the client has not sent its ClientHello again")
	}
	return nil
}

// onlyChaCha20 fails if a ClientHello offers another cipher suite.
func onlyChaCha20(e *evidence) error {
	if len(e.connections) == 0 {
		return errors.New("no ClientHello was seen")
	}
	for _, c := range e.connections {
		if c.Hello == nil || len(c.Hello.Suites) != 1 || c.Hello.Suites[0].ID != uint16(tlsprovider.ChaCha20Poly1305) {
			return fmt.Errorf("the ClientHello does not offer ChaCha20-Poly1305 alone: %+v", c.Hello)
		}
	}
	return nil
}

// streamLimit fails if the server permits more than 1000 streams at first.
func streamLimit(e *evidence) error {
	for _, c := range e.connections {
		if c.Handshake == nil {
			continue
		}
		for _, p := range c.Handshake.ServerParameters {
			if p.Name == "initial_max_streams_bidi" {
				if n, err := strconv.ParseUint(p.Value, 10, 64); err != nil || n > 1000 {
					return fmt.Errorf("the server's initial_max_streams_bidi is %s", p.Value)
				}
				return nil
			}
		}
	}
	return errors.New("the server's initial_max_streams_bidi was not seen: is there a key log?")
}

// retried fails unless the client has returned the token of a Retry, with larger packet numbers than before.
func retried(e *evidence) error {
	tokens := make(map[string]bool)
	e.trace.packets(server, func(_ *record, p *longPacket) {
		if p.kind == typeRetry && p.token != "" {
			tokens[p.token] = true
		}
	})
	before, after, returned := int64(-1), int64(1<<62), false
	e.initials(func(p *longPacket, number uint64, _ []span) {
		if tokens[p.token] {
			returned, after = true, min(after, int64(number))
		} else {
			before = max(before, int64(number))
		}
	})
	switch {
	case len(tokens) == 0:
		return errors.New("the server has sent no Retry with a token")
	case !returned:
		return errors.New("the client has not returned the token")
	case after <= before:
		return fmt.Errorf("the client has used packet number %d after the Retry and %d before", after, before)
	}
	return nil
}

// secondResumed fails unless the second of two connections has resumed the session of the first.
func secondResumed(e *evidence) error {
	if len(e.connections) != 2 {
		return fmt.Errorf("%d connections were seen instead of 2", len(e.connections))
	}
	slices.SortFunc(e.connections, func(a, b *inspect.Connection) int { return a.Start.Compare(b.Start) })
	if e.connections[0].Resumed || !e.connections[1].Resumed {
		return fmt.Errorf("connections are resumed: first %v, second %v", e.connections[0].Resumed, e.connections[1].Resumed)
	}
	return nil
}

// earlyData fails unless the requests were sent as early data.
func earlyData(e *evidence) error {
	early, late := 0, 0
	for i := range e.trace.records {
		r := &e.trace.records[i]
		if r.from == server || r.arrived {
			continue
		}
		for _, p := range r.long {
			if p.kind == typeEarly {
				early += p.length
			}
		}
		const overhead = 1 + 8 + 1 + 16 // of a packet: at least a first byte, number and tag, and mostly a connection ID
		late += max(0, r.short-overhead)
	}
	const mostLate = 5000
	if early == 0 || late > mostLate {
		return fmt.Errorf("the client has sent %d bytes in 0-RTT packets, and %d in 1-RTT packets instead of at most %d", early, late, mostLate)
	}
	return nil
}

// contains reports whether an end has sent a 1-RTT packet for which f returns true.
func (e *evidence) contains(from int, f func(*shortPacket) bool) bool {
	return slices.ContainsFunc(e.trace.records, func(r record) bool { return r.from == from && r.opened != nil && f(r.opened) })
}

// keysUpdated fails unless both ends have used the second key phase.
func keysUpdated(e *evidence) error {
	for end, name := range []string{"client", "server"} {
		if !e.contains(end, func(p *shortPacket) bool { return p.keyPhase }) {
			return fmt.Errorf("the %s has sent no packet of key phase 1", name)
		}
	}
	return nil
}

// marked fails unless both ends have marked packets, and reported marks of the other.
func marked(e *evidence) error {
	for end, name := range []string{"client", "server"} {
		ect, ce := 0, 0
		for i := range e.trace.records {
			if r := &e.trace.records[i]; r.from == end && !r.arrived {
				switch r.ecn {
				case 1, 2:
					ect++
				case 3:
					ce++
				}
			}
		}
		reports := e.contains(end, func(p *shortPacket) bool { return p.reportsECN })
		if ect == 0 || ce > 0 || !reports {
			return fmt.Errorf("the %s has sent %d packets with ECT and %d with CE, and acknowledgements with counts: %v", name, ect, ce, reports)
		}
	}
	return nil
}

// amplification fails if the server has sent more than three times what it had received before the client's first
// Handshake packet. The runner allows four times.
func amplification(e *evidence) error {
	received, sent := 0, 0
	for i := range e.trace.records {
		r := &e.trace.records[i]
		switch {
		case r.from == client && r.arrived:
			received += r.length
			if slices.ContainsFunc(r.long, func(p longPacket) bool { return p.kind == typeHandshake }) {
				return chainSent(e)
			}
		case r.from == server && !r.arrived:
			if sent += r.length; sent > 3*received {
				return fmt.Errorf("the server has sent %d bytes after %d bytes from an address that is not validated", sent, received)
			}
		}
	}
	return errors.New("the client has sent no Handshake packet")
}

// chainSent fails unless the certificates were large enough for the limit to matter.
func chainSent(e *evidence) error {
	const enough = 7500
	for _, c := range e.connections {
		if c.Handshake != nil && c.Handshake.Certificate != nil && c.Handshake.Certificate.ChainBytes >= enough {
			return nil
		}
	}
	return fmt.Errorf("no Certificate message of %d bytes was seen", enough)
}

// onlyIPv6 fails if the server has sent a datagram over IPv4.
func onlyIPv6(e *evidence) error {
	for i := range e.trace.records {
		if r := &e.trace.records[i]; r.from == server && r.dst.Addr().Is4() {
			return errors.New("the server has sent a datagram over IPv4")
		}
	}
	return nil
}

// A route is the pair of addresses of a path, from the server to the client.
type route struct{ server, client netip.AddrPort }

// routes returns the paths on which the server has sent.
func (e *evidence) routes() map[route]bool {
	found := make(map[route]bool)
	for i := range e.trace.records {
		if r := &e.trace.records[i]; r.from == server && !r.arrived {
			found[route{r.src, r.dst}] = true
		}
	}
	return found
}

// rebound fails unless the server has sent on several paths, its first packet on each new one has a PATH_CHALLENGE, and
// the client has answered these.
func rebound(e *evidence) error {
	seen := make(map[route]bool)
	var challenges []string
	responses := make(map[string]bool)
	for i := range e.trace.records {
		r := &e.trace.records[i]
		switch to := (route{r.src, r.dst}); {
		case r.arrived:
		case r.from == client:
			if r.opened != nil {
				for _, data := range r.opened.responses {
					responses[data] = true
				}
			}
		case !seen[to]:
			if len(seen) > 0 {
				if r.opened == nil || len(r.opened.challenges) == 0 {
					return fmt.Errorf("the first packet of the server on the path from %v to %v has no PATH_CHALLENGE", to.server, to.client)
				}
				challenges = append(challenges, r.opened.challenges...)
			}
			seen[to] = true
		}
	}
	if len(seen) < 2 {
		return errors.New("the server has sent on one path only")
	}
	for _, data := range challenges {
		if !responses[data] {
			return fmt.Errorf("the client has not answered the PATH_CHALLENGE %x", data)
		}
	}
	return nil
}

// newConnID fails if the client's first packet to another address of the server has the connection ID of packets to
// the first address.
func newConnID(e *evidence) error {
	length := -1 // of the server's connection IDs
	e.trace.packets(server, func(_ *record, p *longPacket) {
		if p.kind == typeInitial {
			length = len(p.scid)
		}
	})
	used := make(map[string]netip.AddrPort)
	for i := range e.trace.records {
		r := &e.trace.records[i]
		if r.from == server || r.arrived || length < 0 || r.short < 1+length || len(r.long) > 0 {
			continue
		}
		id := string(r.packet[len(r.packet)-r.short:][1 : 1+length])
		if to, ok := used[id]; ok && to != r.dst {
			return fmt.Errorf("the client has used the connection ID %x to both %v and %v", id, to, r.dst)
		}
		used[id] = r.dst
	}
	return nil
}

// reboundAddr fails unless the server has seen more than one IP address.
func reboundAddr(e *evidence) error {
	hosts := make(map[netip.Addr]bool)
	for r := range e.routes() {
		hosts[r.client.Addr()] = true
	}
	if len(hosts) < 2 {
		return errors.New("the server has seen one IP address only")
	}
	return nil
}

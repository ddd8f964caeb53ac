//go:build linux

package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/pqquic/pqquic/internal/link"
)

// A setup is how a pair differs from the usual one.
type setup struct {
	datagram   int          // largest UDP payload; 0 means the runner's
	link       *link.Config // between the ends; nil for loopback
	group      string       // key exchange; empty means wantGroup
	client     string       // stack of the client; empty means the server's
	serverArgs []string     // further arguments of the server
	http       bool         // HTTP instead of streams
}

// A pair is a server and a client, usually of one stack.
type pair struct {
	server *process // nil if the client needs none
	client *process
	link   *link.Link // between them; nil for loopback
}

// arguments returns the arguments that all drivers have.
func (r *runner) arguments(stack string, s setup) []string {
	args := []string{"-stack", strings.TrimSuffix(stack, baseSuffix), "-cert", r.cert,
		"-datagram", fmt.Sprint(cmp.Or(s.datagram, r.datagram)), "-group", cmp.Or(s.group, wantGroup)}
	if s.http {
		args = append(args, "-http")
	}
	return args
}

// start starts a server and a client and checks what they negotiated. They are at the ends of a new link, if the
// setup has one.
func (r *runner) start(stack string, s setup) (*pair, error) {
	p := new(pair)
	err := r.startBoth(p, stack, s)
	if err == nil && stack != rawFloor { // which has no handshake
		err = p.check(cmp.Or(s.group, wantGroup))
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (r *runner) startBoth(p *pair, stack string, s setup) (err error) {
	atServer, atClient := loopback, loopback
	if s.link != nil {
		if p.link, err = link.New(*s.link); err != nil {
			return fmt.Errorf("the emulated link: %w", err)
		}
		server, client := p.link.Ends()
		atServer, atClient = place{server.Addr().String(), server.Do}, place{client.Addr().String(), client.Do}
	}
	args := append([]string{"server", "-key", r.key}, r.arguments(stack, s)...)
	if p.server, err = atServer.start(r.program(stack), append(args, s.serverArgs...)); err != nil {
		return fmt.Errorf("the server does not start: %w", err)
	}
	p.client, err = r.startClient(atClient, p.server, cmp.Or(s.client, stack), s)
	return err
}

// startClient starts a client of a server.
func (r *runner) startClient(at place, server *process, stack string, s setup) (*process, error) {
	args := append([]string{"client", "-addr", server.ready["addr"]}, r.arguments(stack, s)...)
	p, err := at.start(r.program(stack), args)
	if err != nil {
		return nil, fmt.Errorf("the client does not connect: %w", err)
	}
	return p, nil
}

// A place is where a driver runs.
type place struct {
	addr string // local address of its sockets
	do   func(func() error) error
}

// loopback is the network namespace of the runner.
var loopback = place{"127.0.0.1", func(f func() error) error { return f() }}

// start starts a driver in this place.
func (at place) start(program string, args []string) (p *process, err error) {
	err = at.do(func() error {
		p, err = start(program, append(args, "-bind", at.addr)...)
		return err
	})
	return p, err
}

// check returns an error if the connection that the client has made cannot be compared with those of other stacks.
func (p *pair) check(wantGroup string) error {
	if group := p.client.ready["group"]; !strings.EqualFold(group, wantGroup) { // s2n-tls names it x25519
		return fmt.Errorf("it negotiated the group %q instead of %s", group, wantGroup)
	}
	if suite := p.client.ready["suite"]; suite != wantSuite {
		return fmt.Errorf("it negotiated the cipher suite %q instead of %s", suite, wantSuite)
	}
	return nil
}

// stop ends what was started.
func (p *pair) stop() {
	if p.client != nil {
		p.client.stop()
	}
	if p.server != nil {
		p.server.stop()
	}
	if p.link != nil {
		p.link.Close()
	}
}

// cpu returns the CPU time of each process.
func (p *pair) cpu() (client, server time.Duration, err error) {
	if client, err = p.client.cpu(); err != nil || p.server == nil {
		return client, 0, err
	}
	server, err = p.server.cpu()
	return client, server, err
}

// run has the client carry out a request and measures it, with what both processes still do in the time cooldown
// after it.
func (p *pair) run(request string, cooldown time.Duration) (sample, error) {
	client, server, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	sent, counted := udpSent()
	counted = counted && p.link == nil // the datagrams are sent in other namespaces
	line, err := p.client.ask(request)
	if err != nil {
		return sample{}, err
	}
	s := sample{datagrams: -1}
	if s.done, err = parseDone(line); err != nil {
		return s, err
	}
	time.Sleep(cooldown)
	if counted {
		after, _ := udpSent()
		s.datagrams = float64(after - sent)
	}
	clientAfter, serverAfter, err := p.cpu()
	s.clientCPU, s.serverCPU = clientAfter-client, serverAfter-server
	return s, err
}

// A sample is one measurement.
type sample struct {
	done
	clientCPU, serverCPU time.Duration
	datagrams            float64 // -1 if unknown
}

// Command middlebox relays UDP datagrams and TCP connections to a server, as a bad middlebox does: it drops datagrams with
// a part of a ClientHello that takes more than one, and resets TCP connections that begin with a large ClientHello. It
// shows what pqprobe finds on such a network.
//
// usage: middlebox SERVER
//
// It prints its address, which is the same for UDP and TCP, to standard error, and ends on an interrupt.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/pqquic/pqquic/cmd/internal/relay"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: middlebox SERVER")
		os.Exit(2)
	}
	b, err := start(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "middlebox:", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Fprintf(os.Stderr, "middlebox: ready on %s\n", b.relay.Addr())
	<-ctx.Done()
	b.close()
}

// A box is a middlebox that runs.
type box struct {
	server   string
	relay    *relay.Relay
	listener net.Listener
	provider tlsprovider.Provider

	mu    sync.Mutex
	conns map[net.Conn]bool // nil after close
	wait  sync.WaitGroup
}

func start(server string) (*box, error) {
	b := &box{server: server, provider: native.New(), conns: make(map[net.Conn]bool)}
	var err error
	for range 10 { // the port that UDP got may be in use by TCP
		if b.relay, err = relay.New(server, relay.Link{}, relay.Link{}, 1); err != nil {
			return nil, err
		}
		if b.listener, err = net.Listen("tcp", b.relay.Addr()); err == nil {
			break
		}
		b.relay.Close()
	}
	if err != nil {
		return nil, err
	}
	b.relay.Drop(b.isPartOfHello)
	b.wait.Go(b.accept)
	return b, nil
}

func (b *box) close() {
	b.mu.Lock()
	b.listener.Close()
	for c := range b.conns {
		c.Close()
	}
	b.conns = nil
	b.mu.Unlock()
	b.relay.Close()
	b.wait.Wait()
}

// keep remembers a connection until it is forgotten, so that close closes it. It returns false after close.
func (b *box) keep(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns == nil {
		c.Close()
		return false
	}
	b.conns[c] = true
	return true
}

func (b *box) forget(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.Close()
	delete(b.conns, c)
}

func (b *box) accept() {
	for {
		c, err := b.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && b.keep(c) {
			b.wait.Go(func() { b.connection(c) })
		}
	}
}

// segment is how much of a ClientHello the middlebox accepts: what an IPv6 packet of the smallest MTU carries.
const segment = 1220

// connection relays a TCP connection, or resets it if its first record is larger than a segment.
func (b *box) connection(client net.Conn) {
	defer b.forget(client)
	var header [5]byte
	if _, err := io.ReadFull(client, header[:]); err != nil {
		return
	}
	if size := int(header[3])<<8 | int(header[4]); size+len(header) > segment {
		_ = client.(*net.TCPConn).SetLinger(0) // so that Close resets the connection
		return
	}
	server, err := net.Dial("tcp", b.server)
	if err != nil || !b.keep(server) {
		return
	}
	defer b.forget(server)
	b.wait.Go(func() {
		_, _ = io.Copy(client, server)
		client.Close()
	})
	if _, err := server.Write(header[:]); err == nil {
		_, _ = io.Copy(server, client)
	}
}

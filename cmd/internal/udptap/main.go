// Command udptap relays datagrams between UDP clients and a server and writes them to a capture. It is for
// demonstrations on machines that do not permit packet sockets.
//
// usage: udptap SERVER FILE
//
// It prints the address for clients to standard error and ends on an interrupt.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/pqquic/pqquic/cmd/internal/capture"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: udptap SERVER FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "udptap:", err)
		os.Exit(1)
	}
}

func run(to, file string) error {
	server, err := netip.ParseAddrPort(to)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := capture.NewWriter(f)
	var failed error
	relay, err := capture.NewRelay(server, func(frame capture.Frame) { failed = errors.Join(failed, w.Write(frame)) })
	if err != nil {
		f.Close()
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Fprintf(os.Stderr, "udptap: ready on %s\n", relay.Addr())
	<-ctx.Done()
	relay.Close()
	return errors.Join(failed, w.Close(), f.Close())
}

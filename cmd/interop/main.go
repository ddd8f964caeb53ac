// Command interop is pqquic's endpoint for the QUIC interop runner (https://interop.seemann.io): a client or a server
// of HTTP/0.9 over QUIC or of HTTP/3, whose environment names the test case. docs/interop.md describes it.
//
// Exit status: 0; 1 if the test case failed; 127 if this build does not support it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// exitUnsupported is the exit status by which the runner recognizes a test case that an endpoint does not support.
const exitUnsupported = 127

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv, fixedPlaces)
	stop()
	var unsupported *unsupportedError
	switch {
	case err == nil:
		return
	case errors.As(err, &unsupported):
		// The runner looks for these words in the output of docker compose.
		fmt.Fprintf(os.Stderr, "interop: %v\ninterop: exited with code %d\n", err, exitUnsupported)
		os.Exit(exitUnsupported)
	}
	fmt.Fprintln(os.Stderr, "interop:", err)
	os.Exit(1)
}

// places are where an endpoint finds its files and where a server listens.
type places struct {
	www, downloads, certs string
	listen                string
}

// fixedPlaces are those of the runner's containers.
var fixedPlaces = places{www: "/www", downloads: "/downloads", certs: "/certs", listen: ":443"}

// run plays the role that the environment names. A server runs until ctx ends.
func run(ctx context.Context, getenv func(string) string, at places) error {
	s, err := newSetup(getenv, at)
	if err != nil {
		return err
	}
	defer s.close()
	switch role := getenv("ROLE"); role {
	case "client":
		return s.client(ctx, strings.Fields(getenv("REQUESTS")))
	case "server":
		l, err := s.listen()
		if err != nil {
			return err
		}
		return s.serve(ctx, l)
	default:
		return fmt.Errorf("ROLE is %q: it must be client or server", role)
	}
}

// Command pq_client connects to pq_server, sends a message, and prints the greeting and what was
// negotiated. Without flags it connects to 127.0.0.1:4433.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/pqquic/pqquic/examples/internal/demo"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var f demo.Flags
	fs := flag.NewFlagSet("pq_client", flag.ContinueOnError)
	f.Register(fs)
	connect := fs.String("connect", "127.0.0.1:4433", "`address` to connect to")
	message := fs.String("message", "Hello from pq_client", "the `message`")
	timeout := fs.Duration("timeout", 10*time.Second, "give up after this `time`")
	if code, exit := f.Parse(fs, args, stdout, stderr); exit {
		return code
	}
	defer f.Close()
	if *timeout <= 0 {
		fmt.Fprintln(stderr, "pq_client: --timeout must be greater than 0")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	o, err := talk(ctx, &f, *connect, *message, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "pq_client: %s\n", explain(err, *connect))
		return 1
	}
	if f.JSON {
		err = o.PrintJSON(stdout)
	} else {
		fmt.Fprintf(stdout, "connected to %s\n", *connect)
		o.Print(stdout)
		_, err = fmt.Fprintf(stdout, "  reply         %q\n", o.Reply)
	}
	if err != nil {
		fmt.Fprintf(stderr, "pq_client: %v\n", err)
		return 1
	}
	return 0
}

// maxReply bounds what is read from a server.
const maxReply = 1 << 20

func talk(ctx context.Context, f *demo.Flags, addr, message string, stderr io.Writer) (o demo.Outcome, err error) {
	cfg, err := config(f, addr, stderr)
	if err != nil {
		return o, err
	}
	c, err := quic.Dial(ctx, "udp", addr, cfg)
	if err != nil {
		return o, err
	}
	f.Say(stderr)
	defer func() { err = errors.Join(err, c.Close()) }()
	st, err := c.OpenStream(ctx)
	if err != nil {
		return o, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = st.SetDeadline(deadline)
	}
	if _, err := io.WriteString(st, message); err != nil {
		return o, err
	}
	if err := st.CloseWrite(); err != nil {
		return o, err
	}
	reply, err := io.ReadAll(io.LimitReader(st, maxReply))
	if err != nil {
		return o, err
	}
	o = demo.OutcomeOf(c)
	o.Reply = strings.TrimRight(string(reply), "\n")
	return o, nil
}

func config(f *demo.Flags, addr string, stderr io.Writer) (*quic.Config, error) {
	cfg, err := f.Config(stderr)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("--connect: %w", err)
	}
	cfg.ServerName = f.ServerName
	ip, err := netip.ParseAddr(host)
	loopback := host == "" || host == "localhost" || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
	if cfg.ServerName == "" && loopback {
		cfg.ServerName = "localhost"
	}
	switch {
	case f.CA != "":
		cfg.TLS.RootCAs, err = demo.LoadRoots(f.CA)
	case loopback:
		cfg.TLS.RootCAs, err = demo.DemoRoots()
	default:
		err = nil // fall back to the system's roots
	}
	if err != nil {
		return nil, err
	}
	if f.Cert != "" || f.Key != "" {
		cert, err := f.LoadCertificate()
		if err != nil {
			return nil, err
		}
		cfg.TLS.Certificates = []tlsprovider.Certificate{cert}
	}
	return cfg, nil
}

// advice suggests a remedy for an alert that we sent, and for one that the server sent.
type advice struct{ ours, theirs string }

var adviceOn = map[tlsprovider.Alert]advice{
	tlsprovider.AlertNoApplicationProtocol: {theirs: "the server uses another application protocol; see --alpn on both sides"},
	tlsprovider.AlertUnknownCA: {
		ours:   "the certificate's issuer is not trusted; give it with --ca",
		theirs: "the server does not trust the issuer of our certificate; give it with --ca there",
	},
	tlsprovider.AlertCertificateExpired: {
		ours:   "the server needs another certificate, unless the clock here is wrong",
		theirs: "use another certificate with --cert, unless the server's clock is wrong",
	},
	tlsprovider.AlertCertificateRequired: {theirs: "the server asks for a certificate; give --cert and --key"},
	tlsprovider.AlertBadCertificate: {
		ours:   "the server's certificate is for another name or purpose; see --server-name",
		theirs: "the server rejects our certificate; see --cert",
	},
	tlsprovider.AlertHandshakeFailure: {
		ours:   "no cipher suite or kind of certificate in common; see --groups and --policy on both sides",
		theirs: "no key exchange group, cipher suite or kind of certificate in common; see --groups on both sides, and the server's --cert",
	},
	tlsprovider.AlertInsufficientSecurity: {
		ours:   "see the server's --groups, or omit --require-pq",
		theirs: "see the server's --require-pq, and --groups here",
	},
}

// explain returns an error on one line with a suggested remedy.
func explain(err error, addr string) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	var te *quic.TransportError
	var vn *quic.VersionNegotiationError
	var ne net.Error
	switch {
	case errors.As(err, &te):
		alert, ok := te.Code.Alert()
		advice := adviceOn[tlsprovider.Alert(alert)]
		todo := advice.ours
		if te.Remote {
			todo = advice.theirs
		}
		if ok && todo != "" {
			return text + ": " + todo
		}
	case errors.As(err, &vn):
		return text + ": the server does not speak QUIC version 1; connect to one that does, such as pq_server"
	case errors.As(err, &ne) && ne.Timeout(), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s (is pq_server running at %s?)", text, addr)
	}
	return text
}

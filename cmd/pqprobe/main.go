// Command pqprobe asks servers, over QUIC and over TLS over TCP, whether their key exchange and their authentication are
// post-quantum.
package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/cli"
)

func main() { cli.Main(newCommand(), cli.Status[*notPostQuantum]) }

func newCommand() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "pqprobe HOST[:PORT]…",
		Short: "Is that server post-quantum? Ask it.",
		Long: `pqprobe makes handshakes with servers over QUIC and over TLS over TCP, and shows which key exchange groups
each takes and prefers, whether it falls back silently to a classical one, its certificates, versions, application
protocol, Retry, resumption and 0-RTT. The verdicts say whether the key exchange and the authentication are
post-quantum. It also finds middleboxes that drop post-quantum ClientHellos. Probe only servers that you may.

Exit status: 0; 1 with --require-pq or --require-pq-auth if a host that was reached is not post-quantum; 2 if a host
was not reached over any transport, or the command line is wrong.`,
		Example: `  pqprobe example.com
  pqprobe --ca ca.pem --alpn my-protocol 127.0.0.1:4433
  pqprobe --require-pq --json --file hosts.txt
  pqprobe --transport quic example.com
  source <(pqprobe --completion bash)`,
		Args: cobra.ArbitraryArgs,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o.in, o.out, o.problems, o.hosts = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args
		return o.run(cmd.Context())
	}
	f := c.Flags()
	f.StringVarP(&o.file, "file", "f", "", "read hosts from this `file`, one a line; - is standard input, and # begins a comment")
	f.StringVar(&o.ca, "ca", "", "trust the authorities in this PEM `file` in place of the system's")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line for each host")
	f.BoolVar(&o.requirePQ, "require-pq", false, "exit with 1 unless the key exchange of all hosts is post-quantum")
	f.BoolVar(&o.requireAuth, "require-pq-auth", false, "exit with 1 unless the authentication of all hosts is post-quantum")
	f.StringSliceVar(&o.transports, "transport", []string{"quic", "tcp"}, "probe over these `transports`")
	f.StringSliceVar(&o.alpn, "alpn", []string{"h3"}, "offer these application `protocols` over QUIC")
	f.StringSliceVar(&o.tcpALPN, "tcp-alpn", []string{"h2", "http/1.1"}, "offer these application `protocols` over TCP")
	f.StringVar(&o.serverName, "server-name", "", "request and verify this `name` in place of the host's")
	f.Uint16Var(&o.port, "port", 443, "the `port` of hosts that are given without one")
	f.IntVar(&o.parallel, "parallel", 8, "probe this `number` of hosts at a time")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "the time for all probes of a host")
	f.DurationVar(&o.handshakeTimeout, "handshake-timeout", 4*time.Second, "the time for each handshake")
	cli.Complete(c, "transport", "quic", "tcp")
	return cli.New(c)
}

// Command pqprobe asks servers, over QUIC and over TLS over TCP, whether their key exchange and their authentication are
// post-quantum.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/about"
)

// Exit statuses.
const (
	statusClassical = 1 // --require-pq or --require-pq-auth was given and a host is not post-quantum
	statusError     = 2 // an invalid command line, or a host that is not reachable
)

func main() {
	if err := newCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "pqprobe:", err)
		os.Exit(exitStatus(err))
	}
}

func exitStatus(err error) int {
	var not *notPostQuantum
	switch {
	case err == nil:
		return 0
	case errors.As(err, &not):
		return statusClassical
	}
	return statusError
}

func newCommand() *cobra.Command {
	var o options
	var licenses bool
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
		Args:          cobra.ArbitraryArgs,
		Version:       about.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	var shell string
	c.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case licenses:
			fmt.Fprint(cmd.OutOrStdout(), about.Licenses())
			return nil
		case shell != "":
			return completion(cmd, shell)
		}
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
	f.BoolVar(&licenses, "licenses", false, "print the licences of this program and of the modules linked into it")
	f.StringVar(&shell, "completion", "", "print a completion script for `shell`: bash, zsh, fish or powershell")
	for name, complete := range map[string]cobra.CompletionFunc{
		"completion": cobra.FixedCompletions([]string{"bash", "zsh", "fish", "powershell"}, cobra.ShellCompDirectiveNoFileComp),
		"transport":  cobra.FixedCompletions([]string{"quic", "tcp"}, cobra.ShellCompDirectiveNoFileComp),
	} {
		if err := c.RegisterFlagCompletionFunc(name, complete); err != nil {
			panic(err) // the flag exists
		}
	}
	return c
}

func completion(c *cobra.Command, shell string) error {
	out := c.OutOrStdout()
	switch shell {
	case "bash":
		return c.GenBashCompletionV2(out, true)
	case "zsh":
		return c.GenZshCompletion(out)
	case "fish":
		return c.GenFishCompletion(out, true)
	case "powershell":
		return c.GenPowerShellCompletionWithDesc(out)
	}
	return fmt.Errorf("no completion for %q: use bash, zsh, fish or powershell", shell)
}

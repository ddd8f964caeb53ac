// Command pqinspect reads packet captures. For each TLS handshake in them it reports whether the key
// exchange is post-quantum, and if not, why.
package main

import (
	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/cmd/internal/cli"
)

func main() { cli.Main(newCommand(), cli.Status[*notPostQuantum]) }

func newCommand() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "pqinspect [FILE…]",
		Short: "Is that connection post-quantum? Ask the packets.",
		Long: `pqinspect reads packet captures (pcap, pcapng; - is standard input) and shows each TLS handshake in
them, over QUIC and over TCP: what the client offered, what the server chose, and a verdict: post-quantum,
classical with the reason, or unknown. It needs no key, no root and no second program. With a key log it
also reads the encrypted part of QUIC handshakes.

Exit status: 0; 1 with --require-pq if a handshake is not post-quantum, or there is none; 2 if an input
could not be read.`,
		Example: `  pqinspect capture.pcapng
  tcpdump -i eth0 -U -w - 'udp port 443 or tcp port 443' | pqinspect -
  pqinspect --listen lo --port 4433
  pqinspect --require-pq --json ci.pcap
  pqinspect --keylog keys.log --pcap-out handshakes.pcapng all.pcapng
  source <(pqinspect --completion bash)`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.out, o.problems, o.files = cmd.OutOrStdout(), cmd.ErrOrStderr(), args
			return o.run(cmd.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&o.listen, "listen", "", "capture live from this network `interface` (Linux; needs CAP_NET_RAW)")
	f.StringVar(&o.keyLog, "keylog", "", "read secrets from this `file`, in the format of SSLKEYLOGFILE")
	f.BoolVar(&o.json, "json", false, "print one JSON object per line for each connection, then one with the counts")
	f.BoolVarP(&o.brief, "brief", "b", false, "print one line for each connection")
	f.StringVar(&o.pcapOut, "pcap-out", "", "write the frames that belong to handshakes to this pcapng `file`")
	f.BoolVar(&o.requirePQ, "require-pq", false, "exit with 1 unless there is a handshake and all are post-quantum")
	f.UintSliceVar(&o.ports, "port", nil, "examine only packets from or to these `ports`, such as 443,8443")
	f.DurationVar(&o.duration, "duration", 0, "with --listen: stop after this time")
	cli.CompleteFunc(c, "listen", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return capture.Interfaces(), cobra.ShellCompDirectiveNoFileComp
	})
	cli.Complete(c, "port")
	cli.Complete(c, "duration")
	return cli.New(c)
}

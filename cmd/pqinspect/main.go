// Command pqinspect reads packet captures. For each TLS handshake in them it reports whether the key
// exchange is post-quantum, and if not, why.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/about"
	"github.com/pqquic/pqquic/cmd/internal/capture"
)

// Exit statuses.
const (
	statusClassical = 1 // --require-pq was given and a handshake is not post-quantum
	statusError     = 2 // an invalid command line, or an input that cannot be read
)

func main() {
	err := newCommand().Execute()
	var not *notPostQuantum
	switch {
	case err == nil:
	case errors.As(err, &not):
		fmt.Fprintln(os.Stderr, "pqinspect:", err)
		os.Exit(statusClassical)
	default:
		fmt.Fprintln(os.Stderr, "pqinspect:", err)
		os.Exit(statusError)
	}
}

func newCommand() *cobra.Command {
	var o options
	var licenses bool
	var shell string
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
		Args:          cobra.ArbitraryArgs,
		Version:       about.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if licenses {
				fmt.Fprint(cmd.OutOrStdout(), about.Licenses())
				return nil
			}
			if shell != "" {
				return completion(cmd, shell)
			}
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
	f.BoolVar(&licenses, "licenses", false, "print the licences of this program and of the modules linked into it")
	f.StringVar(&shell, "completion", "", "print a completion script for `shell`: bash, zsh, fish or powershell")
	for name, complete := range map[string]cobra.CompletionFunc{
		"listen": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return capture.Interfaces(), cobra.ShellCompDirectiveNoFileComp
		},
		"completion": cobra.FixedCompletions([]string{"bash", "zsh", "fish", "powershell"}, cobra.ShellCompDirectiveNoFileComp),
		"port":       cobra.NoFileCompletions,
		"duration":   cobra.NoFileCompletions,
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

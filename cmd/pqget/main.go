// Command pqget fetches URLs over HTTP/3, and shows what was negotiated.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/cli"
)

// Exit statuses.
const (
	statusFailed    = 1 // a request failed: no connection, or an incomplete response
	statusUsage     = 2 // an invalid command line, or a file that cannot be read or written
	statusTLS       = 3 // the TLS handshake failed, for example because of the certificate
	statusClassical = 4 // --require-pq was given and the key exchange is not post-quantum
	statusHTTP      = 5 // --fail was given and the status of a response is 400 or more
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "pqget:", explain(err))
	os.Exit(exitStatus(err))
}

const longHelp = `pqget requests URLs over HTTP/3 and prints what the servers answer. With -v it also shows the connections: their
key exchange with its code point, cipher suite, certificate and signature, protocol, times, early data and resumption.

Without --h1, --h2, --h3 or --alt-svc it tries HTTP/3, and HTTP/2 or HTTP/1.1 if no QUIC packet arrives from the server.

Exit status: 0; 1 if a request failed; 2 for an invalid command line or a file that cannot be read or written; 3 if the
TLS handshake failed, for example because of the certificate; 4 with --require-pq if the key exchange is not
post-quantum; 5 with --fail if the status of a response is 400 or more. The first failure ends the program.`

const examples = `  pqget -v https://cloudflare-quic.com/
  pqget --json --require-pq -o page.html https://localhost:4443/
  pqget --ca ca.pem -d 'a=1&b=2' https://localhost:4443/echo
  pqget --ca ca.pem -T backup.tar --progress -o copy.tar https://localhost:4443/echo
  pqget --session sessions --early-data -v https://localhost:4443/    # the second time with early data
  source <(pqget --completion bash)`

func newCommand() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:     "pqget [flags] URL…",
		Short:   "Fetch URLs over post-quantum HTTP/3",
		Long:    longHelp,
		Example: examples,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.stdin, o.stdout, o.stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			return o.run(cmd.Context(), args)
		},
	}
	f := c.Flags()
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show the connection, the header sections and times on standard error")
	f.BoolVar(&o.json, "json", false, "print one JSON object for each URL instead of the content")
	f.StringVarP(&o.output, "output", "o", "", "write the content to `FILE`; - is standard output")
	f.StringVarP(&o.method, "request", "X", "", "the `METHOD` of the requests")
	f.StringArrayVarP(&o.header, "header", "H", nil, "add the header field `NAME: VALUE`")
	f.BoolVarP(&o.head, "head", "I", false, "request the header section only")
	f.StringVarP(&o.data, "data", "d", "", "send `DATA`, or the content of @FILE, with POST; @- is standard input")
	f.StringVarP(&o.upload, "upload-file", "T", "", "send `FILE` with PUT; - is standard input")
	f.BoolVarP(&o.follow, "location", "L", false, "follow redirects")
	f.BoolVarP(&o.fail, "fail", "f", false, "fail if the status is 400 or more")
	f.IntVar(&o.retries, "retry", 0, "repeat a GET or HEAD that failed up to this `number` of times")
	f.DurationVarP(&o.timeout, "max-time", "m", 0, "the longest `time` for each URL, such as 10s")
	f.BoolVar(&o.progress, "progress", false, "show the progress of transfers, also of small ones")
	f.BoolVar(&o.h1, "h1", false, "use HTTP/1.1")
	f.BoolVar(&o.h2, "h2", false, "use HTTP/2")
	f.BoolVar(&o.h3, "h3", false, "use HTTP/3 only")
	f.BoolVar(&o.altSvc, "alt-svc", false, "begin with HTTP/2, and use HTTP/3 for the URLs after a response that advertises it")
	f.StringVar(&o.ca, "ca", "", "trust the authorities in this PEM `FILE` instead of the system's")
	f.BoolVarP(&o.insecure, "insecure", "k", false, "do not verify the server's certificate")
	f.StringVar(&o.provider, "provider", "", "the TLS `provider` of HTTP/3, s2n or native (default: s2n if it is linked)")
	f.StringVar(&o.groups, "groups", "", "offer these key exchange `groups`, comma-separated")
	f.BoolVar(&o.requirePQ, "require-pq", false, "fail unless the key exchange is post-quantum")
	f.StringVar(&o.session, "session", "", "keep TLS sessions in this `FILE`, which contains secrets, and resume them")
	f.BoolVar(&o.earlyData, "early-data", false, "send GET and HEAD requests as early data (0-RTT) if a session permits it")
	cli.Complete(c, "provider", "s2n", "native")
	cli.Complete(c, "request", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
	for _, flag := range []string{"header", "retry", "max-time", "groups"} {
		cli.Complete(c, flag)
	}
	return cli.New(c)
}

// run fetches the URLs, one after the other.
func (o *options) run(ctx context.Context, urls []string) (err error) {
	requests, err := o.check(urls)
	if err != nil {
		return err
	}
	f, err := newFetcher(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	for _, r := range requests {
		if err := f.fetch(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// withTimeout bounds a context by --max-time.
func (o *options) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("the URL took longer than --max-time %v", o.timeout))
}

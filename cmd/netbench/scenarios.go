package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

// defaultScenarios is the folder to which s2n-netbench-scenarios writes its files.
const defaultScenarios = "target/s2n-netbench"

func newScenariosCommand() *cobra.Command {
	o := scenario.Defaults()
	c := &cobra.Command{
		Use:   "scenarios [OUT_DIR]",
		Short: "Write the scenarios connect, ping and request_response",
		Long: `scenarios writes connect.json, ping.json and request_response.json to OUT_DIR (target/s2n-netbench).
The flags are those of s2n-netbench-scenarios.

BYTES are an integer with an optional K, Ki, M, Mi, G, Gi, T or Ti and an optional B, or b for bits.
TIME is for example 15s or 1s42ms. RATE is for example 10MBps, 42MB/50ms or NONE.`,
		Example: `  netbench scenarios
  netbench scenarios build/scenarios --request_response.connections 10000 \
    --request_response.request_size 1 --request_response.response_size 1
  netbench scenarios build/slow --request_response.server_send_rate 10Mbps --ping.size 1KB,64KiB`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := defaultScenarios
			if len(args) > 0 {
				dir = args[0]
			}
			return writeScenarios(cmd, dir, o)
		},
	}
	f := c.Flags()
	f.Uint64Var(&o.Connect.Connections, "connect.connections", o.Connect.Connections, "number of connections, one after another")
	f.Uint64Var(&o.Ping.Connections, "ping.connections", o.Ping.Connections, "number of concurrent connections")
	f.Uint64Var(&o.Ping.Streams, "ping.streams", o.Ping.Streams, "number of concurrent streams per connection")
	f.Var(&o.Ping.Time, "ping.time", "how long to exchange each size")
	f.Var(&o.Ping.Size, "ping.size", "sizes, separated by commas")
	r, name := &o.RequestResponse, func(s string) string { return "request_response." + s }
	f.Var(&r.RequestSize, name("request_size"), "size of the request")
	f.Var(&r.ResponseSize, name("response_size"), "size of the response")
	f.Var(&r.ResponseDelay, name("response_delay"), "how long the server waits before its response")
	f.Uint64Var(&r.Count, name("count"), r.Count, "number of requests per connection")
	f.Uint64Var(&r.Connections, name("connections"), r.Connections, "number of connections, one after another")
	f.Uint64Var(&r.Servers, name("servers"), r.Servers, "number of servers, to which the client connects concurrently")
	f.BoolVar(&r.Parallel, name("parallel"), false, "make the requests of a connection concurrently")
	f.Var(&r.ClientSendRate, name("client_send_rate"), "rate at which the client sends")
	f.Var(&r.ClientReceiveRate, name("client_receive_rate"), "rate at which the client receives")
	f.Var(&r.ServerSendRate, name("server_send_rate"), "rate at which the server sends")
	f.Var(&r.ServerReceiveRate, name("server_receive_rate"), "rate at which the server receives")
	f.Var(&r.ResponseUnblock, name("response_unblock"), "bytes of a response after which the next request begins")
	types := strings.Join(scenario.CertificateTypes(), ", ")
	f.StringVar((*string)(&o.Certificate), "certificate-type", string(o.Certificate), "type of the certificates' keys: "+types)
	return c
}

func writeScenarios(cmd *cobra.Command, dir string, o *scenario.Options) error {
	all, err := scenario.Generate(o)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, s := range all {
		file := filepath.Join(dir, s.Name+".json")
		if err := os.WriteFile(file, s.Marshal(), 0o644); err != nil {
			return err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "created:", file)
		if err := s.Validate(); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s cannot be run: %v\n", file, err)
		}
	}
	return nil
}

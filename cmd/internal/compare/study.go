// Package compare runs several configurations of a server and a client in interleaved rounds and reports
// ratios with confidence intervals. On a shared and noisy machine a single figure has little meaning, but
// the ratio of two figures that were measured side by side many times does.
package compare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/relay"
)

// A Config is one of the compared configurations.
type Config struct {
	Name string `json:"name"`
	// Baseline names the Config of the same study that this one is compared with; empty for a baseline.
	Baseline string `json:"baseline,omitempty"`
	// Server and Client are the flags of the two drivers.
	Server []string `json:"server,omitempty"`
	Client []string `json:"client,omitempty"`
	// Certificate is the type of the server's and the authority's keys; empty means ECDSA P-256.
	Certificate string `json:"certificate,omitempty"`
	// Driver is a driver's program; empty means netbench itself.
	Driver string `json:"driver,omitempty"`
	// Published is the rate relative to the baseline that others have published; 0 if there is none.
	Published float64 `json:"published_relative_rate,omitempty"`
}

// A Study is a question and the runs that answer it.
type Study struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	// Label distinguishes the study's configurations from those of another study on the same page; empty means
	// Title.
	Label string `json:"label,omitempty"`
	// About explains what is measured and how to read it.
	About   string   `json:"about"`
	Configs []Config `json:"configs"`

	// Connections is the number of connections that a client makes in each round, each with a request of
	// Request bytes and a response of Response bytes.
	Connections int   `json:"connections"`
	Request     int64 `json:"request_bytes"`
	Response    int64 `json:"response_bytes"`
	Rounds      int   `json:"rounds"`
	// Blocks is the number of parts of a round. Each Config runs its part before any runs the next, so that
	// a disturbance of some seconds affects all of them.
	Blocks int `json:"blocks"`
	// Limit, if set, bounds how long a Config takes for its part of a round. One that would take longer makes
	// fewer connections.
	Limit time.Duration `json:"limit_ns,omitempty"`
	// CountDatagrams asks for the number of datagrams of a handshake.
	CountDatagrams bool `json:"count_datagrams,omitempty"`
	// Published says where the configurations' published rates come from.
	Published string `json:"published,omitempty"`
	// Variant names the variant of the C library that has the configurations' groups, if the default one does
	// not.
	Variant string `json:"variant,omitempty"`
	// Beside names the study whose result belongs on the same page.
	Beside string `json:"beside,omitempty"`

	// Up and Down describe the path between client and server. If both are zero, it is plain loopback.
	Up   relay.Link `json:"up,omitzero"`
	Down relay.Link `json:"down,omitzero"`
}

// groups are the key exchanges of the study of 2022 with today's algorithms: the classical baseline and the
// three standardised hybrids.
var groups = []string{"X25519", "X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"}

// Studies returns the named studies for the available providers.
func Studies(providers []string) []Study {
	keyExchange := byGroup(providers)
	path := func(rtt time.Duration, loss float64) relay.Link { return relay.Link{Delay: rtt / 2, Loss: loss} }
	return []Study{
		{
			Name: "figure3", Title: "Connection rate by key exchange", Label: "Today's algorithms",
			About: "Sequential connections with one byte each way, ECDSA P-256 certificate, one key exchange " +
				"group at a time: the cost of post-quantum key exchange in connections per second.",
			Configs: keyExchange, Connections: 10_000, Request: 1, Response: 1, Rounds: 5, CountDatagrams: true,
		}, historic(), {
			Name: "concurrent", Title: "Connection rate by key exchange, 32 concurrent connections",
			About: "As figure3, with 32 concurrent connections: the machine is saturated, so the result depends on " +
				"CPU time rather than latency.",
			Configs:     withClient(keyExchange, "--concurrency", "32"),
			Connections: 10_000, Request: 1, Response: 1, Rounds: 5,
		}, {
			Name: "open-loop", Title: "Handshake latency at a fixed arrival rate",
			About: "Connections arrive 200 times a second whether or not earlier ones are done, so that a slow " +
				"connection does not delay others (no coordinated omission).",
			Configs:     withClient(keyExchange, "--arrival-rate", "200", "--ramp", "1s"),
			Connections: 2_000, Request: 1, Response: 1, Rounds: 5,
		}, {
			Name: "long", Title: "Connection rate over 50 ms of round trip",
			About: "Sequential connections over a path with a round trip of 50 ms: a ClientHello of two datagrams " +
				"costs no additional round trip.",
			Configs: keyExchange, Connections: 40, Request: 1, Response: 1, Rounds: 5,
			Up: path(50*time.Millisecond, 0), Down: path(50*time.Millisecond, 0),
		}, {
			Name: "lossy", Title: "Connections over 20 ms of round trip with 5 % loss",
			About:   "Post-quantum flights take more datagrams, each of which can be lost. 32 concurrent connections.",
			Configs: withClient(keyExchange, "--concurrency", "32"), Connections: 500, Request: 1, Response: 1, Rounds: 5,
			Up: path(20*time.Millisecond, 0.05), Down: path(20*time.Millisecond, 0.05),
		}, {
			Name: "mtls", Title: "Cost of a client certificate by key exchange",
			About:   "As figure3, with mutual TLS.",
			Configs: withBoth(keyExchange, "--mtls"), Connections: 5_000, Request: 1, Response: 1, Rounds: 5,
		}, {
			Name: "certificates", Title: "Connection rate by certificate",
			About: "X25519MLKEM768 with certificates of different keys, each signed by an authority with a key of the same kind, " +
				"relative to ECDSA P-256: what post-quantum authentication (ML-DSA) costs.",
			Configs:     byCertificate(providers, []string{"ecdsa-p256", "ecdsa-p384", "rsa-2048", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"}),
			Connections: 5_000, Request: 1, Response: 1, Rounds: 5, CountDatagrams: true,
		},
	}
}

// byGroup returns a Config for each provider and group. The first group is the baseline.
func byGroup(providers []string) (out []Config) {
	for _, p := range providers {
		for i, g := range groups {
			c := withGroup(p, g)
			if i > 0 {
				c.Baseline = p + " " + groups[0]
			}
			out = append(out, c)
		}
	}
	return out
}

func withGroup(provider, group string) Config {
	flags := []string{"--provider", provider, "--groups", group}
	return Config{Name: provider + " " + group, Server: flags, Client: flags}
}

func byCertificate(providers, types []string) (out []Config) {
	for _, p := range providers {
		for i, t := range types {
			flags := []string{"--provider", p, "--groups", "X25519MLKEM768"}
			c := Config{Name: p + " " + t, Client: flags, Server: flags, Certificate: t}
			if i > 0 {
				c.Baseline = p + " " + types[0]
			}
			out = append(out, c)
		}
	}
	return out
}

func withClient(cs []Config, flags ...string) []Config {
	out := slices.Clone(cs)
	for i := range out {
		out[i].Client = append(slices.Clone(out[i].Client), flags...)
	}
	return out
}

func withBoth(cs []Config, flags ...string) []Config {
	out := withClient(cs, flags...)
	for i := range out {
		out[i].Server = append(slices.Clone(out[i].Server), flags...)
	}
	return out
}

// ParseConfig parses a Config of the command line: NAME=FLAGS. FLAGS are separated by spaces and go to both
// drivers; those that follow "server:" or "client:" go only to that one.
func ParseConfig(s string) (Config, error) {
	name, flags, ok := strings.Cut(s, "=")
	if !ok || strings.TrimSpace(name) == "" {
		return Config{}, fmt.Errorf("%q is not a configuration: use NAME=FLAGS", s)
	}
	c := Config{Name: strings.TrimSpace(name)}
	to := []*[]string{&c.Server, &c.Client}
	for _, f := range strings.Fields(flags) {
		switch f {
		case "server:":
			to = []*[]string{&c.Server}
			continue
		case "client:":
			to = []*[]string{&c.Client}
			continue
		}
		if driver, ok := strings.CutPrefix(f, "--driver="); ok {
			c.Driver = driver
			continue
		}
		for _, l := range to {
			*l = append(*l, f)
		}
	}
	return c, nil
}

// blocks returns the number of blocks of a round: ten, unless blocks would be so short that starting the
// clients dominates.
func (s *Study) blocks() int {
	if s.Blocks > 0 {
		return s.Blocks
	}
	return max(1, min(10, s.Connections/500))
}

func (s *Study) label() string { return cmp.Or(s.Label, s.Title) }

// Validate returns an error if the study is invalid.
func (s *Study) Validate() error {
	switch {
	case len(s.Configs) == 0:
		return fmt.Errorf("study %s has no configurations", s.Name)
	case s.Connections < 1 || s.Rounds < 1:
		return fmt.Errorf("study %s needs at least one connection and one round", s.Name)
	case s.blocks() > s.Connections:
		return fmt.Errorf("study %s: %d connections cannot be divided into %d blocks", s.Name, s.Connections, s.blocks())
	}
	seen := make(map[string]bool)
	for _, c := range s.Configs {
		if seen[c.Name] {
			return fmt.Errorf("study %s has two configurations named %q", s.Name, c.Name)
		}
		seen[c.Name] = true
	}
	for _, c := range s.Configs {
		if c.Baseline != "" && !seen[c.Baseline] {
			return fmt.Errorf("configuration %q refers to %q, which is not in study %s", c.Name, c.Baseline, s.Name)
		}
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pqquic/pqquic/cmd/internal/compare"
	"github.com/pqquic/pqquic/cmd/internal/drivercli"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// compareOptions holds the flags of netbench compare.
type compareOptions struct {
	out         string
	connections int
	rounds      int
	limit       time.Duration
	seed        uint64
	only        []string
	configs     []string
	request     int64
	response    int64
	providers   []string
	quiet       bool
	pageOnly    bool
}

func newCompareCommand() *cobra.Command {
	var o compareOptions
	var list strings.Builder
	for _, s := range compare.Studies([]string{"s2n", "native"}) {
		fmt.Fprintf(&list, "  %-13s %s\n", s.Name, s.Title)
	}
	c := &cobra.Command{
		Use:   "compare STUDY",
		Short: "Run configurations in interleaved rounds and report ratios with confidence intervals",
		Long: `compare starts a server for each configuration and warms everything up. Then the clients take turns
in rounds, in an order that is shuffled each time. The report shows ratios of runs in the same round with
bootstrap confidence intervals, which are meaningful even on a noisy machine.

Studies:
` + list.String() + `  custom        the configurations given by --config; the first one is the baseline

Failed connections are counted and reported; the exit status is 1 if there were any.`,
		Example: `  netbench compare figure3 -o build/out
  netbench compare figure3 --connections 1000 --rounds 3 --only X25519,X25519MLKEM768
  netbench compare custom --config 'pq=--groups X25519MLKEM768' --config 'classic=--groups X25519'
  netbench compare custom --config 'ours=--provider s2n' --config 'theirs=--driver=./netbench-driver-quic-go'`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			names := []string{"custom"}
			for _, s := range compare.Studies(nil) {
				names = append(names, s.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	f := c.Flags()
	f.StringVarP(&o.out, "output", "o", ".", "`folder` for NAME.html, NAME.svg and NAME.json")
	f.IntVar(&o.connections, "connections", 0, "number of connections of each client in each round (default: the study's)")
	f.IntVar(&o.rounds, "rounds", 0, "number of rounds (default: the study's)")
	f.DurationVar(&o.limit, "limit", 0, "most `time` of a configuration in a round; slower ones make fewer connections (default: the study's)")
	f.Uint64Var(&o.seed, "seed", 1, "seed for the order within rounds and the losses of a lossy path")
	f.StringSliceVar(&o.only, "only", nil, "only configurations whose name ends with one of these, and their baselines")
	f.StringSliceVar(&o.providers, "providers", nil, "only these providers (default: s2n, where it is linked, and native)")
	f.StringArrayVar(&o.configs, "config", nil, "for custom: NAME=FLAGS for both drivers; flags after \"server:\" or \"client:\" go only to that driver")
	f.Int64Var(&o.request, "request-size", 1, "for custom: bytes of each request")
	f.Int64Var(&o.response, "response-size", 1, "for custom: bytes of each response")
	f.BoolVar(&o.pageOnly, "page-only", false, "run nothing: write NAME.html and NAME.svg again from NAME.json")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "do not show a progress bar")
	return c
}

func (o *compareOptions) run(cmd *cobra.Command, name string) error {
	if o.pageOnly {
		return o.writePageAgain(name)
	}
	study, err := o.study(name)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	res, err := compare.Run(ctx, study, compare.Options{Program: program, Seed: o.seed, Progress: o.progress(cmd.ErrOrStderr())})
	if err != nil {
		return err
	}
	if err := o.write(res); err != nil {
		return err
	}
	if err := res.WriteTable(cmd.OutOrStdout()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "\n%s\n", filepath.Join(o.out, study.Name+".html"))
	if n := res.Failures(); n > 0 {
		return &drivercli.Failed{Err: fmt.Errorf("%d connections failed", n)}
	}
	if res.Interrupted {
		return errors.New("interrupted: the report has fewer rounds than requested")
	}
	return nil
}

// study returns the named study with the changes that the flags ask for.
func (o *compareOptions) study(name string) (*compare.Study, error) {
	providers := o.providers
	if providers == nil {
		providers = []string{"native"}
		if _, err := s2n.New(s2n.AllowClassical()); err == nil {
			providers = []string{"s2n", "native"}
		}
	}
	var study *compare.Study
	if name == "custom" {
		s, err := o.custom()
		if err != nil {
			return nil, err
		}
		study = s
	} else {
		all := compare.Studies(providers)
		i := slices.IndexFunc(all, func(s compare.Study) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown study %q: see netbench compare --help", name)
		}
		study = &all[i]
	}
	if o.connections > 0 {
		study.Connections = o.connections
	}
	if o.rounds > 0 {
		study.Rounds = o.rounds
	}
	if o.limit > 0 {
		study.Limit = o.limit
	}
	if o.only != nil {
		study.Configs = only(study.Configs, o.only)
	}
	if err := requireGroups(study); err != nil {
		return nil, err
	}
	for _, provider := range dropMLDSA(study, hasMLDSA) {
		fmt.Fprintf(os.Stderr, "netbench: provider %s of this build has no ML-DSA: its configurations with ML-DSA are left out\n", provider)
	}
	return study, study.Validate()
}

// requireGroups returns an error if the study needs another variant of the C library than the linked one.
func requireGroups(study *compare.Study) error {
	if study.Variant == "" {
		return nil
	}
	var linked []tlsprovider.GroupInfo
	if p, err := s2n.New(s2n.AllowClassical()); err == nil {
		linked = p.Capabilities().Groups
	}
	for _, c := range study.Configs {
		name := c.Name[strings.LastIndex(c.Name, " ")+1:]
		if !slices.ContainsFunc(linked, func(g tlsprovider.GroupInfo) bool { return g.Name == name }) {
			return fmt.Errorf("study %s needs group %s, which only variant %s of the C library has: run make %[1]s", study.Name, name, study.Variant)
		}
	}
	return nil
}

// hasMLDSA reports whether a provider of this build has ML-DSA certificates.
func hasMLDSA(provider string) bool {
	p := tlsprovider.Provider(native.New())
	if provider == "s2n" {
		var err error
		if p, err = s2n.New(s2n.AllowClassical()); err != nil {
			return false
		}
	}
	caps := p.Capabilities()
	return caps.PQAuth()
}

// dropMLDSA removes the configurations with ML-DSA certificates of providers that do not have them, and returns these
// providers. The names of such configurations begin with the provider's.
func dropMLDSA(study *compare.Study, has func(provider string) bool) (without []string) {
	study.Configs = slices.DeleteFunc(slices.Clone(study.Configs), func(c compare.Config) bool {
		provider, _, _ := strings.Cut(c.Name, " ")
		if !strings.HasPrefix(c.Certificate, "ml-dsa") || has(provider) {
			return false
		}
		if !slices.Contains(without, provider) {
			without = append(without, provider)
		}
		return true
	})
	return without
}

func (o *compareOptions) custom() (*compare.Study, error) {
	s := &compare.Study{Name: "custom", Title: "Connection rate", About: "Sequential connections, relative to the first configuration.",
		Connections: 1000, Request: o.request, Response: o.response, Rounds: 5}
	for _, text := range o.configs {
		c, err := compare.ParseConfig(text)
		if err != nil {
			return nil, err
		}
		if len(s.Configs) > 0 {
			c.Baseline = s.Configs[0].Name
		}
		s.Configs = append(s.Configs, c)
	}
	return s, nil
}

// only returns the configurations whose names end with one of the words, and their baselines.
func only(all []compare.Config, words []string) (out []compare.Config) {
	keep := make(map[string]bool)
	for _, c := range all {
		if slices.ContainsFunc(words, func(w string) bool { return c.Name == w || strings.HasSuffix(c.Name, " "+w) }) {
			keep[c.Name], keep[c.Baseline] = true, true
		}
	}
	for _, c := range all {
		if keep[c.Name] {
			out = append(out, c)
		}
	}
	return out
}

// progress shows a bar with an estimate of the remaining time on a terminal, and otherwise a line for each
// step.
func (o *compareOptions) progress(w io.Writer) func(done, of int, next string) {
	if o.quiet {
		return nil
	}
	if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		began := time.Now()
		return func(done, of int, next string) {
			left := ""
			if done > 0 {
				left = fmt.Sprintf(", about %v left", (time.Since(began) * time.Duration(of-done) / time.Duration(done)).Round(time.Second))
			}
			fmt.Fprintf(w, "%3d/%d %s%s\n", done, of, next, left)
		}
	}
	var bar *progressbar.ProgressBar
	return func(done, of int, next string) {
		if bar == nil {
			bar = progressbar.NewOptions(of, progressbar.OptionSetWriter(w), progressbar.OptionSetPredictTime(true),
				progressbar.OptionSetWidth(24), progressbar.OptionShowCount(), progressbar.OptionFullWidth(),
				progressbar.OptionOnCompletion(func() { fmt.Fprintln(w) }))
		}
		bar.Describe(next)
		_ = bar.Set(done)
	}
}

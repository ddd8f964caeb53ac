package compare

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/relay"
	"github.com/pqquic/pqquic/cmd/internal/scenario"
	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// Options specify how to run a Study.
type Options struct {
	// Program is netbench, which is its own driver.
	Program string
	// Seed determines the order within each round and the relay's losses.
	Seed uint64
	// Progress, if set, is called before each step with the number of steps done, their total and the next
	// one.
	Progress func(done, of int, next string)
}

// An Outcome is one run of one Config's client, over one block of a round.
type Outcome struct {
	Config string         `json:"config"`
	Round  int            `json:"round"` // from 1; 0 is the warm-up, which is not kept
	Block  int            `json:"block"` // of the round, from 1
	Client *stats.Summary `json:"client"`
	// ServerCPU is the CPU time of the server in this time, in seconds; 0 if it is not known.
	ServerCPU float64 `json:"server_cpu_seconds,omitempty"`
}

// rate returns the connections per second.
func (o *Outcome) rate() float64 {
	if o.Client.Seconds <= 0 {
		return 0
	}
	return float64(o.Client.Connections) / o.Client.Seconds
}

// cpu returns the CPU time of both ends per connection, in seconds.
func (o *Outcome) cpu() float64 {
	if o.Client.Connections == 0 {
		return 0
	}
	return (o.Client.CPUSeconds + o.ServerCPU) / float64(o.Client.Connections)
}

// Run runs a study. It starts every server, lets every client warm up, and then, for each block of each
// round, runs every client once, in a newly shuffled order.
func Run(ctx context.Context, study *Study, opt Options) (*Result, error) {
	if err := study.Validate(); err != nil {
		return nil, err
	}
	s := *study
	s.Blocks = s.blocks()
	dir, err := os.MkdirTemp("", "netbench-compare")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &runner{study: &s, opt: opt, began: time.Now(), dir: dir}
	defer r.stop()
	if err := r.makeFiles(); err != nil {
		return nil, err
	}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	return r.rounds(ctx)
}

// runner is a running study.
type runner struct {
	study     *Study
	opt       Options
	began     time.Time
	dir       string                        // of the files
	files     []files                       // by Config
	scenarios map[string]*scenario.Scenario // by type of certificate
	servers   []*server
	relays    []*relay.Relay
	addrs     []string // addresses for the clients, by Config
}

func (r *runner) program(c *Config) string {
	if c.Driver != "" {
		return c.Driver
	}
	return r.opt.Program
}

func (r *runner) start(ctx context.Context) error {
	for i := range r.study.Configs {
		c := &r.study.Configs[i]
		s, err := startServer(ctx, r.program(c), r.files[i].scenario, c.Server)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		r.servers = append(r.servers, s)
		addr := s.addr
		if r.study.Up != (relay.Link{}) || r.study.Down != (relay.Link{}) {
			path, err := relay.New(addr, r.study.Up, r.study.Down, r.opt.Seed+uint64(i))
			if err != nil {
				return err
			}
			r.relays = append(r.relays, path)
			addr = path.Addr()
		}
		r.addrs = append(r.addrs, addr)
	}
	return nil
}

func (r *runner) stop() {
	for _, p := range r.relays {
		p.Close()
	}
	for _, s := range r.servers {
		s.stop()
	}
}

// rounds runs the warm-up and all rounds. An interrupted study still reports the complete rounds.
func (r *runner) rounds(ctx context.Context) (*Result, error) {
	res := &Result{Study: *r.study, Began: r.began, Seed: r.opt.Seed}
	random := rand.New(rand.NewPCG(r.opt.Seed, 1))
	warm, err := r.block(ctx, random, 0, 1)
	if err != nil {
		return nil, err
	}
	if res.Connections, err = r.limit(warm); err != nil {
		return nil, err
	}
	if r.study.CountDatagrams {
		if res.Datagrams, err = r.countDatagrams(ctx); err != nil {
			return nil, err
		}
	}
	for round := 1; round <= r.study.Rounds; round++ {
		var outcomes []Outcome
		for block := 1; block <= r.study.Blocks; block++ {
			os, err := r.block(ctx, random, round, block)
			if err != nil {
				if ctx.Err() != nil && round > 1 {
					res.Interrupted = true
					return res, res.evaluate(r.opt.Seed)
				}
				return nil, err
			}
			outcomes = append(outcomes, os...)
		}
		res.Outcomes = append(res.Outcomes, outcomes...)
	}
	r.progress(r.steps(), "done")
	return res, res.evaluate(r.opt.Seed)
}

// steps returns how many clients are run, including the warm-up.
func (r *runner) steps() int { return len(r.study.Configs) * (r.study.Rounds*r.study.Blocks + 1) }

func (r *runner) progress(done int, next string) {
	if r.opt.Progress != nil {
		r.opt.Progress(done, r.steps(), next)
	}
}

// block runs each client once; round 0 is the warm-up.
func (r *runner) block(ctx context.Context, random *rand.Rand, round, block int) (out []Outcome, err error) {
	n := len(r.study.Configs)
	for i, k := range random.Perm(n) {
		c := &r.study.Configs[k]
		if round == 0 {
			r.progress(i, "warming up: "+c.Name)
		} else {
			r.progress(n*(1+(round-1)*r.study.Blocks+block-1)+i, fmt.Sprintf("round %d of %d: %s", round, r.study.Rounds, c.Name))
		}
		o, err := r.client(ctx, k, round)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		o.Block = block
		out = append(out, o)
	}
	return out, nil
}

// client runs the client of one Config in one round.
func (r *runner) client(ctx context.Context, k, round int) (Outcome, error) {
	c := &r.study.Configs[k]
	file := r.files[k].scenario
	if round == 0 {
		file = r.files[k].warming
	}
	pid := r.servers[k].cmd.Process.Pid
	before, errBefore := cpuSeconds(pid)
	sum, err := runClient(ctx, r.program(c), file, r.addrs[k], c.Client)
	if err != nil {
		return Outcome{}, err
	}
	if sum.Connections == 0 {
		return Outcome{}, fmt.Errorf("no connection completed: %v", sum.Failed)
	}
	o := Outcome{Config: c.Name, Round: round, Client: sum}
	if after, err := cpuSeconds(pid); errors.Join(err, errBefore) == nil {
		o.ServerCPU = after - before
	}
	return o, nil
}

package compare

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/pqquic/pqquic/cmd/internal/relay"
	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

// warmUp is the divisor for a Config's unmeasured connections: each first makes 1/warmUp of a round.
const warmUp = 20

// files holds the files of a Config's scenarios: of a block, of the warm-up, and of the connections whose
// datagrams are counted. The servers run the first.
type files struct{ scenario, warming, counting string }

// makeFiles writes the files of each Config.
func (r *runner) makeFiles() error {
	block := (r.study.Connections + r.study.Blocks - 1) / r.study.Blocks
	r.scenarios = make(map[string]*scenario.Scenario)
	for i, c := range r.study.Configs {
		if err := r.generate(block, c.Certificate); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		var f files
		for _, m := range []struct {
			file        *string
			name        string
			connections int
		}{
			{&f.scenario, "block", block},
			{&f.warming, "warm-up", min(block, max(1, r.study.Connections/warmUp))},
			{&f.counting, "count", min(block, 20)},
		} {
			var err error
			if *m.file, err = r.write(fmt.Sprintf("%d-%s.json", i, m.name), m.connections, c.Certificate); err != nil {
				return err
			}
		}
		r.files = append(r.files, f)
	}
	return nil
}

// generate generates the scenario for a type of certificate, unless there is one: every scenario has
// certificates of its own.
func (r *runner) generate(connections int, certificate string) error {
	if r.scenarios[certificate] != nil {
		return nil
	}
	o := scenario.Defaults()
	if certificate != "" {
		o.Certificate = scenario.CertificateType(certificate)
	}
	o.RequestResponse.Connections = uint64(connections)
	o.RequestResponse.RequestSize = scenario.Bytes(r.study.Request)
	o.RequestResponse.ResponseSize = scenario.Bytes(r.study.Response)
	all, err := scenario.Generate(o)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(g scenario.Generated) bool { return g.Name == "request_response" })
	r.scenarios[certificate] = all[i].Scenario
	return nil
}

// write writes a scenario with the first connections of a block and returns the file's path.
func (r *runner) write(name string, connections int, certificate string) (string, error) {
	s := *r.scenarios[certificate]
	s.Clients = slices.Clone(s.Clients)
	s.Clients[0].Scenario = s.Clients[0].Scenario[:connections]
	path := filepath.Join(r.dir, name)
	return path, os.WriteFile(path, s.Marshal(), 0o600)
}

// limit gives fewer connections to each Config that, at the rate of its warm-up, would exceed the study's
// limit. It returns their numbers of connections in a round, by name.
func (r *runner) limit(warm []Outcome) (map[string]int, error) {
	fewer := make(map[string]int)
	for i := range r.study.Configs {
		c := &r.study.Configs[i]
		k := slices.IndexFunc(warm, func(o Outcome) bool { return o.Config == c.Name })
		block := r.study.blockWithin(warm[k].rate())
		if block == 0 {
			continue
		}
		path, err := r.write(fmt.Sprintf("%d-fewer.json", i), block, c.Certificate)
		if err != nil {
			return nil, err
		}
		r.files[i].scenario, fewer[c.Name] = path, block*r.study.Blocks
	}
	return fewer, nil
}

// blockWithin returns how many connections of a block a Config with this rate makes within the study's limit,
// and at least one. It returns 0 if the limit does not matter.
func (s *Study) blockWithin(rate float64) int {
	within := rate * s.Limit.Seconds()
	if s.Limit == 0 || within >= float64(s.Connections) {
		return 0
	}
	return max(1, int(within)/s.Blocks)
}

// countDatagrams counts the datagrams of each Config's handshake on the way through a relay.
func (r *runner) countDatagrams(ctx context.Context) (map[string]*Datagrams, error) {
	out := make(map[string]*Datagrams)
	for i := range r.study.Configs {
		c := &r.study.Configs[i]
		d, err := r.countHandshake(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("%s: counting datagrams: %w", c.Name, err)
		}
		if d != nil {
			out[c.Name] = d
		}
	}
	return out, nil
}

func (r *runner) countHandshake(ctx context.Context, i int) (*Datagrams, error) {
	path, err := relay.New(r.servers[i].addr, relay.Link{}, relay.Link{}, r.opt.Seed)
	if err != nil {
		return nil, err
	}
	defer path.Close()
	var counter datagramCounter
	path.Tap(counter.see)
	c := &r.study.Configs[i]
	sum, err := runClient(ctx, r.program(c), r.files[i].counting, path.Addr(), c.Client)
	if err != nil {
		return nil, err
	}
	if sum.Connections == 0 {
		return nil, fmt.Errorf("no connection completed: %v", sum.Failed)
	}
	return counter.fewest(), nil
}

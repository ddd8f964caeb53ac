package drivercli

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

// addresses reads the addresses of all servers from the environment.
func addresses(s *scenario.Scenario) (func(*scenario.Op) (string, error), error) {
	servers := make([]string, len(s.Servers))
	for i := range servers {
		name := fmt.Sprintf("SERVER_%d", i)
		if servers[i] = os.Getenv(name); servers[i] == "" {
			return nil, fmt.Errorf("the address of server %d is not set: set %s=HOST:PORT", i, name)
		}
		if _, _, err := net.SplitHostPort(servers[i]); err != nil {
			return nil, fmt.Errorf("%s=%s is not an address: use HOST:PORT", name, servers[i])
		}
	}
	return func(op *scenario.Op) (string, error) {
		if !op.HasRouter {
			return servers[op.ServerID], nil
		}
		name := fmt.Sprintf("ROUTER_%d_SERVER_%d", op.RouterID, op.ServerID)
		if addr := os.Getenv(name); addr != "" {
			return addr, nil
		}
		return "", fmt.Errorf("the address of a server is not set: set %s=HOST:PORT", name)
	}, nil
}

// classes formats the counts of failures by class.
func classes(failed map[string]int64) string {
	var out []string
	for _, class := range slices.Sorted(maps.Keys(failed)) {
		out = append(out, fmt.Sprintf("%d %s", failed[class], class))
	}
	return strings.Join(out, ", ")
}

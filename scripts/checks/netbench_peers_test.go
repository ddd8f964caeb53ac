//go:build checks

package checks

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// peersMachine is a machine with a copy of scripts/netbench-peers and a netbench whose server is a shell script.
func peersMachine(t *testing.T, server string) *machine {
	m := newMachine(t)
	for _, p := range []string{"mkdir", "sleep", "rm", "ln", "realpath", "touch"} {
		m.link(p)
	}
	text, err := os.ReadFile(filepath.Join(root, "scripts/netbench-peers"))
	require.NoError(t, err)
	m.tree(map[string]string{"scripts/netbench-peers": string(text), "build/out/bin/netbench": `#!/bin/sh
case $* in
*" server "*) ` + server + ` ;;
*" client "*) touch client-ran ;;
esac`})
	return m
}

// A client is started only when its server is ready.
func TestNetbenchPeersAwaitsTheServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ server, want string }{
		"not ready": {"exec sleep 60", "the server of pqquic-native is not ready after 1 s; set PATIENCE to wait longer"},
		"ended":     {"echo no such group >&2; exit 1", "the server of pqquic-native ended before it was ready: no such group"},
	} {
		t.Run(name, func(t *testing.T) {
			m := peersMachine(t, c.server)
			m.with("PATIENCE=1").mustFail(c.want, "scripts/netbench-peers")
			require.NoFileExists(t, filepath.Join(m.dir, "build/out/netbench-peers/client-ran"))
		})
	}
}

// Without cargo, the report says that it lacks the stacks in Rust.
func TestNetbenchPeersWithoutCargo(t *testing.T) {
	t.Parallel()
	m := peersMachine(t, "echo netbench: ready on 127.0.0.1:1 >&2; exec sleep 60")
	m.mustPrint("netbench-peers: s2n-quic and quinn are left out: cargo is not installed", "scripts/netbench-peers")
	require.FileExists(t, filepath.Join(m.dir, "build/out/netbench-peers/client-ran"))
}

//go:build checks

package checks

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// h3InteropMachine is a machine with copies of scripts/h3-interop and of scripts/interop. It has no other stack, and the scripts
// that install them fail and say why.
func h3InteropMachine(t *testing.T) *machine {
	m := newMachine(t)
	for _, p := range []string{"mktemp", "mkdir", "rm", "cp", "cmp", "tail", "tee", "timeout"} {
		m.link(p)
	}
	m.prints("id", "0")
	for _, p := range []string{"ip", "openssl", "cargo"} {
		m.prints(p, "")
	}
	m.program("uname", "echo Linux")
	// A test of quic-go passes, and so does the runner of the cases.
	m.program("go", `for arg in "$@"; do case $arg in
*/interoprunner) printf '#!/bin/sh\necho "the runner got $*"\n' >"$arg" && chmod +x "$arg" ;;
esac; done
[ "$1" != env ] || echo none`)
	m.tree(map[string]string{
		"scripts/h3-interop":                      read(t, filepath.Join(root, "scripts/h3-interop")),
		"scripts/interop":                         read(t, filepath.Join(root, "scripts/interop")),
		"scripts/workspace":                       "#!/bin/sh\necho off\n",
		"scripts/build-quiche":                    "#!/bin/sh\necho trying\necho 'build-quiche: cmake is not in PATH' >&2\nexit 1\n",
		"scripts/interop-peers":                   "#!/bin/sh\necho \"interop-peers: $1 is not installed: there is no network\" >&2\nexit 1\n",
		"scripts/h3-demo":                         "#!/bin/sh\necho 'SKIPPED: chromium: it is not in PATH'\n",
		"cmd/interop/run_endpoint.sh":             "",
		"interop/quic-go/run_endpoint.sh":         "",
		"interop/rust/run_endpoint.sh":            "",
		"build/out/rust/release/interop-endpoint": "",
	})
	return m
}

// TestH3InteropNamesWhatItSkips checks that the last lines name each stack that was not tested and the reason, and that this is a
// failure when everything is wanted.
func TestH3InteropNamesWhatItSkips(t *testing.T) {
	t.Parallel()
	m := h3InteropMachine(t)
	const skipped = `
h3-interop: skipped:
  the interop cases with aioquic: interop-peers: aioquic is not installed: there is no network
  the interop cases with quiche: scripts/build-quiche could not build interop/quiche: build-quiche: cmake is not in PATH
  the provider s2n, with every stack: the C library is not built (make build)
  ngtcp2: interop-peers: ngtcp2 is not installed: there is no network
  chromium: it is not in PATH
`
	out := m.run("scripts/h3-interop")
	require.Contains(t, out, skipped)
	require.Contains(t, out, "the runner got -ours "+m.dir+"/build/out/interop/pqquic -peer quic-go="+m.dir+"/build/out/interop/quic-go "+
		"-peer quinn="+m.dir+"/build/out/interop/rust -providers native -cases http3")
	const nothing = "h3-interop: nothing may be skipped with --require-all or CI=true"
	require.NotContains(t, out, nothing)
	m.mustFail(nothing, "scripts/h3-interop", "--require-all")
	m.with("CI=true").mustFail(nothing, "scripts/h3-interop")

	m.remove("cargo")
	m.mustPrint("  the interop cases with quinn: cargo is not in PATH\n", "scripts/h3-interop")
	m.prints("id", "1000")
	m.mustFail("aioquic, quinn and quiche: the cases of the interop runner need Linux, and root", "scripts/h3-interop", "--require-all")
}

// TestH3InteropFails checks that the exit status of a part is not lost when its lines are searched.
func TestH3InteropFails(t *testing.T) {
	t.Parallel()
	m := h3InteropMachine(t)
	const failed = "h3-interop: NOT all of these succeeded"
	require.NotContains(t, m.run("scripts/h3-interop"), failed)
	write(t, filepath.Join(m.dir, "scripts/h3-demo"), "#!/bin/sh\nexit 1\n")
	m.mustFail(failed, "scripts/h3-interop")
}

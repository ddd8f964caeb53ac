//go:build checks

package checks

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A machine is a shell whose PATH holds only some programs, like a machine that lacks the others.
type machine struct {
	*shell
	bin string
}

func newMachine(t *testing.T) *machine {
	m := &machine{shell: &shell{t: t}, bin: t.TempDir()}
	for _, p := range []string{"bash", "env", "sh", "awk", "sed", "sort", "head", "printf", "dirname", "uname", "cat", "grep", "chmod"} {
		m.link(p)
	}
	m.shell = &shell{t, root, []string{"PATH=" + m.bin, "HOME=" + t.TempDir()}}
	return m
}

// link adds a program of this machine.
func (m *machine) link(name string) {
	path, err := exec.LookPath(name)
	require.NoError(m.t, err)
	require.NoError(m.t, os.Symlink(path, filepath.Join(m.bin, name)))
}

// program adds a program, which is a shell script.
func (m *machine) program(name, text string) {
	require.NoError(m.t, removeIfThere(filepath.Join(m.bin, name)))
	require.NoError(m.t, os.WriteFile(filepath.Join(m.bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
}

// tree moves the machine to a folder with these files, which can be executed.
func (m *machine) tree(files map[string]string) {
	dir := m.t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(m.t, os.WriteFile(path, []byte(text), 0o755))
	}
	m.shell = m.at(dir)
}

// prints adds a program that prints a line.
func (m *machine) prints(name, line string) { m.program(name, "echo '"+line+"'") }

func (m *machine) remove(names ...string) {
	for _, n := range names {
		require.NoError(m.t, removeIfThere(filepath.Join(m.bin, n)))
	}
}

// installs adds an apt-get that installs programs. Each of them prints a version of CMake.
func (m *machine) installs(names ...string) {
	m.program("apt-get", fmt.Sprintf(`[ "$1" != install ] || for p in %s; do
	printf '#!/bin/sh\necho cmake version 3.25.1\n' >"%s/$p" && chmod +x "%s/$p"
done
echo "running $*" >&2`, strings.Join(names, " "), m.bin, m.bin))
}

// buildTools and testTools are the programs that bootstrap looks for. packages are those with another name.
var (
	buildTools = []string{"gcc", "g++", "cmake", "ninja", "perl", "ld", "make", "flock"}
	testTools  = []string{"git", "shellcheck", "chromium", "tshark", "tcpdump", "curl", "softhsm2-util", "pkcs11-tool"}
	packages   = map[string]string{"softhsm2-util": "softhsm2", "pkcs11-tool": "opensc"}
)

const bootstrap = "scripts/bootstrap"

// TestBootstrap checks what bootstrap prints on a machine that lacks programs, and what it installs.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.prints("id", "1000") // not root
	m.prints("apt-get", "nothing")
	m.mustFail("Go 1.26 or newer is missing: https://go.dev/dl/", bootstrap)
	m.mustFail("cargo 1.85 or newer is missing: https://rustup.rs", bootstrap)
	m.mustFail("install with: sudo sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends gcc g++ cmake ninja-build", bootstrap)
	m.prints("go", "go1.19.8")
	m.prints("cargo", "cargo 1.65.0 (0123456 2022-10-01)")
	m.mustFail("Go 1.19.8 is too old", bootstrap)
	m.mustFail("cargo 1.65.0 is too old", bootstrap)
	m.prints("go", "go1.26.0")
	m.prints("cargo", "cargo 1.85.0 (0123456 2025-01-01)")
	m.program("sudo", `exec "$@"`)

	// apt-get fails, then omits a package, then installs everything.
	asked := m.with("BOOTSTRAP=1")
	m.program("apt-get", "exit 100")
	asked.mustFail("could not install gcc", bootstrap)
	m.program("apt-get", "exit 0")
	asked.mustFail("still missing after the installation: gcc", bootstrap)
	m.installs(buildTools...)
	asked.mustPrint("running install -y --no-install-recommends gcc", bootstrap)
	m.remove(buildTools...)
	m.prints("id", "0")
	m.mustPrint("running install -y --no-install-recommends gcc", bootstrap)
	m.prints("cmake", "cmake version 3.18.4")
	m.mustFail("cmake 3.18.4 is too old, 3.20 or newer is needed: https://cmake.org/download/", bootstrap)

	m.remove(buildTools...)
	m.remove("apt-get")
	m.prints("id", "1000")
	m.mustFail("missing (Debian's package names): gcc", bootstrap)
	for _, p := range buildTools {
		m.prints(p, "cmake version 3.20.0")
	}
	require.Empty(t, m.run(bootstrap), "output although nothing is missing")
}

// TestBootstrapTest checks that the programs for the tests are installed only for the purpose test, and that most of
// them are optional, except in CI.
func TestBootstrapTest(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.prints("id", "0")
	m.prints("go", "go1.26.0")
	m.prints("cargo", "cargo 1.85.0 (0123456 2025-01-01)")
	for _, p := range buildTools {
		m.prints(p, "cmake version 3.20.0")
	}
	m.prints("git", "git version 2")
	m.installs(testTools...)
	require.Empty(t, m.run(bootstrap), "the build requires programs of the tests")
	out := m.run(bootstrap, "test")
	for _, p := range testTools[1:] {
		require.Contains(t, out, cmp.Or(packages[p], p))
		require.FileExists(t, filepath.Join(m.bin, p))
	}
	require.NotContains(t, m.run(bootstrap, "test"), "missing")

	m.remove(testTools[1:]...)
	m.program("apt-get", "exit 100")
	require.Contains(t, m.run(bootstrap, "test"), "the tests will run without")
	m.with("CI=true").mustFail("chromium", bootstrap, "test")
	m.prints("id", "1000")
	require.Contains(t, m.run(bootstrap, "test"), "install with: sudo")
	m.remove("git")
	m.mustFail("git", bootstrap, "test")

	// The demo of keys in tokens needs these only.
	m.remove(buildTools[1:]...)
	m.mustFail("apt-get install -y --no-install-recommends softhsm2 opensc", bootstrap, "hsm")
	m.prints("id", "0")
	m.installs(testTools...)
	m.mustPrint("running install -y --no-install-recommends softhsm2 opensc", bootstrap, "hsm")
}

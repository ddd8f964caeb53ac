//go:build checks

package checks

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the folder of the repository. platform is the name of the platform's folder below build/out.
var (
	root     = mustAbs("../..")
	platform = runtime.GOOS + "_" + runtime.GOARCH
)

func mustAbs(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}
	return abs
}

// A shell runs commands in a folder with an environment.
type shell struct {
	t   *testing.T
	dir string
	env []string
}

// unset lists variables that a developer may have set and that must not affect a check.
var unset = []string{"GOFLAGS", "GOWORK", "CGO_CFLAGS", "CGO_LDFLAGS", "CGO_ENABLED",
	"S2N_TLS_DIR", "S2N_TLS_LIB_DIR", "S2N_TLS_INCLUDE_DIR", "AWS_LC_DIR", "PQQUIC_REQUIRE_LINKED"}

// in returns a shell in dir with the caller's environment, without the variables in unset.
func in(t *testing.T, dir string, env ...string) *shell {
	kept := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(unset, name)
	})
	return &shell{t, dir, append(append(kept, "GOWORK=off"), env...)}
}

// with returns a shell with more variables.
func (s *shell) with(env ...string) *shell {
	return &shell{s.t, s.dir, append(slices.Clip(s.env), env...)}
}

// at returns a shell in another folder.
func (s *shell) at(dir string) *shell { return &shell{s.t, dir, s.env} }

// command returns a command. scripts/build gets the variables of compiler.
func (s *shell) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Env = s.dir, s.env
	if args[0] == "scripts/build" {
		cmd.Env = s.with(compiler()...).env
	}
	return cmd
}

// keptObjects is the folder of the objects that testdata/cc.sh keeps until the tests end.
var keptObjects string

func TestMain(m *testing.M) {
	var err error
	if keptObjects, err = os.MkdirTemp("", "objects"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(keptObjects)
	os.Exit(code)
}

// compiler returns the variables with which scripts/build compiles the sources of s2n-tls once for all trees.
// They are not for Go, which would compile its own packages again for another compiler.
func compiler() []string {
	return []string{"CC=" + root + "/scripts/checks/testdata/cc.sh", "KEPT_OBJECTS=" + keptObjects}
}

// try runs a command and returns its standard output and error, joined.
func (s *shell) try(args ...string) (string, error) {
	out, err := s.command(args...).CombinedOutput()
	return string(out), err
}

// run runs a command that must succeed.
func (s *shell) run(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	require.NoError(s.t, err, "%v: %s", args, out)
	return out
}

// mustPrint runs a command that must succeed and print text.
func (s *shell) mustPrint(text string, args ...string) {
	s.t.Helper()
	require.Contains(s.t, s.run(args...), text, "%v", args)
}

// mustFail runs a command that must fail and print text. Line breaks and spaces are equal, because CMake wraps its
// messages.
func (s *shell) mustFail(text string, args ...string) {
	s.t.Helper()
	out, err := s.try(args...)
	require.Error(s.t, err, "%v succeeded: %s", args, out)
	require.Contains(s.t, strings.Join(strings.Fields(out), " "), text, "%v", args)
}

// built returns the CMake folder of the first variant. It fails the test if one of the variants has not been built
// in the repository.
func built(t *testing.T, variants ...string) string {
	t.Helper()
	for _, v := range variants {
		require.FileExists(t, outDir(root, v)+"/stamp", "run scripts/build %s first", v)
	}
	return outDir(root, variants[0]) + "/cmake"
}

// outDir returns the output folder of scripts/build for a variant in tree.
func outDir(tree, variant string) string {
	return filepath.Join(tree, "build/out", platform, variant)
}

// copyTree copies the files that git tracks or would add, so that the copy is like a fresh clone. It links the
// unpacked C sources.
func copyTree(t *testing.T, to string) {
	t.Helper()
	files := in(t, root).run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for name := range strings.SplitSeq(strings.TrimSuffix(files, "\x00"), "\x00") {
		from := filepath.Join(root, name)
		info, err := os.Lstat(from)
		if os.IsNotExist(err) {
			continue // deleted, but still in the index
		}
		require.NoError(t, err)
		copyFile(t, from, filepath.Join(to, name), info)
	}
	require.NoError(t, os.MkdirAll(filepath.Join(to, "build/out"), 0o755))
	sources, err := filepath.EvalSymlinks(filepath.Join(root, "build/out/src"))
	require.NoError(t, err)
	require.NoError(t, os.Symlink(sources, filepath.Join(to, "build/out/src")))
}

// copyFile copies a file or a symbolic link with its mode and its date, which build tools compare.
func copyFile(t *testing.T, from, to string, info fs.FileInfo) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(target, to))
		return
	}
	b, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, b, info.Mode().Perm()))
	require.NoError(t, os.Chtimes(to, info.ModTime(), info.ModTime()))
}

// copyDir copies a folder.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		rel, err := filepath.Rel(from, path)
		require.NoError(t, err)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		info, err := d.Info()
		require.NoError(t, err)
		copyFile(t, path, filepath.Join(to, rel), info)
		return nil
	}))
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(b)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
}

// edit replaces old, which must occur once in a file.
func edit(t *testing.T, name, old, new string) {
	t.Helper()
	text := read(t, name)
	require.Equal(t, 1, strings.Count(text, old), "%q in %s", old, name)
	write(t, name, strings.Replace(text, old, new, 1))
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "netbench-test-*"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(buildDir) // an error is harmless
	os.Exit(status)
}

var buildOnce = sync.OnceValues(func() (string, error) {
	program := filepath.Join(buildDir, "netbench")
	out, err := exec.Command("go", "build", "-tags", buildTags(), "-o", program, ".").CombinedOutput()
	return program + string(out), err
})

// buildTags returns the build tags of this test, which select the variant of the C library.
func buildTags() string {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			return s.Value
		}
	}
	return ""
}

// buildNetbench builds the program, because compare runs itself as server and client.
func buildNetbench(t *testing.T) string {
	t.Helper()
	program, err := buildOnce()
	require.NoError(t, err, "%s", program)
	return program
}

// netbench runs the command line and returns its exit status and standard output.
func netbench(t *testing.T, args ...string) (int, string) {
	t.Helper()
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer stderr.Close()
	var out bytes.Buffer
	c := newCommand()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(stderr)
	return run(c, stderr), out.String()
}

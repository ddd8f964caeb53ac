//go:build checks

package checks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInterrupted kills builds at several stages. The next build must make the same archive, byte for byte. So must
// two builds that run at the same time.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	b := newBuildTree(t)
	b.twoBuilds()
	want := b.archive()
	b.forget()
	for _, glob := range []string{"cmake/s2n-source/tls", "cmake/s2n-build/CMakeFiles/s2n.dir/*/*.o", "cmake/pqquic.o"} {
		b.killWhen(func() bool {
			found, err := filepath.Glob(filepath.Join(b.out, glob))
			require.NoError(t, err)
			return len(found) > 0
		})
		require.NoFileExists(t, b.dir+"/cgo/s2n/zlinked_default_"+platform+".go", "a build killed at %s left a file that links an archive", glob)
	}
	b.build()
	require.Equal(t, want, b.archive(), "the build after a killed one makes another archive")

	// A copy of the sources that was interrupted must not be used for any value of the option.
	b.build("default", "-DPQ_DEFAULT_POLICY=OFF")
	off := b.archive()
	require.NotEqual(t, want, off, "the option has no effect")
	b.killWhen(func() bool {
		_, err := os.Stat(b.out + "/cmake/s2n-source-OFF.stamp")
		return os.IsNotExist(err)
	})
	b.build("default", "-DPQ_DEFAULT_POLICY=OFF")
	require.Equal(t, off, b.archive(), "an incomplete copy was used")
}

// twoBuilds runs two builds at the same time. The second must wait for the first.
func (b *buildTree) twoBuilds() {
	t := b.t
	var text [2]strings.Builder
	var cmds [2]*exec.Cmd
	for i := range cmds {
		cmds[i] = b.command("scripts/build")
		cmds[i].Stdout, cmds[i].Stderr = &text[i], &text[i]
		require.NoError(t, cmds[i].Start())
	}
	for i := range cmds {
		require.NoError(t, cmds[i].Wait(), text[i].String())
	}
	require.Contains(t, text[0].String()+text[1].String(), "waiting for another build", "no build waited")
}

// forget removes everything that was built.
func (b *buildTree) forget() {
	require.NoError(b.t, os.RemoveAll(filepath.Join(b.dir, "build/out", platform)))
	linked, err := filepath.Glob(b.dir + "/cgo/*/zlinked_*.go")
	require.NoError(b.t, err)
	for _, f := range linked {
		require.NoError(b.t, os.Remove(f))
	}
}

// killWhen starts a build and kills it, with all its child processes, as soon as the condition holds.
func (b *buildTree) killWhen(condition func() bool) {
	t := b.t
	cmd := b.command("scripts/build")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for over := false; !condition(); {
		require.False(t, over, "the build ended before it could be killed")
		select {
		case <-ended:
			over = true // the condition is checked once more
			ended <- nil
		default:
		}
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-ended
}

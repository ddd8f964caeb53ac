//go:build linux

package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The buffers of a socket are as large as the system permits, up to socketBuffer, so that the first flights of many
// clients fit.
func TestSocketBuffers(t *testing.T) {
	e, u, err := listen("127.0.0.1:0", nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, closeNow(e, 0)) }()
	raw, err := u.SyscallConn()
	require.NoError(t, err)
	for name, option := range map[string]int{"rmem_max": syscall.SO_RCVBUF, "wmem_max": syscall.SO_SNDBUF} {
		b, err := os.ReadFile("/proc/sys/net/core/" + name)
		require.NoError(t, err)
		most, err := strconv.Atoi(strings.TrimSpace(string(b)))
		require.NoError(t, err)
		var size int
		require.NoError(t, raw.Control(func(fd uintptr) {
			size, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, option)
		}))
		require.NoError(t, err)
		require.Equal(t, 2*min(socketBuffer, most), size, "the kernel reports twice the size of %s", name)
	}
}

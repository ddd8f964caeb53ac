//go:build !linux

package udp

import (
	"fmt"
	"log/slog"
	"net"
	"runtime"
)

// ListenGroup fails, because only Linux distributes datagrams among sockets with the same address.
func ListenGroup(string, string, Selector, *slog.Logger) ([]net.PacketConn, error) {
	return nil, fmt.Errorf("udp: several sockets with one address are not supported on %s", runtime.GOOS)
}

//go:build !linux

package udp

import (
	"fmt"
	"log/slog"
	"net"
	"runtime"
)

// ListenSplit fails for the same reason as ListenGroup.
func ListenSplit(string, string) ([]net.PacketConn, error) {
	return nil, fmt.Errorf("udp: two sockets with one address are not supported on %s", runtime.GOOS)
}

// ListenGroup fails, because only Linux distributes datagrams among sockets with the same address.
func ListenGroup(string, string, Selector, *slog.Logger) ([]net.PacketConn, error) {
	return nil, fmt.Errorf("udp: several sockets with one address are not supported on %s", runtime.GOOS)
}

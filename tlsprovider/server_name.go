package tlsprovider

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// A ServerName is what a client asks a server for. See [ParseServerName].
type ServerName struct {
	SNI    string // what is sent, "" for an address: the extension holds names only (RFC 6066, 3)
	Verify string // what the certificate must be valid for
	IP     bool   // Verify is an address
}

// ParseServerName is for providers. It parses [SessionParams].ServerName: a host name, with or without its
// last dot, or an address, with or without brackets and zone.
func ParseServerName(serverName string) (ServerName, error) {
	name := strings.TrimSuffix(serverName, ".")
	switch {
	case name == "":
		return ServerName{}, errors.New("a client session needs a ServerName")
	case strings.IndexByte(name, 0) >= 0, len(name) > 255, name[0] == '.', strings.HasSuffix(name, "."), strings.Contains(name, ".."):
		return ServerName{}, fmt.Errorf("ServerName %q is not a host name", serverName)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ServerName{Verify: ip.WithZone("").Unmap().String(), IP: true}, nil
	}
	return ServerName{SNI: name, Verify: name}, nil
}

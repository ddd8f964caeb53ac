package tlsprovider

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// A ServerName is the name of a server that a client connects to. See [ParseServerName].
type ServerName struct {
	SNI    string // sent in the server_name extension; "" for an address (RFC 6066, 3)
	Verify string // the certificate must be valid for it
	IP     bool   // Verify is an address
}

// ParseServerName is for providers. It parses [SessionParams].ServerName: a host name, with or without a
// trailing dot, or an address, with or without brackets and a zone.
func ParseServerName(serverName string) (ServerName, error) {
	name := strings.TrimSuffix(serverName, ".")
	switch {
	case name == "":
		return ServerName{}, errors.New("ServerName is empty: a client needs the name of the server")
	case strings.IndexByte(name, 0) >= 0, len(name) > 255, name[0] == '.', strings.HasSuffix(name, "."), strings.Contains(name, ".."):
		return ServerName{}, fmt.Errorf("ServerName %q is not a host name", serverName)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ServerName{Verify: ip.WithZone("").Unmap().String(), IP: true}, nil
	}
	return ServerName{SNI: name, Verify: name}, nil
}

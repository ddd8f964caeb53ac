package hello

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// A Name is what a client asks a server for.
type Name struct {
	SNI    string // what is sent, "" for an address: the extension holds names only (RFC 6066, 3)
	Verify string // what the certificate must be valid for
	IP     bool   // Verify is an address
}

// ParseName understands what people give as a server's name: a host name, with or without its last
// dot, or an address, with or without brackets and zone.
func ParseName(serverName string) (Name, error) {
	name := strings.TrimSuffix(serverName, ".")
	switch {
	case name == "":
		return Name{}, errors.New("a client session needs a ServerName")
	case strings.IndexByte(name, 0) >= 0, len(name) > 255, name[0] == '.', strings.HasSuffix(name, "."), strings.Contains(name, ".."):
		return Name{}, fmt.Errorf("ServerName %q is not a host name", serverName)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if ip, err := netip.ParseAddr(host); err == nil {
		return Name{Verify: ip.WithZone("").Unmap().String(), IP: true}, nil
	}
	return Name{SNI: name, Verify: name}, nil
}

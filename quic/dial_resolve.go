package quic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// maxDialAddrs is the number of a host's addresses that Dial tries.
const maxDialAddrs = 8

// resolve returns the addresses to dial, in the order in which to try them, and the host's name.
func resolve(ctx context.Context, network, addr string) ([]netip.AddrPort, string, error) {
	remotes, host, err := lookup(ctx, network, addr)
	if err != nil {
		return nil, "", fmt.Errorf("quic: dial %s: %w", addr, err)
	}
	return remotes, host, nil
}

func lookup(ctx context.Context, network, addr string) ([]netip.AddrPort, string, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, "", err
	}
	var port int
	if n, err := strconv.ParseUint(service, 10, 16); err == nil {
		port = int(n)
	} else if port, err = net.DefaultResolver.LookupPort(ctx, "udp", service); err != nil {
		return nil, "", err
	}
	if port == 0 { // an empty port, too
		return nil, "", errors.New("port 0 cannot be dialed")
	}
	if host == "" {
		host = "localhost"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip, host, err = literal(network, ip.Unmap(), host); err != nil {
			return nil, "", err
		}
		return []netip.AddrPort{netip.AddrPortFrom(nameZone(ip), uint16(port))}, host, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, ipNetwork(network), host)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, "", err
	}
	ips = interleave(ips)
	remotes := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		remotes[i] = netip.AddrPortFrom(ip, uint16(port))
	}
	return remotes, host, nil
}

// interleave returns up to maxDialAddrs of a host's addresses, which the resolver has sorted by preference (RFC 6724), so
// that the families alternate (RFC 8305, section 4): if one family does not work, the second attempt uses the other.
func interleave(ips []netip.Addr) (out []netip.Addr) {
	var families [2][]netip.Addr // that of the first address, and the other
	for _, ip := range ips {
		ip = ip.Unmap()
		f := &families[0]
		if ip.Is4() != ips[0].Unmap().Is4() {
			f = &families[1]
		}
		if len(*f) < maxDialAddrs && !slices.Contains(*f, ip) {
			*f = append(*f, ip)
		}
	}
	for i := range maxDialAddrs {
		for _, f := range families {
			if i < len(f) && len(out) < maxDialAddrs {
				out = append(out, f[i])
			}
		}
	}
	return out
}

// literal returns the address for a host given as an IP address. As in package net, an unspecified address
// means the local machine, so the address that a listener prints can be dialed.
func literal(network string, ip netip.Addr, host string) (netip.Addr, string, error) {
	if network == "udp4" && !ip.Is4() || network == "udp6" && ip.Is4() {
		return ip, host, &net.AddrError{Err: "not an address of network " + network, Addr: host}
	}
	switch ip {
	case netip.IPv4Unspecified():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), "localhost", nil
	case netip.IPv6Unspecified():
		return netip.IPv6Loopback(), "localhost", nil
	}
	return ip, host, nil
}

// nameZone replaces the index of an interface by its name, as in the addresses of packets that are
// received. The peer's address must be equal to them.
func nameZone(ip netip.Addr) netip.Addr {
	zone := ip.Zone()
	index, err := strconv.Atoi(zone)
	if err != nil {
		return ip
	}
	if _, err := net.InterfaceByName(zone); err == nil {
		return ip // the name is a number
	}
	if ifi, err := net.InterfaceByIndex(index); err == nil {
		return ip.WithZone(ifi.Name)
	}
	return ip
}

func ipNetwork(network string) string {
	switch network {
	case "udp4":
		return "ip4"
	case "udp6":
		return "ip6"
	}
	return "ip"
}

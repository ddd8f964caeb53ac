package main

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A testCase is what an endpoint does for a value of TESTCASE.
type testCase struct {
	noClient  string             // why it has no client; empty if it has one
	configure func(*setup) error // changes the configuration; nil if the default is right
	download  download           // how the client requests the files
}

// A download is a way in which a client requests files.
type download int

const (
	together   download = iota // on one connection at the same time
	separately                 // on a connection for each file, one after the other
	resumed                    // the first file on one connection, the others on one that resumes its session
	early                      // like resumed, with the requests as early data
)

// testCases has the values of TESTCASE. The runner's other test cases use these on other networks: longrtt is a
// handshake, and multiplexing, blackhole, amplificationlimit, transferloss, transfercorruption, ipv6, rebind-port,
// rebind-addr, goodput and crosstraffic are transfers. handshakeloss and handshakecorruption are multiconnect.
var testCases = map[string]testCase{
	"handshake":    {},
	"transfer":     {configure: smallWindows},
	"multiconnect": {download: separately},
	"retry":        {configure: requireRetry},
	"keyupdate":    {configure: updateKeys},
	"chacha20":     {configure: onlyChaCha20},
	"resumption":   {configure: rememberSessions, download: resumed},
	"zerortt":      {configure: permitEarlyData, download: early},
	// A server answers other versions with Version Negotiation in every test case.
	"versionnegotiation":  {noClient: "clients offer no version that servers do not know"},
	"connectionmigration": {configure: preferSecondAddress},
	"ecn":                 {},
	"http3":               {configure: speakHTTP3},
	"v2":                  {configure: preferVersion2},
}

// smallWindows makes the flow control windows small enough to grow during a transfer, as the runner asks for.
func smallWindows(s *setup) error {
	s.cfg.StreamWindow, s.cfg.ConnWindow = 128<<10, 256<<10
	return nil
}

// requireRetry makes the server answer each client with a Retry.
func requireRetry(s *setup) error {
	s.cfg.AddressValidation = quic.ValidateAlways
	return nil
}

// updateKeys makes an endpoint update its keys within the first megabyte.
func updateKeys(s *setup) error {
	s.cfg.KeyUpdateInterval = 100
	return nil
}

// preferVersion2 makes a client offer version 2 in a handshake that begins with version 1, and a server choose it.
func preferVersion2(s *setup) error {
	s.cfg.Versions = []quic.Version{quic.Version2, quic.Version1}
	return nil
}

// preferSecondAddress makes a server ask its clients to use its second IPv4 address. The runner calls the client's side
// transfer.
func preferSecondAddress(s *setup) error {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	var addrs []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			addrs = append(addrs, p.Addr())
		}
	}
	if len(addrs) < 2 {
		return &unsupportedError{s.name, "this host has no second IPv4 address"}
	}
	s.cfg.PreferredIPv4 = netip.AddrPortFrom(addrs[1], 0)
	return nil
}

// chachaPolicy is the security policy that the C build adds to s2n-tls for this test case.
const chachaPolicy = "pqquic_chacha20"

// onlyChaCha20 makes an endpoint offer and accept only ChaCha20-Poly1305.
func onlyChaCha20(s *setup) error {
	if s.cfg.Provider.Capabilities().Policies {
		if s.cfg.TLS.Groups != nil {
			return fmt.Errorf("PQQUIC_GROUPS cannot be combined with the policy %s of test case %s", chachaPolicy, s.name)
		}
		s.cfg.TLS.Policy = chachaPolicy
		e, err := s.cfg.Provider.NewClient(s.cfg.TLS)
		if err != nil {
			return &unsupportedError{s.name, fmt.Sprintf("the linked C library does not offer it: %v", err)}
		}
		e.Close()
		return nil
	}
	onlyChaCha20InCryptoTLS()
	return nil
}

// rememberSessions makes a client resume sessions, and use the tokens of servers.
func rememberSessions(s *setup) error {
	store := newNotifyingStore()
	s.cfg.TLS.ClientStore = store
	s.cfg.TokenStore = tlsprovider.NewClientStore(0, 0)
	return nil
}

func permitEarlyData(s *setup) error {
	if !s.cfg.Provider.Capabilities().ZeroRTT {
		return &unsupportedError{s.name, "provider " + s.cfg.Provider.Name() + " has no early data"}
	}
	s.cfg.TLS.EarlyData = true
	return rememberSessions(s)
}

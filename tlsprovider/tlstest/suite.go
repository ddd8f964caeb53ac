// Package tlstest holds what every TLS provider is held to: one suite of tests, run on each provider
// with itself and on each pair of them. It is imported by tests only.
package tlstest

import (
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A Suite is the providers of the two sides, and what they are excused from.
type Suite struct {
	Client, Server tlsprovider.Provider

	of demand // set by Run and its like

	// Live counts what the two hold: handles, and bytes outside of Go's heap.
	Live func() (handles, bytes int64)
}

// Run holds one provider to the whole suite, with itself at both ends.
func Run(t *testing.T, p tlsprovider.Provider, live func() (handles, bytes int64)) {
	RunPair(t, p, p, live)
}

// RunPair holds two providers to the suite, one at each end.
func RunPair(t *testing.T, client, server tlsprovider.Provider, live func() (handles, bytes int64)) {
	su := &Suite{Client: client, Server: server, Live: live}
	su.runAll(t, real)
}

func (su *Suite) runAll(t *testing.T, upTo demand) {
	su.of = upTo
	for _, test := range append(su.stateless(), su.handshake()...) {
		if test.of <= upTo {
			t.Run(test.name, test.run)
		}
	}
}

// RunFake holds a provider without cryptography to what does not take any: the order of events, and
// that nothing is left.
func RunFake(t *testing.T, p tlsprovider.Provider, live func() (handles, bytes int64)) {
	su := &Suite{Client: p, Server: p, Live: live}
	su.runAll(t, all)
}

type namedTest struct {
	name string
	run  func(*testing.T)
	of   demand
}

// demand says of whom a test is asked.
type demand int

const (
	all  demand = iota
	real        // of providers with cryptography and certificates
)

func (su *Suite) stateless() []namedTest {
	return []namedTest{
		{"RFC 9001, A.2 and A.3", su.initialVectors, real},
		{"RFC 9001, A.4", su.retryVectors, real},
		{"OpenInitial", su.openInitial, real},
		{"Initial keys", su.initialBothWays, all},
		{"Initial keys after a Retry", su.initialAfterRetry, all},
		{"Retry tags", su.retryTags, real},
		{"tokens and resets", su.tokensAndResets, all},
	}
}

func (su *Suite) handshake() []namedTest {
	return []namedTest{
		{"post-quantum by default", su.postQuantum, all},
		{"key events", su.keyEvents, all},
		{"fragments", su.fragments, all},
		{"keys of sessions", su.sessionKeys, real},
		{"every split", su.everySplit, all},
		{"crossing levels", su.crossing, all},
		{"exporters", su.exporters, real},
		{"key log", su.keyLog, all},
		{"decision replaces endpoint", su.decisionReplacesEndpoint, real},
		{"decision asks for a certificate", su.decisionAsksForCertificate, real},
		{"decision signs with its own key", su.decisionSigns, real},
		{"decision keeps RequirePQ", su.decisionKeepsRequirePQ, all},
		{"decision supplies the certificate", su.decisionSuppliesCertificate, real},
		{"pieces in one call", su.piecesInOneCall, all},
		{"closed endpoints", su.closedEndpoints, real},
		{"version 2 keys", su.version2Keys, all},
		{"wrong order", su.wrongOrder, real},
		{"long chain", su.longChain, all},
		{"each group alone", su.eachGroupAlone, all},
		{"groups that are missing", su.groupsThatAreMissing, all},
		{"HelloRetryRequest", su.helloRetryRequest, real},
		{"RequirePQ", su.requirePQ, real},
		{"no common group", su.noCommonGroup, all},
		{"ALPN", su.alpn, all},
		{"negotiated ALPN", su.negotiatedALPN, real},
		{"ALPN and SNI", su.alpnAndSNI, real},
		{"transport parameters", su.transportParameters, all},
		{"names that match", su.namesThatMatch, real},
		{"certificate by name", su.certificateByName, real},
		{"many certificates", su.manyCertificates, real},
		{"resumption", su.resumption, real},
		{"resumed clients are known", su.resumedClientsAreKnown, real},
		{"tickets across SetCertificates", su.ticketsAcrossSetCertificates, all},
		{"clock set back", su.clockSetBack, real},
		{"tickets off", su.ticketsOff, all},
		{"settled sessions", su.settledSessions, all},
		{"server certificate faults", su.serverCertificateFaults, real},
		{"mutual TLS", su.mutualTLS, real},
		{"authorities of each role", su.authoritiesOfEachRole, real},
		{"client with two certificates", su.clientWithTwoCertificates, real},
		{"VerifyPeer", su.verifyPeer, all},
		{"peer chains", su.peerChains, real},
		{"panics", su.panics, all},
		{"key formats", su.keyFormats, real},
		{"signer", su.signer, real},
		{"wrong levels", su.wrongLevels, all},
		{"post-handshake messages", su.postHandshakeMessages, real},
		{"garbage", su.garbage, all},
		{"nothing is left", su.nothingIsLeft, all},
		{"aborted at each event", su.abortedAtEachEvent, all},
		{"many handshakes", su.manyHandshakes, all},
		{"stuck signers", su.stuckSigners, all},
		{"flood while signing", su.floodWhileSigning, real},
		{"concurrent use", su.concurrentUse, all},
	}
}

// Package tlstest is the conformance suite of TLS providers. Run tests one provider with itself, and RunPair
// tests two with each other. Tests that need an optional feature are skipped if the providers' Capabilities lack it. See
// docs/writing-a-provider.md. Only tests import this package.
package tlstest

import (
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A Suite tests the providers of the two sides.
type Suite struct {
	Client, Server tlsprovider.Provider

	// Live returns the number of open handles of both providers and their memory outside of Go's heap in bytes.
	Live func() (handles, bytes int64)

	fake bool // tests of the scope onlyTLS do not run
}

// Run tests a provider on both sides. live returns the number of its open sessions and keys and its memory outside of
// Go's heap in bytes. If the provider does not count them, live may be nil. Leaks are then not detected.
func Run(t *testing.T, p tlsprovider.Provider, live func() (handles, bytes int64)) {
	RunPair(t, p, p, live)
}

// RunPair tests two providers, one on each side.
func RunPair(t *testing.T, client, server tlsprovider.Provider, live func() (handles, bytes int64)) {
	newSuite(client, server, live).runAll(t)
}

// RunFake tests a provider without cryptography and certificates. It checks the order of its events and that nothing is
// left.
func RunFake(t *testing.T, p tlsprovider.Provider, live func() (handles, bytes int64)) {
	su := newSuite(p, p, live)
	su.fake = true
	su.runAll(t)
}

func newSuite(client, server tlsprovider.Provider, live func() (handles, bytes int64)) *Suite {
	su := &Suite{Client: client, Server: server, Live: live}
	if live == nil {
		su.Live = func() (handles, bytes int64) { return 0, 0 }
	}
	return su
}

func (su *Suite) runAll(t *testing.T) {
	for _, test := range append(su.stateless(), su.handshake()...) {
		if su.fake && test.scope == onlyTLS {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			su.need(t, test.needs...)
			test.run(t)
		})
	}
}

// A namedTest is one test of the suite.
type namedTest struct {
	name  string
	run   func(*testing.T)
	scope scope
	needs []feature
}

// A scope is the set of providers that a test applies to.
type scope int

const (
	anyProvider scope = iota // all providers
	onlyTLS                  // providers of TLS with certificates and cryptography
)

func needs(f ...feature) []feature { return f }

func (su *Suite) stateless() []namedTest {
	return []namedTest{
		{"RFC 9001, A.2 and A.3", su.initialVectors, onlyTLS, nil},
		{"RFC 9001, A.4", su.retryVectors, onlyTLS, nil},
		{"OpenInitial", su.openInitial, onlyTLS, nil},
		{"Initial keys", su.initialBothWays, anyProvider, nil},
		{"Initial keys after a Retry", su.initialAfterRetry, anyProvider, nil},
		{"Retry tags", su.retryTags, onlyTLS, nil},
		{"tokens and resets", su.tokensAndResets, anyProvider, nil},
	}
}

func (su *Suite) handshake() []namedTest {
	return []namedTest{
		{"absent features", su.absentFeatures, onlyTLS, nil},
		{"default handshake", su.defaultHandshake, anyProvider, nil},
		{"key events", su.keyEvents, anyProvider, nil},
		{"fragments", su.fragments, anyProvider, nil},
		{"keys of sessions", su.sessionKeys, onlyTLS, nil},
		{"every split", su.everySplit, anyProvider, nil},
		{"crossing levels", su.crossing, anyProvider, nil},
		{"exporters", su.exporters, onlyTLS, needs(exporters)},
		{"key log", su.keyLog, anyProvider, needs(keyLog)},
		{"decision replaces endpoint", su.decisionReplacesEndpoint, onlyTLS, needs(decisionEndpoint)},
		{"decision asks for a certificate", su.decisionAsksForCertificate, onlyTLS, needs(decisionEndpoint, clientCertificates)},
		{"decision signs with its own key", su.decisionSigns, onlyTLS, needs(decisionEndpoint, signers)},
		{"decision keeps RequirePQ", su.decisionKeepsRequirePQ, anyProvider, needs(decisionEndpoint)},
		{"decision supplies the certificate", su.decisionSuppliesCertificate, onlyTLS, needs(decisionEndpoint)},
		{"pieces in one call", su.piecesInOneCall, anyProvider, nil},
		{"closed endpoints", su.closedEndpoints, onlyTLS, nil},
		{"version 2 keys", su.version2Keys, anyProvider, needs(quicVersion2)},
		{"wrong order", su.wrongOrder, onlyTLS, nil},
		{"long chain", su.longChain, anyProvider, nil},
		{"each group alone", su.eachGroupAlone, anyProvider, nil},
		{"groups that are missing", su.groupsThatAreMissing, anyProvider, nil},
		{"HelloRetryRequest", su.helloRetryRequest, onlyTLS, needs(handshakeDetails)},
		{"RequirePQ", su.requirePQ, onlyTLS, nil},
		{"no common group", su.noCommonGroup, anyProvider, nil},
		{"ALPN", su.alpn, anyProvider, nil},
		{"negotiated ALPN", su.negotiatedALPN, onlyTLS, needs(group(tlsprovider.P256))},
		{"ALPN and SNI", su.alpnAndSNI, onlyTLS, nil},
		{"transport parameters", su.transportParameters, anyProvider, nil},
		{"versions of clients", su.versionsOfClients, anyProvider, nil},
		{"names that match", su.namesThatMatch, onlyTLS, nil},
		{"names in certificates", su.namesInCertificates, onlyTLS, nil},
		{"names of clients", su.namesOfClients, onlyTLS, needs(clientCertificates)},
		{"certificate by name", su.certificateByName, onlyTLS, needs(certificatesByName)},
		{"many certificates", su.manyCertificates, onlyTLS, needs(certificatesByName)},
		{"resumption", su.resumption, onlyTLS, needs(tickets)},
		{"client store", su.clientStore, onlyTLS, needs(tickets)},
		{"client store that panics", su.clientStorePanics, onlyTLS, needs(tickets)},
		{"saved sessions", su.savedSessions, onlyTLS, needs(tickets, savedTickets)},
		{"tickets of another version", su.ticketsOfAnotherVersion, onlyTLS, needs(tickets, savedTickets, quicVersion2)},
		{"ticket keys of a fleet", su.ticketKeysOfAFleet, onlyTLS, needs(tickets)},
		{"sessions of other certificates", su.sessionsOfOtherCertificates, onlyTLS, needs(tickets)},
		{"changes outside of locks", su.changesOutsideOfLocks, onlyTLS, needs(signers)},
		{"early data", su.earlyData, onlyTLS, needs(tickets, zeroRTT)},
		{"early data off", su.earlyDataOff, onlyTLS, needs(tickets, zeroRTT)},
		{"early data and RequirePQ", su.earlyDataRequirePQ, onlyTLS, needs(tickets, savedTickets, zeroRTT)},
		{"resumed clients are known", su.resumedClientsAreKnown, onlyTLS, needs(tickets, clientCertificates)},
		{"tickets across SetCertificates", su.ticketsAcrossSetCertificates, anyProvider, needs(tickets)},
		{"clock set back", su.clockSetBack, onlyTLS, needs(tickets)},
		{"tickets off", su.ticketsOff, anyProvider, needs(tickets)},
		{"sessions after IgnoreTickets", su.afterIgnoreTickets, anyProvider, needs(tickets)},
		{"server certificate faults", su.serverCertificateFaults, onlyTLS, nil},
		{"mutual TLS", su.mutualTLS, onlyTLS, needs(clientCertificates)},
		{"authorities of each role", su.authoritiesOfEachRole, onlyTLS, needs(clientCertificates)},
		{"client with two certificates", su.clientWithTwoCertificates, onlyTLS, needs(clientCertificates, certificatesByName, scheme(rsaPSS))},
		{"ML-DSA certificates", su.mldsaCertificates, onlyTLS, needs(scheme(mldsa44), scheme(mldsa65), scheme(mldsa87))},
		{"RequirePQAuth", su.requirePQAuth, onlyTLS, needs(scheme(mldsa44), scheme(mldsa65), scheme(mldsa87))},
		{"PQAuth of resumed sessions", su.resumedPQAuth, onlyTLS, needs(tickets, scheme(mldsa65))},
		{"VerifyPeer", su.verifyPeer, anyProvider, needs(verifiesPeer)},
		{"peer chains", su.peerChains, onlyTLS, needs(group(tlsprovider.P256))},
		{"verified chains", su.verifiedChains, onlyTLS, needs(verifiesPeer)},
		{"OCSP staples", su.staples, onlyTLS, needs(verifiesPeer, ocspStaples)},
		{"OCSP staples by name", su.staplesByName, onlyTLS, needs(verifiesPeer, ocspStaples, certificatesByName)},
		{"forms of OCSP staples", su.stapleForms, onlyTLS, needs(verifiesPeer, ocspStaples, group(tlsprovider.P256))},
		{"panics", su.panics, anyProvider, nil},
		{"clock that panics", su.clockPanics, onlyTLS, nil},
		{"key formats", su.keyFormats, onlyTLS, nil},
		{"signer", su.signer, onlyTLS, needs(signers)},
		{"wrong levels", su.wrongLevels, anyProvider, nil},
		{"post-handshake messages", su.postHandshakeMessages, onlyTLS, nil},
		{"garbage", su.garbage, anyProvider, nil},
		{"nothing is left", su.nothingIsLeft, anyProvider, nil},
		{"aborted at each event", su.abortedAtEachEvent, anyProvider, nil},
		{"many handshakes", su.manyHandshakes, anyProvider, nil},
		{"stuck signers", su.stuckSigners, anyProvider, needs(signers)},
		{"flood while signing", su.floodWhileSigning, onlyTLS, needs(signers)},
		{"concurrent use", su.concurrentUse, anyProvider, nil},
	}
}

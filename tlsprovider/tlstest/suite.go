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
	for _, test := range append(su.stateless(), su.handshake()...) {
		t.Run(test.name, test.run)
	}
}

type namedTest struct {
	name string
	run  func(*testing.T)
}

func (su *Suite) stateless() []namedTest {
	return []namedTest{
		{"RFC 9001, A.2 and A.3", su.initialVectors},
		{"RFC 9001, A.4", su.retryVectors},
		{"OpenInitial", su.openInitial},
		{"Initial keys", su.initialBothWays},
		{"tokens and resets", su.tokensAndResets},
	}
}

func (su *Suite) handshake() []namedTest {
	return []namedTest{
		{"post-quantum by default", su.postQuantum},
		{"key events", su.keyEvents},
		{"fragments", su.fragments},
		{"keys of sessions", su.sessionKeys},
		{"every split", su.everySplit},
		{"crossing levels", su.crossing},
		{"exporters", su.exporters},
		{"key log", su.keyLog},
		{"decision replaces endpoint", su.decisionReplacesEndpoint},
		{"version 2 keys", su.version2Keys},
		{"wrong order", su.wrongOrder},
		{"long chain", su.longChain},
		{"each group alone", su.eachGroupAlone},
		{"HelloRetryRequest", su.helloRetryRequest},
		{"RequirePQ", su.requirePQ},
		{"no common group", su.noCommonGroup},
		{"ALPN", su.alpn},
		{"ALPN and SNI", su.alpnAndSNI},
		{"transport parameters", su.transportParameters},
		{"names that match", su.namesThatMatch},
		{"certificate by name", su.certificateByName},
		{"resumption", su.resumption},
		{"tickets off", su.ticketsOff},
		{"server certificate faults", su.serverCertificateFaults},
		{"mutual TLS", su.mutualTLS},
		{"VerifyPeer", su.verifyPeer},
		{"key formats", su.keyFormats},
		{"signer", su.signer},
		{"wrong levels", su.wrongLevels},
		{"post-handshake messages", su.postHandshakeMessages},
		{"garbage", su.garbage},
		{"nothing is left", su.nothingIsLeft},
		{"many handshakes", su.manyHandshakes},
		{"stuck signers", su.stuckSigners},
		{"concurrent use", su.concurrentUse},
	}
}

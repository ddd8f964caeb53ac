package probe

import (
	"slices"
	"strings"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A Report describes a host. Its JSON form is documented in docs/pqprobe.md.
type Report struct {
	Host string `json:"host"`
	// QUIC and TCP are nil if the transport was not probed.
	QUIC *Transport `json:"quic"`
	TCP  *Transport `json:"tcp"`
	// Chain is what the server sent over QUIC, or over TCP if it does not speak QUIC. TCPChain is set if it sends
	// another chain over TCP.
	Chain    []Certificate `json:"chain"`
	TCPChain []Certificate `json:"tcp_chain,omitempty"`
	// PQKeyExchange reports whether the usual handshake of each transport that the server speaks is post-quantum, and
	// PQAuthentication whether the server is authenticated by post-quantum signatures alone.
	PQKeyExchange    bool `json:"pq_key_exchange"`
	PQAuthentication bool `json:"pq_authentication"`
	// Error says why the host could not be probed at all.
	Error string `json:"error,omitempty"`
}

// A Transport describes a server as it is seen over QUIC, or over TLS over TCP.
type Transport struct {
	// Reachable reports whether the server has answered a ClientHello.
	Reachable bool   `json:"reachable"`
	Address   string `json:"address,omitempty"`
	// Error says why the transport is not reachable, or why the usual handshake has failed.
	Error    string   `json:"error,omitempty"`
	Versions []string `json:"versions"`
	// Groups are those that the server takes, and LostGroups those that it supports and that cannot be used, because
	// their ClientHello gets no answer.
	Groups     []string `json:"groups"`
	LostGroups []string `json:"lost_groups"`
	// Preferred is the group that the server chooses among all, and GroupID its code point. PreferenceOf is "server",
	// or "client" if the server follows the client's order.
	Preferred    string            `json:"preferred"`
	GroupID      tlsprovider.Group `json:"group_id"`
	PreferenceOf string            `json:"preference_of,omitempty"`
	// Negotiated is the group of the usual handshake, which offers all groups that the native provider has.
	Negotiated string `json:"negotiated"`
	// HelloRetry reports whether the usual handshake took a HelloRetryRequest, and so another round trip.
	HelloRetry bool `json:"hello_retry"`
	// WithoutShare is the group that the server chooses if the hybrid groups come without key shares, and X25519 with
	// one. SilentFallback is set if it is classical although the server has a hybrid one in common with the client.
	WithoutShare   string `json:"without_share"`
	SilentFallback bool   `json:"silent_fallback"`
	// LargeHello reports what happens to a classical ClientHello that is as large as a post-quantum one: answered or
	// lost.
	LargeHello  string `json:"large_hello"`
	ALPN        string `json:"alpn"`
	CipherSuite string `json:"cipher_suite"`
	// Retry reports whether the server validates addresses with Retry packets. It is nil over TCP.
	Retry *bool `json:"retry,omitempty"`
	// Resumption reports whether a second handshake resumed the session of a first one, and EarlyData whether the
	// server accepted 0-RTT. EarlyData is nil over TCP, because crypto/tls has none there.
	Resumption bool  `json:"resumption"`
	EarlyData  *bool `json:"early_data,omitempty"`
	// Verified reports whether the chain was verified for the name of the host, and VerifyError why not. SignatureScheme
	// is that of the server's CertificateVerify, and is empty if it is not known.
	Verified        bool   `json:"verified"`
	VerifyError     string `json:"verify_error,omitempty"`
	SignatureScheme string `json:"signature_scheme,omitempty"`

	// OCSPStaple reports whether the server sent an OCSP response with its certificate. It is not verified.
	OCSPStaple bool `json:"ocsp_staple"`

	PQKeyExchange    bool `json:"pq_key_exchange"`
	PQAuthentication bool `json:"pq_authentication"`
	// Notes are explanations for the reader.
	Notes []string `json:"notes"`

	chain [][]byte
}

// Reachable reports whether one of the transports is reachable.
func (r *Report) Reachable() bool {
	return slices.ContainsFunc(r.transports(), func(t *Transport) bool { return t.Reachable })
}

// transports returns the transports that were probed.
func (r *Report) transports() []*Transport {
	return slices.DeleteFunc([]*Transport{r.QUIC, r.TCP}, func(t *Transport) bool { return t == nil })
}

// conclude sets what depends on both transports.
func (r *Report) conclude() {
	r.Chain = []Certificate{}
	up := slices.DeleteFunc(r.transports(), func(t *Transport) bool { return !t.Reachable })
	r.PQKeyExchange, r.PQAuthentication = len(up) > 0, len(up) > 0
	for _, t := range up {
		r.PQKeyExchange = r.PQKeyExchange && t.PQKeyExchange
		r.PQAuthentication = r.PQAuthentication && t.PQAuthentication
	}
	var first [][]byte
	for _, t := range up {
		switch {
		case len(t.chain) == 0:
		case first == nil:
			first = t.chain
			r.Chain = describeChain(first)
		case !slices.EqualFunc(first, t.chain, slices.Equal):
			r.TCPChain = describeChain(t.chain)
		}
	}
}

func (t *Transport) note(text ...string) { t.Notes = append(t.Notes, strings.Join(text, "")) }

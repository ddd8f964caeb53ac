package http3

import (
	"net/http"
)

// Early data (0-RTT)
//
// Anybody who records a request that was sent as early data can send it again, so a server must not act on it twice. Server.EarlyData
// permits early data; then requests with unsafe methods wait until the client has proved that it is no replay, and the others are
// marked. A handler for which a GET is not harmless uses RequireHandshake.

// IsEarly reports whether a request arrived as early data, so that it can be a replay, and the handshake was not complete when its
// handler was called.
func IsEarly(r *http.Request) bool {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	return ok && x.isEarly
}

// RequireHandshake returns a handler that answers requests that can be replays with 425 (Too Early), upon which clients send them
// again after the handshake, and passes others to h. Requests of a proxy with the field Early-Data can be replays, too.
//
// "Requests that contain the Early-Data header field and cannot be safely processed MUST be rejected using the 425 (Too Early) status
// code."
// https://www.rfc-editor.org/rfc/rfc8470#section-5.1
func RequireHandshake(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if IsEarly(r) || r.Header.Get("Early-Data") == "1" {
			http.Error(w, "Too Early", http.StatusTooEarly)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// acceptEarly decides what happens to a request that arrived as early data: it waits, or is marked. It reports whether the request
// may be handled.
//
// A request that waits needs no second attempt of the client, which one that is answered with 425 does.
func (x *exchange) acceptEarly(r *http.Request) bool {
	if x.sc.handshakeDone() {
		r.TLS = x.sc.tlsState() // the handshake may have ended after the request was made
		return true
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		x.isEarly = true
		// "An intermediary that forwards a request prior to the completion of the TLS handshake with its client MUST send it with
		// the Early-Data header field set to "1"": httputil.ReverseProxy forwards the header.
		r.Header.Set("Early-Data", "1")
		return true
	}
	select {
	case <-x.sc.qc.HandshakeComplete():
		r.TLS = x.sc.tlsState()
		return true
	case <-x.qs.Context().Done():
		return false
	}
}

package tlsprovider_test

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/pqquic/pqquic/tlsprovider"
)

// verifyStaple is for Config.VerifyPeer. It accepts a server that sends no OCSP response, unless its certificate says that it always
// does (must-staple, RFC 7633).
func verifyStaple(st *tlsprovider.State) error {
	chains, err := st.VerifiedChains()
	switch {
	case err != nil:
		return err
	case len(chains) == 0 || len(chains[0]) < 2:
		return errors.New("there is no issuer who could answer for the certificate")
	}
	leaf, issuer := chains[0][0], chains[0][1]
	staple := st.OCSPStaple()
	if staple == nil {
		if mustStaple(leaf) {
			return badResponse("the certificate requires an OCSP response, and the server sent none")
		}
		return nil
	}
	return checkStaple(staple, leaf, issuer, time.Now())
}

func checkStaple(staple []byte, leaf, issuer *x509.Certificate, now time.Time) error {
	response, err := ocsp.ParseResponseForCert(staple, leaf, issuer) // verifies the signature
	if err != nil {
		return badResponse("%w", err)
	}
	// Package ocsp accepts every certificate of the issuer as that of a responder: also the one that was revoked.
	if r := response.Certificate; r != nil && !r.Equal(issuer) {
		switch {
		case !slices.Contains(r.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
			return badResponse("%v may not sign OCSP responses", r.Subject)
		case now.Before(r.NotBefore), now.After(r.NotAfter):
			return badResponse("the certificate of the responder is valid from %v to %v", r.NotBefore, r.NotAfter)
		}
	}
	switch {
	case now.Before(response.ThisUpdate), now.After(response.NextUpdate): // without NextUpdate it would be valid for ever
		return badResponse("the OCSP response is valid from %v to %v", response.ThisUpdate, response.NextUpdate)
	case response.Status == ocsp.Revoked:
		return &tlsprovider.Error{Alert: tlsprovider.AlertCertificateRevoked,
			Err: fmt.Errorf("%v was revoked on %v", leaf.Subject, response.RevokedAt)}
	case response.Status != ocsp.Good:
		return badResponse("the responder does not know the certificate")
	}
	return nil
}

func badResponse(format string, args ...any) error {
	return &tlsprovider.Error{Alert: tlsprovider.AlertBadCertificateStatusResponse, Err: fmt.Errorf(format, args...)}
}

// mustStaple reports whether a certificate has the TLS feature status_request (RFC 7633).
func mustStaple(cert *x509.Certificate) bool {
	for _, e := range cert.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}) {
			var features []int
			rest, err := asn1.Unmarshal(e.Value, &features)
			return err != nil || len(rest) > 0 || slices.Contains(features, 5)
		}
	}
	return false
}

// A client that verifies the OCSP responses of servers. Without tickets each connection is verified.
func ExampleState_OCSPStaple() {
	_ = &tlsprovider.Config{
		NextProtos: []string{"example"}, VerifyPeer: verifyStaple, DisableTickets: true,
	}
}

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"

	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A classicalError is the error of a TCP connection with --require-pq whose key exchange is not post-quantum.
type classicalError struct{ group tlsprovider.Group }

func (e *classicalError) Error() string {
	return fmt.Sprintf("the key exchange is %s (0x%04X), which is not post-quantum", e.group, uint16(e.group))
}

// A statusError is the error of a response with --fail.
type statusError struct {
	url    string
	status string
}

func (e *statusError) Error() string { return fmt.Sprintf("%s: the status is %s", e.url, e.status) }

// exitStatus returns the exit status of the program for an error.
func exitStatus(err error) int {
	var invalid *cli.UsageError
	var status *statusError
	alert, isAlert := alertOf(err)
	switch {
	case errors.As(err, &invalid):
		return statusUsage
	case errors.As(err, &status):
		return statusHTTP
	case isClassical(err):
		return statusClassical
	case isAlert && alert != tlsprovider.AlertInternalError, isCertificateError(err), errors.As(err, new(tls.AlertError)):
		return statusTLS
	}
	return statusFailed
}

// alertOf returns the TLS alert with which a QUIC connection has ended.
func alertOf(err error) (tlsprovider.Alert, bool) {
	var te *quic.TransportError
	if !errors.As(err, &te) {
		return 0, false
	}
	alert, ok := te.Code.Alert()
	return tlsprovider.Alert(alert), ok
}

// isClassical reports whether --require-pq has ended a connection.
func isClassical(err error) bool {
	var classical *classicalError
	var te *quic.TransportError
	if errors.As(err, &classical) {
		return true
	}
	alert, ok := alertOf(err)
	return ok && alert == tlsprovider.AlertInsufficientSecurity && errors.As(err, &te) && !te.Remote
}

func isCertificateError(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) || errors.As(err, new(x509.CertificateInvalidError))
}

// explain returns an error on one line, with a remedy if one is known.
func explain(err error) string {
	text := cli.OneLine(err)
	if advice := remedy(err); advice != "" {
		return text + ": " + advice
	}
	return text
}

func remedy(err error) string {
	var ne net.Error
	var te *quic.TransportError
	alert, isAlert := alertOf(err)
	ours := errors.As(err, &te) && !te.Remote
	switch {
	case isClassical(err):
		return "omit --require-pq to accept it"
	case isAlert && ours && alert == tlsprovider.AlertUnknownCA, errors.As(err, new(x509.UnknownAuthorityError)):
		return "if you trust the server's authority, give it with --ca"
	case isAlert && ours && alert == tlsprovider.AlertBadCertificate, errors.As(err, new(x509.HostnameError)):
		return "the certificate is for another name or purpose"
	case isAlert && !ours && alert == tlsprovider.AlertNoApplicationProtocol:
		return "the server speaks QUIC, but not HTTP/3"
	case isAlert && !ours && alert == tlsprovider.AlertHandshakeFailure:
		return "no key exchange group or cipher suite in common; see --groups"
	case errors.As(err, new(*quic.VersionNegotiationError)):
		return "the server does not speak QUIC version 1 or 2; try --h2"
	case errors.Is(err, quic.ErrHandshakeTimeout):
		return "no QUIC packet arrived; a firewall may drop UDP, try --h2"
	case errors.Is(err, context.Canceled), errors.Is(err, fs.ErrNotExist):
		return ""
	case errors.As(err, new(*net.DNSError)):
		return "check the host in the URL"
	case errors.As(err, &ne) && ne.Timeout() && errors.As(err, new(*url.Error)):
		return "see --max-time"
	}
	return ""
}

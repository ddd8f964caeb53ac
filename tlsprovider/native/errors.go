package native

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/pqquic/pqquic/tlsprovider"
)

// alertOf returns the alert for an error of crypto/tls.
func alertOf(err error) tlsprovider.Alert {
	var own *tlsprovider.Error
	if errors.As(err, &own) {
		return own.Alert
	}
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return verificationAlert(verification.Err)
	}
	var alert tls.AlertError
	if errors.As(err, &alert) {
		return tlsprovider.Alert(alert)
	}
	return tlsprovider.AlertInternalError
}

// verificationAlert returns the alert for an error of certificate verification. It is more specific than
// crypto/tls, whose clients send bad_certificate for all of them.
func verificationAlert(err error) tlsprovider.Alert {
	var unknown x509.UnknownAuthorityError
	var noRoots x509.SystemRootsError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown), errors.As(err, &noRoots):
		return tlsprovider.AlertUnknownCA
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return tlsprovider.AlertCertificateExpired
	}
	return tlsprovider.AlertBadCertificate
}

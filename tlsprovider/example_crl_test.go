package tlsprovider_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A crlSet holds certificate revocation lists. Load replaces them, for example once an hour, while connections are made.
type crlSet struct {
	lists atomic.Pointer[[]*x509.RevocationList]
}

// Load replaces the lists by those of files in DER. If one cannot be read, the lists stay as they are.
func (s *crlSet) Load(files ...string) error {
	var lists []*x509.RevocationList
	for _, name := range files {
		der, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		lists = append(lists, list)
	}
	s.lists.Store(&lists)
	return nil
}

// VerifyPeer is for Config.VerifyPeer. It returns nil if a path to a root has no revoked certificate.
func (s *crlSet) VerifyPeer(st *tlsprovider.State) error {
	chains, err := st.VerifiedChains()
	if err != nil {
		return err
	}
	// There is no path if the peer was not verified, or if a client resumes a session.
	err = errors.New("there is no verified chain to look up in revocation lists")
	for _, chain := range chains {
		if err = s.check(chain, time.Now()); err == nil {
			return nil
		}
	}
	return err
}

// check looks for each certificate of a path, except for the root, in the list of its issuer. A list that is missing or out of date
// is an error: otherwise an attacker who keeps lists from arriving could use a revoked certificate.
func (s *crlSet) check(chain []*x509.Certificate, now time.Time) error {
	for i, cert := range chain[:len(chain)-1] {
		list := s.of(chain[i+1])
		switch {
		case list == nil:
			return unknownStatus("there is no revocation list of %v", cert.Issuer)
		case now.Before(list.ThisUpdate), now.After(list.NextUpdate):
			return unknownStatus("the revocation list of %v is valid from %v to %v", cert.Issuer, list.ThisUpdate, list.NextUpdate)
		}
		for _, revoked := range list.RevokedCertificateEntries {
			if revoked.SerialNumber.Cmp(cert.SerialNumber) == 0 {
				return &tlsprovider.Error{Alert: tlsprovider.AlertCertificateRevoked,
					Err: fmt.Errorf("%v was revoked on %v", cert.Subject, revoked.RevocationTime)}
			}
		}
	}
	return nil
}

// of returns the newest list that the issuer has signed.
func (s *crlSet) of(issuer *x509.Certificate) (newest *x509.RevocationList) {
	lists := s.lists.Load()
	if lists == nil {
		return nil
	}
	for _, list := range *lists {
		if bytes.Equal(list.RawIssuer, issuer.RawSubject) && list.CheckSignatureFrom(issuer) == nil &&
			(newest == nil || list.ThisUpdate.After(newest.ThisUpdate)) {
			newest = list
		}
	}
	return newest
}

func unknownStatus(format string, args ...any) error {
	return &tlsprovider.Error{Alert: tlsprovider.AlertCertificateUnknown, Err: fmt.Errorf(format, args...)}
}

// A server that refuses clients whose certificate, or that of an intermediate authority, was revoked.
func ExampleState_VerifiedChains() {
	clientCAs, err := os.ReadFile("clients.pem")
	if err != nil {
		panic(err)
	}
	roots, err := tlsprovider.RootsFromPEM(clientCAs)
	if err != nil {
		panic(err)
	}
	lists := new(crlSet)
	if err := lists.Load("root.crl", "intermediate.crl"); err != nil {
		panic(err)
	}
	_ = &tlsprovider.Config{
		NextProtos: []string{"example"}, ClientAuth: tlsprovider.RequireClientCert, ClientCAs: roots,
		VerifyPeer: lists.VerifyPeer,
	}
}

package drivercli

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

// replaceCertificates replaces the scenario's certificates by certificates of another type. Servers and
// clients must use the same ones, so they are kept in a file beside the scenario; the first program makes
// it.
func replaceCertificates(s *scenario.Scenario, file string, t scenario.CertificateType) error {
	file = fmt.Sprintf("%s.%s.pem", file, t)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeCertificates(s.ID, file, t); err == nil {
			b, err = os.ReadFile(file)
		}
	}
	if err != nil {
		return err
	}
	var list []scenario.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		list = append(list, scenario.Certificate{PEM: string(pem.EncodeToMemory(block))})
	}
	if len(list) != 3 {
		return fmt.Errorf("%s does not hold an authority's certificate, a private key and its chain: "+
			"delete the file to have it made again", file)
	}
	s.Certificates = list
	for i := range s.Servers {
		v := &s.Servers[i]
		v.CertificateAuthority, v.PrivateKey, v.Certificate = 0, 1, 2
	}
	return nil
}

// makeCertificates creates the file atomically: two programs that start at the same time use the same one.
func makeCertificates(id, file string, t scenario.CertificateType) error {
	list, err := scenario.NewCertificates(id, t)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dirOf(file), "netbench-certificates-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	for _, c := range list {
		if _, err := f.WriteString(c.PEM); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

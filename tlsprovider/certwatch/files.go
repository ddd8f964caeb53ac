package certwatch

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A Certificate names the files of a certificate and its key.
type Certificate struct {
	// CertFile has the chain in PEM, leaf first.
	CertFile string
	// KeyFile has the private key in PEM. It can be CertFile.
	KeyFile string
	// Signer is used in place of KeyFile for a key that is not in a file.
	Signer crypto.Signer
	// OCSPFile, if set, has the OCSP response that is sent with the chain, in DER as "openssl ocsp -respout" writes it. When it
	// is renewed, it is replaced like the other files. The package does not verify it: see docs/revocation.md.
	OCSPFile string
}

// maxFile is the maximum size of a file. The roots of a system take 200 KB.
const maxFile = 4 << 20

// contents are the contents of all files, in the order of Config.paths.
type contents [][]byte

func (c contents) equal(other contents) bool {
	if c == nil || other == nil {
		return false
	}
	for i := range c {
		if !bytes.Equal(c[i], other[i]) {
			return false
		}
	}
	return true
}

// is reports whether both are the same memory.
func (c contents) is(other contents) bool { return c != nil && other != nil && &c[0] == &other[0] }

// wipe overwrites the contents, some of which are private keys.
func (c contents) wipe() {
	for _, b := range c {
		clear(b)
	}
}

// perCertificate is the number of files of a Certificate.
const perCertificate = 3

// paths returns the files of a configuration.
func (c *Config) paths() (paths []string) {
	for _, cert := range c.Certificates {
		paths = append(paths, cert.CertFile, cert.KeyFile, cert.OCSPFile)
	}
	return append(paths, c.RootCAsFile, c.ClientCAsFile, c.TicketKeysFile)
}

// read reads all files. Those without a name are empty.
func (c *Config) read() (out contents, err error) {
	for _, path := range c.paths() {
		var b []byte
		if path != "" {
			if b, err = readFile(path); err != nil {
				out.wipe()
				return nil, err
			}
		}
		out = append(out, b)
	}
	return out, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	if err != nil {
		clear(b)
		return nil, err
	}
	return b, nil
}

// parse returns Base with what the files contain.
func (c *Config) parse(in contents) (*tlsprovider.Config, error) {
	out := new(tlsprovider.Config)
	if c.Base != nil {
		*out = *c.Base
	}
	if len(c.Certificates) > 0 {
		out.Certificates = nil
	}
	for i, files := range c.Certificates {
		cert, err := files.parse(in[perCertificate*i:])
		if err != nil {
			return nil, err
		}
		out.Certificates = append(out.Certificates, cert)
	}
	rest := in[perCertificate*len(c.Certificates):]
	var err error
	if c.RootCAsFile != "" {
		if out.RootCAs, err = tlsprovider.RootsFromPEM(rest[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", c.RootCAsFile, err)
		}
	}
	if c.ClientCAsFile != "" {
		if out.ClientCAs, err = tlsprovider.RootsFromPEM(rest[1]); err != nil {
			return nil, fmt.Errorf("%s: %w", c.ClientCAsFile, err)
		}
	}
	if c.TicketKeysFile != "" {
		if out.TicketKeys, err = parseTicketKeys(rest[2]); err != nil {
			return nil, fmt.Errorf("%s: %w", c.TicketKeysFile, err)
		}
	}
	return out, nil
}

// parse parses the files of a certificate, which are the first of in.
func (f *Certificate) parse(in contents) (cert tlsprovider.Certificate, err error) {
	if f.Signer == nil {
		if cert, err = tlsprovider.CertificateFromPEM(in[0], in[1]); err != nil {
			return cert, fmt.Errorf("%s, %s: %w", f.CertFile, f.KeyFile, err)
		}
	} else {
		chain, err := tlsprovider.RootsFromPEM(in[0])
		if err != nil {
			return cert, fmt.Errorf("%s: %w", f.CertFile, err)
		}
		cert = tlsprovider.Certificate{Chain: chain.DER(), Signer: f.Signer}
	}
	if f.OCSPFile != "" {
		if err := checkOCSP(in[2]); err != nil {
			return cert, fmt.Errorf("%s: %w", f.OCSPFile, err)
		}
		cert.OCSPStaple = bytes.Clone(in[2]) // in is overwritten later
	}
	return cert, nil
}

// checkOCSP refuses what is no OCSP response, such as a file that is half written, and a response without a statement about a
// certificate, because its responder had an error.
func checkOCSP(b []byte) error {
	var response struct {
		Status asn1.Enumerated
		Bytes  asn1.RawValue `asn1:"optional"`
	}
	switch rest, err := asn1.Unmarshal(b, &response); {
	case err != nil:
		return fmt.Errorf("no OCSP response in DER: %w", err)
	case len(rest) > 0:
		return fmt.Errorf("%d bytes follow the OCSP response", len(rest))
	case response.Status != 0:
		return fmt.Errorf("the OCSP responder had the error %d", response.Status)
	}
	return nil
}

// parseTicketKeys parses ticket keys of 64 hexadecimal digits, one a line.
func parseTicketKeys(b []byte) (keys [][]byte, err error) {
	for n, line := range bytes.Split(b, []byte{'\n'}) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key := make([]byte, 32)
		if len(line) != 64 {
			return nil, fmt.Errorf("line %d has %d characters; a ticket key has 64 hexadecimal digits", n+1, len(line))
		}
		if _, err := hex.Decode(key, line); err != nil {
			// The error would show a part of the key.
			return nil, fmt.Errorf("line %d is not hexadecimal", n+1)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no ticket key")
	}
	return keys, nil
}

package main

import (
	"os"

	"github.com/pqquic/pqquic/internal/testcert"
)

const (
	serverName = "server.test"
	alpn       = "test"
)

// creds is one certificate, also stored in files.
type creds struct {
	*testcert.Certificate
	dir, certFile, keyFile string
}

func newCreds() (*creds, error) {
	dir, err := os.MkdirTemp("", "pqquic-bench")
	if err != nil {
		return nil, err
	}
	c := &creds{Certificate: testcert.New(serverName), dir: dir}
	c.certFile, c.keyFile, err = c.Write(dir)
	return c, err
}

func (c *creds) remove() { os.RemoveAll(c.dir) }

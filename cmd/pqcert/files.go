package main

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pqquic/pqquic/cmd/internal/certs"
)

// read reads an authority.
func (o *options) read(name string) (*certs.Identity, error) {
	chain, err := os.ReadFile(filepath.Join(o.dir, name+".pem"))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(o.dir, name+"-key.pem"))
	if err != nil {
		return nil, err
	}
	id, err := certs.ParseIdentity(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return id, nil
}

// write writes the files of an identity. Files of the same name are an error, because certificates that were made
// before would no longer be valid.
func (o *options) write(name string, id *certs.Identity, form certs.KeyForm) error {
	key, err := certs.MarshalKey(id.Key, form)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	if err := o.file(name+".pem", id.ChainPEM(), 0o644); err != nil {
		return err
	}
	if err := o.file(name+"-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600); err != nil {
		return err
	}
	if !o.der {
		return nil
	}
	if err := o.file(name+".der", id.Chain[0], 0o644); err != nil {
		return err
	}
	return o.file(name+"-key.der", key, 0o600)
}

func (o *options) file(name string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(filepath.Join(o.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

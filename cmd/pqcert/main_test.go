package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/certs"
	"github.com/pqquic/pqquic/tlsprovider"
)

// pqcert runs the command and returns its output.
func pqcert(args ...string) (string, error) {
	var out bytes.Buffer
	c := newCommand()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&out)
	err := c.Execute()
	return out.String(), err
}

func needMLDSA(t *testing.T) {
	t.Helper()
	if _, err := certs.NewKey("ml-dsa-44"); err != nil {
		require.Empty(t, os.Getenv("PQQUIC_REQUIRE_LINKED"), "%v", err)
		t.Skip(err)
	}
}

func TestChain(t *testing.T) {
	needMLDSA(t)
	dir := t.TempDir()
	for _, args := range [][]string{
		{"ca", "root", "--key", "ecdsa-p384"},
		{"ca", "middle", "--issuer", "root", "--key", "ml-dsa-87"},
		{"leaf", "server", "--issuer", "middle", "--key", "ml-dsa-65", "--key-form", "both", "--host", "a.test", "--der"},
	} {
		_, err := pqcert(append(args, "-d", dir)...)
		require.NoError(t, err, "%v", args)
	}
	c, err := tlsprovider.LoadCertificate(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"))
	require.NoError(t, err)
	require.Len(t, c.Chain, 2, "the leaf and the intermediate")
	der, err := os.ReadFile(filepath.Join(dir, "server-key.der"))
	require.NoError(t, err)
	require.Equal(t, c.KeyDER, der)
	info, err := os.Stat(filepath.Join(dir, "server-key.pem"))
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077, "only the owner reads the key")
}

func TestAll(t *testing.T) {
	needMLDSA(t)
	dir := t.TempDir()
	out, err := pqcert("all", "-d", dir, "--host", "a.test")
	require.NoError(t, err)
	for _, k := range kinds {
		require.Contains(t, out, k.name+" ")
		c, err := tlsprovider.LoadCertificate(filepath.Join(dir, k.name+".pem"), filepath.Join(dir, k.name+"-key.pem"))
		require.NoError(t, err)
		require.Len(t, c.Chain, len(k.chain)-1)
		require.FileExists(t, filepath.Join(dir, "root-"+string(k.chain[0])+".pem"))
	}
	require.Greater(t, len(strings.Split(out, "\n")), len(kinds))
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		want string
		args []string
	}{
		{"unknown key algorithm", []string{"ca", "x", "--key", "dsa"}},
		{"required flag", []string{"leaf", "x"}},
		{"no-such.pem", []string{"leaf", "x", "--issuer", "no-such"}},
		{"--days 0", []string{"ca", "x", "--days", "0"}},
		{"only for ML-DSA", []string{"ca", "x", "--key", "ecdsa-p256", "--key-form", "both"}},
		{"accepts 1 arg", []string{"ca"}},
	} {
		_, err := pqcert(append(c.args, "-d", dir)...)
		require.ErrorContains(t, err, c.want)
	}
	_, err := pqcert("ca", "twice", "--key", "ecdsa-p256", "-d", dir)
	require.NoError(t, err)
	_, err = pqcert("ca", "twice", "--key", "ecdsa-p256", "-d", dir)
	require.ErrorIs(t, err, os.ErrExist, "files are not overwritten")
}

package qlog_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/qlog"
)

// A client chooses the ID of its connections. One that repeats it destroys no log, and each connection has its own.
func TestDirKeepsLogsOfRepeatedIDs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	open, c := qlog.Dir(dir), qlog.Conn{ID: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Server: true}
	want := []string{"first", "second", "third"}
	for _, text := range want {
		w, err := open(c)
		require.NoError(t, err)
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	b, err := os.ReadFile(filepath.Join(dir, c.FileName()))
	require.NoError(t, err)
	require.Equal(t, want[0], string(b))

	names, err := filepath.Glob(filepath.Join(dir, "0102030405060708_server*.sqlog"))
	require.NoError(t, err)
	var got []string
	for _, name := range names {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Zero(t, info.Mode()&0o077, "others may read %s", name)
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		got = append(got, string(b))
	}
	require.ElementsMatch(t, want, got)
}

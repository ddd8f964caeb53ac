package tlsprovider_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

func TestParseServerName(t *testing.T) {
	for in, want := range map[string]tlsprovider.ServerName{
		"server.test":    {SNI: "server.test", Verify: "server.test"},
		"server.test.":   {SNI: "server.test", Verify: "server.test"},
		"localhost":      {SNI: "localhost", Verify: "localhost"},
		"192.0.2.1":      {Verify: "192.0.2.1", IP: true},
		"::ffff:1.2.3.4": {Verify: "1.2.3.4", IP: true},
		"[2001:db8::1]":  {Verify: "2001:db8::1", IP: true},
		"fe80::1%eth0":   {Verify: "fe80::1", IP: true},
	} {
		got, err := tlsprovider.ParseServerName(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", ".", "..", ".test", "a..test", "a.test..", "a\x00.test", strings.Repeat("a", 256)} {
		_, err := tlsprovider.ParseServerName(in)
		require.Error(t, err, "%q", in)
	}
}

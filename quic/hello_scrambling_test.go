//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"io"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/qlog"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// A logBuffer is a qlog in memory.
type logBuffer struct{ bytes.Buffer }

func (*logBuffer) Close() error { return nil }

// The log shows where a client's first CRYPTO frame begins: within the server's name, or at the beginning if the setting
// or the environment forbids that, or if there is no name.
func TestHelloScrambling(t *testing.T) {
	providers := map[string]tlsprovider.Provider{"native": native.New()}
	if p, err := s2n.New(); err == nil {
		providers["s2n"] = p
	}
	first := regexp.MustCompile(`"frame_type":"crypto","offset":(\d+)`)
	for name, p := range providers {
		for _, tt := range []struct {
			name      string
			setting   bool
			env       string
			scrambled bool
		}{
			{"by default", false, "", true},
			{"with the setting", true, "", false},
			{"with the variable", false, "1", false},
		} {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				t.Setenv(disableScrambling, tt.env)
				sc, cc, log := serverConfig(), clientConfig(), new(logBuffer)
				sc.Provider, cc.Provider = p, p
				cc.DisableHelloScrambling = tt.setting
				cc.Qlog = &qlog.Config{Open: func(qlog.Conn) (io.WriteCloser, error) { return log, nil }}
				download(t, sc, cc, 1000)
				m := first.FindSubmatch(log.Bytes())
				require.NotNil(t, m, "no CRYPTO frame in the log")
				require.Equal(t, tt.scrambled, string(m[1]) != "0", "the first begins at %s", m[1])
			})
		}
	}
}

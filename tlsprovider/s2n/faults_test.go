package s2n

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestErrorTable checks that the faults have the error codes of docs/tls-errors.md with both providers, and that
// every fault has a row there.
func TestErrorTable(t *testing.T) {
	s, n := newProvider(t), native.New()
	page, err := os.ReadFile("../../docs/tls-errors.md")
	require.NoError(t, err)
	rows := make(map[string][]string)
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(strings.TrimSpace(line), " | "); len(cells) == 4 && strings.HasPrefix(cells[0], "| ") {
			rows[strings.TrimPrefix(cells[0], "| ")] = cells[1:]
		}
	}
	for _, fault := range tlstest.Faults() {
		t.Run(fault.Name, func(t *testing.T) {
			row := rows[fault.Name]
			require.NotNil(t, row, "docs/tls-errors.md has no row for it")
			require.Equal(t, fault.Side.String(), row[0])
			if strings.HasPrefix(fault.Name, "RequirePQ") {
				needPostQuantum(t, s) // otherwise its configuration is refused
			}
			if strings.HasPrefix(fault.Name, "VerifyPeer") && !s.Capabilities().VerifyPeer {
				t.Skip("needs VerifyPeer, which the linked library does not support")
			}
			if strings.HasSuffix(fault.Name, "s only") && !s.Capabilities().CertificatePurposes {
				t.Skip("needs CertificatePurposes, which the linked library does not support")
			}
			for i, p := range []tlsprovider.Provider{n, s} {
				// The peer uses the other provider.
				su := tlstest.Suite{Client: p, Server: n}
				if fault.Side == tlsprovider.Server {
					su = tlstest.Suite{Client: n, Server: p}
				}
				e := su.Detect(t, fault)
				got := fmt.Sprintf("0x%x %v", 0x100+int(e.Alert), e.Alert)
				if e.ProtocolViolation {
					got = "0xa PROTOCOL_VIOLATION"
				}
				want := strings.TrimSuffix(row[1+i], " |")
				if want == "the same" {
					want = row[1]
				}
				if p.Capabilities().SpecificAlerts {
					require.Equal(t, want, got, p.Name())
				}
			}
		})
	}
}

// TestGroupMismatchNamesBothSides checks that the error of a server without a common group names the groups of
// both sides.
func TestGroupMismatchNamesBothSides(t *testing.T) {
	p := newProvider(t)
	groups := p.Capabilities().Groups
	other := groups[slices.IndexFunc(groups, func(g tlsprovider.GroupInfo) bool {
		return g.ID != tlsprovider.P256 && g.ID != tlsprovider.P384
	})].ID
	client, server, _ := tlstest.Configs(t)
	client.Groups, server.Groups = []tlsprovider.Group{tlsprovider.P256}, []tlsprovider.Group{tlsprovider.P384, other}
	ce, se := newEndpoints(t, p, client, server)
	_, err := tlstest.PairOf(t, ce, se, "server.test").Run(t)
	tlstest.RequireAlert(t, tlsprovider.AlertHandshakeFailure, err)
	require.ErrorContains(t, err, "no common key exchange group: the client offers P-256, the server takes P-384,"+other.String())
}

package compare

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// head returns the table's columns, and row the main texts of a row.
func columnOf(t *testing.T, tab table, head string, row int) cell {
	t.Helper()
	for i, h := range tab.Head {
		if h == head {
			return tab.Rows[row].Cells[i]
		}
	}
	t.Fatalf("no column %q in %q", head, tab.Head)
	return cell{}
}

func TestTable(t *testing.T) {
	r := sampleResult(t)
	tab := r.table()
	require.NotContains(t, tab.Head, "published")
	require.NotContains(t, tab.Head, "handshake datagrams")
	require.Equal(t, cell{Main: "baseline"}, columnOf(t, tab, "relative", 0))
	require.Equal(t, cell{"−10.0 %", "−10.0 … −10.0 %"}, columnOf(t, tab, "relative", 1))
	require.Equal(t, cell{"20000", "+0.0 %"}, columnOf(t, tab, "CPU µs, both ends", 1))
	require.Equal(t, cell{Main: "900 / 1500"}, columnOf(t, tab, "connect µs, p50 / p99", 0))
	require.Equal(t, cell{Main: "2 handshake timeout"}, columnOf(t, tab, "failed", 1))
	require.Equal(t, cell{Main: "100"}, columnOf(t, tab, "connections a round", 1))
	for _, row := range tab.Rows {
		require.Len(t, row.Cells, len(tab.Head))
	}
	require.Empty(t, r.notes())
}

// What a study of other algorithms adds: published rates, datagrams, and fewer connections of a slow exchange.
func TestTableOfHistoricStudy(t *testing.T) {
	r := sampleResult(t)
	r.Study.Limit, r.Study.Published = 25*time.Second, "Example University, 2022"
	r.Study.Configs[1].Published = 0.63
	r.Connections = map[string]int{"other": 30}
	r.Datagrams = map[string]*Datagrams{"base": {ClientHello: 1, Client: 2, Server: 3}}
	require.NoError(t, r.evaluate(1))
	tab := r.table()
	require.Equal(t, cell{}, columnOf(t, tab, "published", 0))
	require.Equal(t, cell{Main: "−37 %"}, columnOf(t, tab, "published", 1))
	require.Equal(t, cell{"2 / 3", "ClientHello: 1"}, columnOf(t, tab, "handshake datagrams", 0))
	require.Equal(t, cell{Main: "not counted"}, columnOf(t, tab, "handshake datagrams", 1))
	require.Equal(t, cell{Main: "100"}, columnOf(t, tab, "connections a round", 0))
	require.Equal(t, cell{"30", "fewer than 100"}, columnOf(t, tab, "connections a round", 1))

	var text bytes.Buffer
	require.NoError(t, r.WriteTable(&text))
	require.Contains(t, text.String(), "30 (fewer than 100)")
	require.Contains(t, text.String(), "other made 30 connections in each round instead of 100: more would take longer than 25s a round.")
	require.Contains(t, text.String(), "Published rates: Example University, 2022.")
	require.Contains(t, text.String(), "Handshake datagrams are")
}

// The published rates are those of the article, each beside the exchange that it was measured with.
func TestHistoricStudy(t *testing.T) {
	s := historic()
	require.NoError(t, s.Validate())
	require.Equal(t, 10_000, s.Connections)
	require.Equal(t, "historic", s.Variant)
	published := make(map[string]string)
	for i, c := range s.Configs {
		require.Empty(t, c.Certificate, "ECDSA P-256")
		if i == 0 {
			require.Equal(t, "s2n X25519", c.Name)
			require.Zero(t, c.Published)
			continue
		}
		require.Equal(t, "s2n X25519", c.Baseline)
		require.Equal(t, []string{"--provider", "s2n", "--groups", c.Name[len("s2n "):]}, c.Client)
		published[c.Name] = wholePercent(c.Published)
	}
	require.Equal(t, map[string]string{"s2n X25519Kyber512R3": "−8 %", "s2n X25519BIKEL1R3": "−37 %", "s2n X25519SIKEp434R3": "−95 %"}, published)
}

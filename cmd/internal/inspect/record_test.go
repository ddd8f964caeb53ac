package inspect

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/cmd/internal/capturetest"
)

const name = capturetest.Name

type (
	recording = capturetest.Recording
	captured  = capturetest.Packet
	setup     = capturetest.Setup
)

func record(t *testing.T, s setup) *recording {
	t.Helper()
	return capturetest.Record(t, s)
}

// look passes the packets to an Inspector unchanged.
func look(t *testing.T, r *recording, opt Options) ([]*Connection, Stats) {
	t.Helper()
	var out []*Connection
	opt.Report = func(c *Connection) { out = append(out, c) }
	in := New(opt)
	for _, p := range r.Packets {
		in.Frame(capture.Frame{Time: p.At, Link: 101, Data: bytes.Clone(p.Data), Length: len(p.Data)})
	}
	return out, in.Finish()
}

// one returns the only connection of a recording.
func one(t *testing.T, r *recording) *Connection {
	t.Helper()
	cs, _ := look(t, r, Options{})
	require.Len(t, cs, 1)
	require.Empty(t, cs[0].Problems)
	return cs[0]
}

func mustAddr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

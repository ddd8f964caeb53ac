package s2n

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
)

func requireLinked(t testing.TB) {
	t.Helper()
	err := awslc.Linked()
	if errors.Is(err, awslc.ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") != "1" {
		t.Skip("needs the C library: run `make build`")
	}
	require.NoError(t, err)
}

// TestAfterClose checks that the methods of closed values return errors and do not call C.
func TestAfterClose(t *testing.T) {
	requireLinked(t)
	before := awslc.Live().Handles
	cfg, err := NewConfig("default_tls13", SkipVerify)
	require.NoError(t, err)
	live, err := NewConn(cfg, ConnParams{ServerName: "server.test", Params: []byte{1}})
	require.NoError(t, err)
	cfg.Close()
	cfg.Close()
	require.ErrorIs(t, cfg.AddCert([]byte("chain"), nil, 0, nil), errClosed)
	require.ErrorIs(t, cfg.AddRoot([]byte("root")), errClosed)
	require.ErrorIs(t, cfg.AddALPN("test"), errClosed)
	require.ErrorIs(t, cfg.AddTicketKey(make([]byte, 32)), errClosed)
	require.Empty(t, cfg.Groups())
	_, err = NewConn(cfg, ConnParams{})
	require.ErrorIs(t, err, errClosed)

	log, err := live.Drive(0, nil, 0)
	require.NoError(t, err, "a connection stays valid after its configuration is closed")
	e, _, ok := NextEvent(log)
	require.True(t, ok)
	require.Equal(t, EventWrite, e.Kind)
	require.ErrorIs(t, live.Continue(cfg, "test", nil), errClosed)
	ticket := new(Ticket)
	require.False(t, live.Resume(ticket, 0))
	require.Zero(t, ticket.Lifetime())
	require.Nil(t, ticket.Save())
	ticket.Close()

	live.Close()
	live.Close()
	_, err = live.Drive(0, nil, 0)
	require.ErrorIs(t, err, errClosed)
	require.ErrorIs(t, live.Continue(nil, "test", nil), errClosed)
	require.ErrorIs(t, live.Signed([]byte{1}), errClosed)
	require.Nil(t, live.TakeSealer(0, 1))
	require.Nil(t, live.TakeOpener(0, 1))
	require.Nil(t, live.TakeTicket())
	require.Zero(t, live.State())
	_, ok = live.Export("label", nil, 32)
	require.False(t, ok)
	require.Equal(t, before, awslc.Live().Handles)
}

package tlstest

import (
	"errors"
	"sync"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// nothingIsLeft checks that sessions that are closed at different moments leave nothing behind.
func (su *Suite) nothingIsLeft(t *testing.T) {
	client, server, _ := Configs(t)
	ce, se := su.Endpoints(t, client, server)
	once := func(stop int) {
		p := PairOf(t, ce, se, "server.test")
		p.Decide = func(*tlsprovider.ClientHello) tlsprovider.Decision {
			if stop == 1 {
				p.Server.Close()
			}
			return decision(nil)
		}
		if stop == 2 {
			p.Chunk = 1000
			events, err := p.Client.Advance(nil)
			require.NoError(t, err)
			for _, e := range events {
				_, err := p.Server.Advance([]tlsprovider.CryptoData{{Level: e.Level, Data: e.Data[:len(e.Data)/2]}})
				require.NoError(t, err)
			}
		} else if stop != 0 {
			_, err := p.Run(t)
			require.Equal(t, stop == 1, err != nil)
		}
		if stop == 4 {
			k, err := p.Server.TakeKeys(tlsprovider.LevelApp, 1)
			require.NoError(t, err)
			k.Close()
		}
		p.Client.Close()
		p.Server.Close()
		p.Client.Close()
	}
	for stop := range 5 {
		once(stop)
	}
	once(3) // stores a ticket
	handles, bytes := su.Live()
	for range 20 {
		for stop := range 5 {
			once(stop)
		}
	}
	once(3)
	handlesAfter, bytesAfter := su.Live()
	require.Equal(t, handles, handlesAfter)
	require.InDelta(t, bytes, bytesAfter, 64, "tickets differ by bytes")
}

// concurrentUse runs handshakes while certificates and ticket keys change, and while the endpoint closes.
func (su *Suite) concurrentUse(t *testing.T) {
	client, server, ca := Configs(t)
	ce, err := su.Client.NewClient(client)
	require.NoError(t, err)
	se, err := su.Server.NewServer(server)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if err := Lean(ce, se); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			if err := se.SetCertificates([]tlsprovider.Certificate{ca.Leaf(t, nil)}); err != nil {
				t.Error(err)
			}
			key := make([]byte, 32)
			key[0] = byte(i)
			if err := se.SetTicketKeys([][]byte{key}); err != nil && su.has(tickets) {
				t.Error(err)
			}
			_ = su.Server.Capabilities()
		}
	})
	wg.Wait()
	for range 4 {
		wg.Go(func() {
			for range 10 {
				_ = Lean(ce, se) // fails after the endpoints have been closed
			}
		})
	}
	ce.Close()
	se.Close()
	wg.Wait()
	require.Error(t, Lean(ce, se))
}

// manyHandshakes checks that thousands of handshakes leave nothing behind.
func (su *Suite) manyHandshakes(t *testing.T) {
	n := 10_000
	if testing.Short() || raceEnabled {
		n = 500
	}
	client, server, _ := Configs(t)
	client.DisableTickets, server.DisableTickets = true, true
	ce, se := su.Endpoints(t, client, server)
	require.NoError(t, Lean(ce, se))
	handles, bytes := su.Live()
	for range n {
		require.NoError(t, Lean(ce, se))
	}
	after, bytesAfter := su.Live()
	require.Equal(t, [2]int64{handles, bytes}, [2]int64{after, bytesAfter}, "after %d handshakes", n)
}

// abortAt closes both sessions after stop events. It returns the number of events.
func abortAt(t *testing.T, ce, se tlsprovider.Endpoint, stop int) (events int) {
	t.Helper()
	p := PairOf(t, ce, se, "server.test")
	defer p.Server.Close()
	defer p.Client.Close()
	p.OnEvent = func(side tlsprovider.Side, e tlsprovider.Event) error {
		if events == stop {
			p.Session(side).Close()
			p.Session(side.Peer()).Close()
			return errAborted
		}
		events++
		return nil
	}
	if _, err := p.Run(t); err != nil {
		require.ErrorIs(t, err, errAborted)
		return events + 1
	}
	return events
}

var errAborted = errors.New("aborted by the test")

// stuckSigners starts handshakes that wait for a private key that never signs. Others must not be affected, and closing
// must free all of them.
func (su *Suite) stuckSigners(t *testing.T) {
	client, server, ca := Configs(t)
	key := NewAuthority(t).Key
	stuck := *server
	stuck.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, key, nil), Signer: remote{key, nil}}}
	ce, waiting := su.Endpoints(t, client, &stuck)
	se := su.newServer(t, server)

	require.NoError(t, Lean(ce, se))
	handles, _ := su.Live()
	n := 1000
	if raceEnabled {
		n = 100
	}
	var pairs []*Pair
	for range n {
		p := PairOf(t, ce, waiting, "server.test")
		p.sendHello(t)
		events, err := p.Server.Continue(decision(nil))
		require.NoError(t, err)
		require.Equal(t, tlsprovider.EventSign, events[len(events)-1].Kind)
		pairs = append(pairs, p)
	}
	for range 10 {
		require.NoError(t, Lean(ce, se))
	}
	for _, p := range pairs {
		p.Client.Close()
		p.Server.Close()
	}
	after, _ := su.Live()
	require.Equal(t, handles, after)
}

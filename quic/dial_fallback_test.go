//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// A helloPart is what a datagram contains of a client's ClientHello.
type helloPart struct{ begins, whole, any bool }

// A middlebox loses parts of ClientHellos that take more than one datagram, and counts the whole ones that pass. It
// reads them with the keys of Initial packets, which everyone on the path can derive.
type middlebox struct {
	*testing.T
	keepsFirst bool // the datagram with the beginning passes
	whole      int
	keys       []tlsprovider.Keys // for each first connection ID
}

func (m *middlebox) install(w *world) {
	m.T = w.T
	m.Cleanup(func() { // before the Endpoints of w are closed, which send more packets
		w.net.SetDrop(nil)
		for _, keys := range m.keys {
			keys.Close()
		}
	})
	w.net.SetDrop(func(_, to netip.AddrPort, d []byte) bool {
		h, size := wire.ParseLongHeader(d)
		if to.String() != serverAddr || size <= 0 || h.Type != wire.PacketInitial {
			return false
		}
		p := m.read(&h, d[:h.Len])
		if p.whole {
			m.whole++
		}
		return p.any && !p.whole && !(m.keepsFirst && p.begins)
	})
}

// read returns what an Initial packet contains of a ClientHello.
func (m *middlebox) read(h *wire.LongHeader, pkt []byte) (p helloPart) {
	m.Helper()
	keys, err := native.New().InitialKeys(uint32(h.Version), h.DstID.Bytes(), tlsprovider.Server)
	require.NoError(m, err)
	m.keys = append(m.keys, keys)
	for _, keys := range m.keys {
		pkt := bytes.Clone(pkt)
		desc := []tlsprovider.OpenDesc{{Len: uint32(len(pkt)), PNOffset: uint32(h.PNOffset)}}
		keys.Opener.Open(pkt, desc, -1)
		if desc[0].Status != tlsprovider.OpenOK {
			continue
		}
		for b := pkt[desc[0].HeaderLen:][:desc[0].PayloadLen]; len(b) > 0; {
			f, n := wire.ParseFrame(b)
			require.Positive(m, n)
			b = b[n:]
			if f, ok := f.(wire.Crypto); ok {
				p.any = true
				p.begins = p.begins || f.Offset == 0
				if f.Offset == 0 && len(f.Data) >= 4 {
					p.whole = len(f.Data) >= 4+int(f.Data[1])<<16+int(f.Data[2])<<8+int(f.Data[3])
				}
			}
		}
		return p
	}
	return p
}

// fallbackConfig returns a client's configuration with ClassicalFallback, and its log.
func fallbackConfig() (*Config, *bytes.Buffer) {
	var log bytes.Buffer
	cfg := clientConfig()
	cfg.ClassicalFallback = 3
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return cfg, &log
}

// On a network that loses ClientHellos of two datagrams, Dial connects with a classical ClientHello if the configuration
// permits that, after the third probe timeout, and reports it in every place.
func TestClassicalFallback(t *testing.T) {
	for _, keepsFirst := range []bool{false, true} {
		cfg, log := fallbackConfig()
		inBubble(t, nil, cfg, func(t *testing.T, w *world) {
			m := &middlebox{keepsFirst: keepsFirst}
			m.install(w)
			begun := time.Now()
			client, server := w.connect()
			if !keepsFirst { // otherwise the client knows the round-trip time, and its timeouts are shorter
				require.InDelta(t, 5, time.Since(begun).Seconds(), 0.1, "1 + 2 + 2 seconds")
			}
			require.Equal(t, 1, m.whole)
			s := client.ConnectionState()
			require.False(t, s.TLS.Group.PostQuantum())
			require.True(t, s.Downgraded)
			require.True(t, s.Fallback)
			require.False(t, server.ConnectionState().Fallback)
			h := w.client.Stats().Handshakes
			require.Equal(t, []uint64{1, 1, 1}, []uint64{h.Completed, h.Downgraded, h.Fallbacks})
			require.Contains(t, log.String(), "dialing again with classical key exchange")
			require.Contains(t, log.String(), "connected with classical key exchange")
			advance(time.Second)
			require.Equal(t, 1, w.client.Stats().Conns, "the first attempt has ended")
			require.Equal(t, 1, w.server.Stats().Conns)
			w.stream(client, server)
		})
	}
}

// The same with the provider s2n: its classical ClientHello fits in one datagram, too, and one that requires post-quantum
// key exchange never sends it.
func TestClassicalFallbackS2N(t *testing.T) {
	p, err := s2n.New()
	if err != nil {
		t.Skip(err)
	}
	caps := p.Capabilities()
	if _, ok := caps.Group(tlsprovider.X25519MLKEM768); !ok {
		t.Skip("this variant of the library has no ClientHello of two datagrams")
	}
	for _, requirePQ := range []bool{false, true} {
		cfg, _ := fallbackConfig()
		cfg.Provider, cfg.TLS.RequirePQ = p, requirePQ
		inBubble(t, nil, cfg, func(t *testing.T, w *world) {
			m := &middlebox{}
			m.install(w)
			c, err := w.client.Dial(t.Context(), serverAddr, nil)
			if requirePQ {
				require.ErrorIs(t, err, ErrHandshakeTimeout)
				require.Zero(t, m.whole)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 1, m.whole)
			require.Equal(t, tlsprovider.X25519, c.ConnectionState().TLS.Group)
			require.True(t, c.ConnectionState().Fallback)
		})
	}
}

// An attacker who drops every part of a ClientHello does not obtain a classical one from a client that requires
// post-quantum key exchange, has none to offer, or has not permitted the fallback. Dial times out.
func TestNoClassicalFallback(t *testing.T) {
	for name, edit := range map[string]func(*Config){
		"RequirePQ":         func(c *Config) { c.TLS.RequirePQ = true },
		"off":               func(c *Config) { c.ClassicalFallback = 0 },
		"no classical":      func(c *Config) { c.TLS.Groups = []tlsprovider.Group{tlsprovider.X25519MLKEM768} },
		"after the timeout": func(c *Config) { c.ClassicalFallback = 6 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg, log := fallbackConfig()
			edit(cfg)
			inBubble(t, nil, cfg, func(t *testing.T, w *world) {
				m := &middlebox{}
				m.install(w)
				_, err := w.client.Dial(t.Context(), serverAddr, nil)
				require.ErrorIs(t, err, ErrHandshakeTimeout)
				require.Zero(t, m.whole, "a classical ClientHello was sent")
				require.Zero(t, w.client.Stats().Handshakes.Completed)
				require.Empty(t, log.String())
			})
		})
	}
}

// If the server answers the post-quantum ClientHello after all, the classical attempt does not win, although it has less
// to do. The server acknowledges both, and then takes longer for the post-quantum one.
func TestClassicalFallbackYieldsToAnAnswer(t *testing.T) {
	cfg, _ := fallbackConfig()
	server := serverConfig()
	server.GetTLSConfig = func(h *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
		d := 20 * time.Millisecond // on the fake clock
		if slices.ContainsFunc(h.Groups, tlsprovider.Group.PostQuantum) {
			d *= 2
		}
		time.Sleep(d)
		return nil, nil
	}
	inBubble(t, server, cfg, func(t *testing.T, w *world) {
		begun := time.Now()
		w.net.SetDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool {
			return time.Since(begun) < 4900*time.Millisecond // it works when both ClientHellos are sent
		})
		client, err := w.client.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		require.InDelta(t, 5, time.Since(begun).Seconds(), 0.1)
		require.True(t, client.ConnectionState().TLS.Group.PostQuantum())
		require.False(t, client.ConnectionState().Downgraded)
		advance(time.Second)
		require.Equal(t, 1, w.client.Stats().Conns)
		require.Equal(t, 1, w.server.Stats().Conns)
	})
}

// A server that has acknowledged the whole ClientHello is slow: the network has lost nothing.
func TestNoClassicalFallbackForSlowServer(t *testing.T) {
	cfg, log := fallbackConfig()
	server := serverConfig()
	server.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) {
		time.Sleep(8 * time.Second) // on the fake clock
		return nil, nil
	}
	inBubble(t, server, cfg, func(t *testing.T, w *world) {
		client, _ := w.connect()
		require.True(t, client.ConnectionState().TLS.Group.PostQuantum())
		require.Empty(t, log.String())
	})
}

// The socket of the function Dial lives as long as the second attempt's connection, and no longer than failed attempts.
func TestClassicalFallbackWithItsOwnSocket(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		m := &middlebox{}
		m.install(w)
		dial := func(addr string) (*Conn, error) {
			cfg, _ := fallbackConfig()
			e, err := NewEndpoint(w.net.Listen(addr), cfg)
			require.NoError(t, err)
			return e.dialAlone(t.Context(), netip.MustParseAddrPort(serverAddr), "localhost", false)
		}
		c, err := dial("10.0.0.3:6000")
		require.NoError(t, err)
		advance(20 * time.Second) // the first attempt is long gone
		require.Equal(t, 3, w.net.Open())
		require.NoError(t, c.Close())
		advance(time.Second)
		require.Equal(t, 2, w.net.Open())

		w.net.SetDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		_, err = dial("10.0.0.3:6001")
		require.ErrorIs(t, err, ErrHandshakeTimeout)
		require.ErrorContains(t, err, "all attempts failed")
		advance(time.Second)
		require.Equal(t, 2, w.net.Open())

		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		cfg, _ := fallbackConfig()
		_, err = w.client.Dial(ctx, serverAddr, cfg)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		advance(time.Second)
		require.Zero(t, w.client.Stats().Conns)
		w.net.SetDrop(nil)
	})
}

// A sessionStore counts the sessions that are put into a store.
type sessionStore struct {
	tlsprovider.ClientStore
	puts atomic.Int32
}

func (s *sessionStore) Put(key string, value []byte) {
	s.puts.Add(1)
	s.ClientStore.Put(key, value)
}

// A fallback neither uses nor starts a session, so it has no effect on later connections.
func TestClassicalFallbackHasNoSession(t *testing.T) {
	cfg, _ := fallbackConfig()
	store := &sessionStore{ClientStore: tlsprovider.NewClientStore(0, 0)}
	cfg.TLS.ClientStore = store
	inBubble(t, nil, cfg, func(t *testing.T, w *world) {
		w.connect()
		advance(time.Second) // for the tickets
		puts := store.puts.Load()
		require.Positive(t, puts)
		m := &middlebox{}
		m.install(w)
		c, _ := w.connect()
		require.True(t, c.ConnectionState().Fallback)
		require.False(t, c.ConnectionState().TLS.Resumed)
		advance(time.Second)
		require.Equal(t, puts, store.puts.Load())
		w.net.SetDrop(nil)
		c, _ = w.connect()
		require.True(t, c.ConnectionState().TLS.Group.PostQuantum())
		require.False(t, c.ConnectionState().Fallback)
	})
}

func TestClassicalConfig(t *testing.T) {
	e, err := newTestEndpoint()
	require.NoError(t, err)
	defer e.Close()
	cfg, _ := fallbackConfig()
	cfg.TLS.Groups = []tlsprovider.Group{tlsprovider.P384, tlsprovider.SecP256r1MLKEM768, tlsprovider.P256}
	c, err := e.classicalConfig(cfg)
	require.NoError(t, err)
	require.Equal(t, []tlsprovider.Group{tlsprovider.P384, tlsprovider.P256}, c.dialTLS().Groups)
	cfg.TLS.Groups = []tlsprovider.Group{tlsprovider.P256}
	c, err = e.classicalConfig(cfg)
	require.NoError(t, err)
	require.Nil(t, c, "the first attempt is classical")
	cfg.TLS.Groups, cfg.TLS.Policy = nil, "default_pq"
	_, err = e.classicalConfig(cfg)
	require.ErrorContains(t, err, "Policy")
	_, err = (&Config{ClassicalFallback: -1}).withDefaults()
	require.ErrorContains(t, err, "ClassicalFallback")
}

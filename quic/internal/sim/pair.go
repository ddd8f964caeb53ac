package sim

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Options describe a client, a server and the path between them.
type Options struct {
	Seed uint64
	// Client and Server are the providers with their TLS configurations.
	ClientProvider, ServerProvider tlsprovider.Provider
	ClientTLS, ServerTLS           *tlsprovider.Config
	// Up and Down are the two directions. The client sends on Up.
	Up, Down Link
	// IPv6 makes the addresses those of IPv6.
	IPv6 bool
	// TLSDelay is the maximum of the random duration of a TLS job.
	TLSDelay time.Duration
	// Config, if set, changes the configuration of each side.
	Config func(*core.Config)
	// ClientIDs and ServerIDs, if set, are the connection IDs of each side instead of 8 random bytes.
	ClientIDs, ServerIDs *ConnIDs
	// Endpoint, if set, changes the configuration of the server's Endpoint.
	Endpoint func(*core.EndpointConfig)
	// Validation is the server's policy for clients' addresses.
	Validation core.Validation
	// CheckAlways sets World.CheckAlways.
	CheckAlways bool
	// Client and Server are the applications.
	Client *App
	Server func() *App
}

// A Pair is a client and a server connected by a path.
type Pair struct {
	*World
	Client, Server *Node
	ClientConfig   *core.Config
	opts           Options
}

// ServerName is the name of servers in the simulator.
const ServerName = "server.test"

// ALPN is the protocol that both sides speak.
const ALPN = "sim"

// NewPair returns a new pair. It fails if a configuration is not valid.
func NewPair(o Options) (*Pair, error) {
	p := &Pair{World: NewWorld(o.Seed), opts: o}
	p.CheckAlways = o.CheckAlways
	ce, err := o.ClientProvider.NewClient(o.ClientTLS)
	if err != nil {
		return nil, err
	}
	se, err := o.ServerProvider.NewServer(o.ServerTLS)
	if err != nil {
		return nil, err
	}
	p.Client, err = p.node("client", o.ClientProvider, 1, false, o.ClientIDs)
	if err != nil {
		return nil, err
	}
	p.Server, err = p.node("server", o.ServerProvider, 2, true, o.ServerIDs)
	if err != nil {
		return nil, err
	}
	p.Client.peer, p.Server.peer = p.Server, p.Client
	p.Client.link.Link, p.Server.link.Link = o.Up, o.Down
	p.ClientConfig = p.config(p.Client, tlsprovider.Client, o.ClientProvider, ce)
	p.Server.accept = p.config(p.Server, tlsprovider.Server, o.ServerProvider, se)
	p.Server.app = o.Server
	p.Server.validation = o.Validation
	return p, nil
}

// secret is a secret that an operator would configure.
var secret = []byte("a secret of thirty-two bytes, yes")

func (p *Pair) node(name string, prov tlsprovider.Provider, host byte, accept bool, ids *ConnIDs) (*Node, error) {
	tokenKey, err := prov.NewTokenKey(secret)
	if err != nil {
		return nil, err
	}
	resetKey, err := prov.NewResetKey(secret)
	if err != nil {
		return nil, err
	}
	cfg := &core.EndpointConfig{
		Provider: prov, Accept: accept, TokenKey: tokenKey, ResetKey: resetKey,
		MaxHandshakes: 1000, Versions: []wire.Version{wire.Version1},
	}
	if accept && p.opts.Endpoint != nil {
		p.opts.Endpoint(cfg)
	}
	addr := netip.AddrFrom4([4]byte{10, 0, 0, host})
	if p.opts.IPv6 {
		addr = netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: host})
	}
	n := p.newNode(name, netip.AddrPortFrom(addr, 4433), cfg, ids)
	if d := p.opts.TLSDelay; d > 0 {
		n.TLSDelay = func() time.Duration { return time.Duration(p.Rand.Int64N(int64(d) + 1)) }
	}
	return n, nil
}

func (p *Pair) config(n *Node, side tlsprovider.Side, prov tlsprovider.Provider, te tlsprovider.Endpoint) *core.Config {
	resetKey, err := prov.NewResetKey(secret)
	if err != nil {
		panic(err)
	}
	cfg := &core.Config{
		Side: side, Provider: prov, TLS: te, ServerName: ServerName, NextProtos: []string{ALPN},
		Rand: p.fill, NewConnID: n.ids.Generate,
		ResetToken:       func(id wire.ConnID) [16]byte { return resetKey.Token(id.Bytes()) },
		HandshakeTimeout: 120 * time.Second, IdleTimeout: 30 * time.Second,
		DatagramSize: core.MinInitialSize,
		Streams: streams.Config{
			RecvWindow: 512 << 10, MaxRecvWindow: 16 << 20, ConnWindow: 768 << 10, MaxConnWindow: 24 << 20,
			SendBuffer: 1 << 20, MaxBidi: 100, MaxUni: 100, AbortRate: 200, SendMemory: streams.NewBudget(1 << 30), RecvMemory: streams.NewBudget(1 << 30),
		},
		DatagramSendQueue: 32, DatagramReceiveQueue: 128,
	}
	if p.opts.Config != nil {
		p.opts.Config(cfg)
	}
	return cfg
}

// Dial starts the client's connection.
func (p *Pair) Dial() (*Conn, error) { return p.Client.dial(p.ClientConfig, p.opts.Client) }

// ServerConn returns the server's connection, or nil if there is none.
func (p *Pair) ServerConn() *Conn {
	for _, c := range p.Server.Conns {
		return c
	}
	return nil
}

// RunTransfers dials and runs until all transfers of both sides have arrived, for at most limit of virtual
// time. It returns the client's connection.
func (p *Pair) RunTransfers(limit time.Duration) (*Conn, error) {
	c, err := p.Dial()
	if err != nil {
		return nil, err
	}
	var server *Conn
	err = p.Run(limit, func() bool {
		if c.Err() != nil {
			p.Fail("client: %w", c.Err())
			return true
		}
		if s := p.ServerConn(); s != nil {
			server = s
		}
		if server == nil || server.Connected.IsZero() || c.Connected.IsZero() {
			return false
		}
		return p.arrived(c, server)
	})
	if err != nil && server != nil && server.Err() != nil {
		err = fmt.Errorf("%w (server: %w)", err, server.Err())
	}
	return c, err
}

// arrived reports whether both applications have received everything that the other one sends.
func (p *Pair) arrived(c, s *Conn) bool {
	bidi := func(a *App) int {
		n := 0
		for _, t := range a.Send {
			if !t.Uni {
				n++
			}
		}
		return n
	}
	ca, sa := c.App, s.App
	return sa.Finished >= len(ca.Send)+bidi(sa) && ca.Finished >= len(sa.Send)+bidi(ca)
}

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cgo/fipsreport"
	"github.com/pqquic/pqquic/cmd/internal/certs"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A kind is a kind of connection. Its functions change the defaults of a pair of endpoints.
type kind struct {
	name string
	// edit changes the configurations.
	edit func(client, server *quic.Config)
	// use runs instead of one connection that echoes a message.
	use func(context.Context, *pair) error
	// check looks at the state of the client's last connection.
	check func(quic.ConnectionState) error
	// key is the algorithm of the certificates; "" means ECDSA with P-256.
	key certs.Algorithm
	// signer keeps the server's key outside of the module.
	signer bool
}

// kinds returns the kinds of connections that a provider supports.
func kinds(caps tlsprovider.Capabilities) []kind {
	out := []kind{
		{name: "full handshake"},
		{name: "client certificate", edit: requireClientCertificate},
		{name: "HelloRetryRequest", edit: func(_, server *quic.Config) {
			server.TLS.Groups = []tlsprovider.Group{tlsprovider.SecP384r1MLKEM1024}
		}, check: func(st quic.ConnectionState) error { return want(st.TLS.HelloRetried, "no HelloRetryRequest") }},
		{name: "resumption", edit: func(client, _ *quic.Config) {
			client.TLS.ClientStore = newStore()
		}, use: twice, check: func(st quic.ConnectionState) error { return want(st.TLS.Resumed, "not resumed") }},
		{name: "key update", use: updateKeys},
		{name: "Retry", edit: func(_, server *quic.Config) { server.AddressValidation = quic.ValidateAlways }},
		{name: "token of an earlier connection", edit: func(client, server *quic.Config) {
			server.AddressValidation = quic.ValidateAlways
			client.TokenStore = newStore()
			client.TLS.DisableTickets, server.TLS.DisableTickets = true, true
		}, use: func(ctx context.Context, p *pair) error {
			if err := twice(ctx, p); err != nil {
				return err
			}
			return want(p.server.Stats().ValidatedByToken == 1, "the token was not used")
		}},
		{name: "stateless reset", edit: func(_, server *quic.Config) { server.ResetSecret = make([]byte, 32) }, use: reset},
		{name: "exporter", use: export},
		{name: "QUIC version 2", edit: func(client, server *quic.Config) {
			client.Versions = []quic.Version{quic.Version2}
			server.Versions = client.Versions
		}},
		{name: "key in a Signer", signer: true},
	}
	for _, g := range caps.Groups {
		out = append(out, kind{name: "group " + g.Name, edit: func(client, server *quic.Config) {
			client.TLS.Groups = []tlsprovider.Group{g.ID}
			server.TLS.Groups = client.TLS.Groups
		}, check: func(st quic.ConnectionState) error { return want(st.TLS.Group == g.ID, "another group was negotiated") }})
	}
	return out
}

// keyed returns the kinds with certificates of each algorithm on both sides, and with the policies that need some of
// them and allow TLS_AES_256_GCM_SHA384 alone.
func keyed(mldsa bool) (out []kind) {
	for _, a := range certs.Algorithms() {
		pq := strings.HasPrefix(a, "ml-dsa")
		if a == "ed25519" || pq && !mldsa { // no FIPS variant's policy offers Ed25519
			continue
		}
		out = append(out, kind{name: "certificates with " + a, key: certs.Algorithm(a), edit: requireClientCertificate})
	}
	out = append(out, policy("cnsa_1", "ecdsa-p384"))
	if mldsa {
		out = append(out, policy("cnsa_2", "ml-dsa-87"))
	}
	return out
}

func policy(name string, key certs.Algorithm) kind {
	return kind{name: "policy " + name, key: key, edit: func(client, server *quic.Config) {
		client.TLS.Policy, server.TLS.Policy = name, name
		client.TLS.ClientStore = newStore()
	}, use: twice, check: func(st quic.ConnectionState) error {
		return want(st.TLS.CipherSuite == tlsprovider.AES256GCM, "another cipher suite was negotiated")
	}}
}

func want(ok bool, otherwise string) error {
	if ok {
		return nil
	}
	return errors.New(otherwise)
}

func requireClientCertificate(client, server *quic.Config) {
	server.TLS.ClientAuth = tlsprovider.RequireClientCert
	server.TLS.ClientCAs = client.TLS.RootCAs
	client.TLS.Certificates = server.TLS.Certificates
}

// A pair is an endpoint of a client and one of a server, which echoes streams.
type pair struct {
	client, server *quic.Endpoint
	clientCfg      *quic.Config
	serverCfg      *quic.Config
	last           quic.ConnectionState // of the client's last connection
}

const alpn = "fipsreport"

// run makes connections of a kind and records everything from their configurations to their end.
func run(ctx context.Context, prov tlsprovider.Provider, k kind) error {
	p := &pair{}
	cert, roots, err := identity(k)
	if err != nil {
		return err
	}
	p.serverCfg = &quic.Config{Provider: prov, CloseTimeout: time.Second, TLS: &tlsprovider.Config{
		NextProtos: []string{alpn}, Certificates: []tlsprovider.Certificate{cert},
	}}
	p.clientCfg = &quic.Config{Provider: prov, ServerName: "localhost", CloseTimeout: time.Second, TLS: &tlsprovider.Config{
		NextProtos: []string{alpn}, RootCAs: roots,
	}}
	if k.edit != nil {
		k.edit(p.clientCfg, p.serverCfg)
	}
	fipsreport.Reset() // identity may have signed certificates with the module
	if err := p.open(ctx); err != nil {
		return err
	}
	defer p.close()
	use := k.use
	if use == nil {
		use = once
	}
	if err := use(ctx, p); err != nil {
		return err
	}
	if k.check != nil {
		return k.check(p.last)
	}
	return nil
}

// identity makes a certificate with a chain of three, all of the kind's algorithm.
func identity(k kind) (tlsprovider.Certificate, *tlsprovider.Roots, error) {
	a := k.key
	if a == "" {
		a = "ecdsa-p256"
	}
	valid := certs.Validity{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}
	fail := func(err error) (tlsprovider.Certificate, *tlsprovider.Roots, error) {
		return tlsprovider.Certificate{}, nil, err
	}
	root, err := certs.NewRoot("root", a, valid)
	if err != nil {
		return fail(err)
	}
	ca, err := root.NewCA("intermediate", a, valid)
	if err != nil {
		return fail(err)
	}
	leaf, err := ca.NewLeaf("localhost", []string{"localhost"}, a, valid)
	if err != nil {
		return fail(err)
	}
	roots := new(tlsprovider.Roots)
	roots.AddDER(root.Chain[0])
	cert := tlsprovider.Certificate{Chain: leaf.Chain, Signer: leaf.Key}
	if !k.signer {
		cert.Signer = nil
		if cert.KeyDER, err = certs.MarshalKey(leaf.Key, ""); err != nil {
			return fail(err)
		}
	}
	return cert, roots, nil
}

// open opens the endpoints. The server echoes streams.
func (p *pair) open(ctx context.Context) (err error) {
	if p.server, err = endpoint("127.0.0.1:0", p.serverCfg); err != nil {
		return err
	}
	if p.client, err = endpoint("127.0.0.1:0", p.clientCfg); err != nil {
		return errors.Join(err, p.server.Close())
	}
	return serve(ctx, p.server)
}

func endpoint(addr string, cfg *quic.Config) (*quic.Endpoint, error) {
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, err
	}
	e, err := quic.NewEndpoint(pc, cfg)
	if err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	return e, nil
}

func serve(ctx context.Context, e *quic.Endpoint) error {
	l, err := e.Listen()
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept(ctx)
			if err != nil {
				return
			}
			conn.HandleStreams(func(s *quic.Stream) {
				defer s.Close()
				io.Copy(s, s)
			}, nil)
		}
	}()
	return nil
}

func (p *pair) close() {
	p.client.Close()
	p.server.Close()
}

// dial makes a connection, over which it sends a message and receives it again.
func (p *pair) dial(ctx context.Context) (*quic.Conn, error) {
	conn, err := p.client.Dial(ctx, p.server.Addr().String(), nil)
	if err != nil {
		return nil, err
	}
	p.last = conn.ConnectionState()
	return conn, echo(ctx, conn)
}

func echo(ctx context.Context, conn *quic.Conn) error {
	s, err := conn.OpenStream(ctx)
	if err != nil {
		return err
	}
	message := make([]byte, 1000)
	rand.Read(message)
	if _, err = s.Write(message); err != nil {
		return err
	}
	if err = s.CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(s)
	if err != nil {
		return err
	}
	return want(bytes.Equal(got, message), "the echo differs")
}

func once(ctx context.Context, p *pair) error {
	conn, err := p.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// A store keeps tickets or tokens and reports when the first has arrived.
type store struct {
	*tlsprovider.ClientCache
	once  sync.Once
	first chan struct{}
}

func newStore() *store {
	return &store{ClientCache: tlsprovider.NewClientStore(1, 8), first: make(chan struct{})}
}

func (s *store) Put(key string, value []byte) {
	s.ClientCache.Put(key, value)
	s.once.Do(func() { close(s.first) })
}

// twice makes a second connection, with the ticket or the token of the first.
func twice(ctx context.Context, p *pair) error {
	first, err := p.dial(ctx)
	if err != nil {
		return err
	}
	kept := p.clientCfg.TLS.ClientStore
	if kept == nil {
		kept = p.clientCfg.TokenStore
	}
	select {
	case <-kept.(*store).first:
	case <-ctx.Done():
		return errors.New("the server gave neither ticket nor token")
	}
	if err := first.Close(); err != nil {
		return err
	}
	return once(ctx, p)
}

func updateKeys(ctx context.Context, p *pair) error {
	conn, err := p.dial(ctx)
	if err != nil {
		return err
	}
	if err := conn.UpdateKeys(); err != nil {
		return err
	}
	return errors.Join(echo(ctx, conn), conn.Close())
}

func export(ctx context.Context, p *pair) error {
	conn, err := p.dial(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.ExportKeyingMaterial("EXPORTER-fipsreport", []byte("context"), 32); err != nil {
		return err
	}
	return conn.Close()
}

// reset makes a connection and sends the server a packet of a connection that it does not know.
func reset(ctx context.Context, p *pair) error {
	if err := once(ctx, p); err != nil {
		return err
	}
	conn, err := net.Dial("udp", p.server.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	packet := make([]byte, 100)
	rand.Read(packet)
	packet[0] = 0x40 // a short header
	if _, err := conn.Write(packet); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Read(packet); err != nil {
		return fmt.Errorf("no stateless reset: %w", err)
	}
	return nil
}

package s2n

import (
	"crypto"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/cgo/s2n"
	"github.com/pqquic/pqquic/tlsprovider"
)

// An endpoint is a configuration that was checked. It implements tlsprovider.Endpoint. A configuration of
// s2n-tls must not change while a connection uses it, so a change of the endpoint makes a new one: see change.go.
type endpoint struct {
	side   tlsprovider.Side
	policy string
	p      *provider
	cfg    tlsprovider.Config // Certificates and TicketKeys are the first ones: see variable

	changing sync.Mutex // held by one change while it prepares; handshakes do not wait for it

	mu      sync.Mutex
	current *prepared // nil once closed
	tickets ticketCache
}

func (p *provider) NewClient(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	return p.newEndpoint(cfg, tlsprovider.Client)
}

func (p *provider) NewServer(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	return p.newEndpoint(cfg, tlsprovider.Server)
}

func (p *provider) newEndpoint(cfg *tlsprovider.Config, side tlsprovider.Side) (tlsprovider.Endpoint, error) {
	if cfg == nil {
		cfg = new(tlsprovider.Config)
	}
	if err := checkConfig(cfg, side); err != nil {
		return nil, err
	}
	policy, err := p.choosePolicy(cfg)
	if err != nil {
		return nil, err
	}
	e := &endpoint{side: side, policy: policy, p: p, cfg: *cfg}
	keys, err := e.firstTicketKeys()
	if err != nil {
		return nil, err
	}
	if e.current, err = e.prepare(variable{certs: cfg.Certificates, keys: keys}); err != nil {
		return nil, err
	}
	return e, nil
}

func checkConfig(cfg *tlsprovider.Config, side tlsprovider.Side) error {
	if err := checkTLSConfig(cfg, side); err != nil {
		return err
	}
	if err := cfg.CheckPQAuth(side); err != nil {
		return fmt.Errorf("s2n: %w", err)
	}
	if len(cfg.NextProtos) == 0 && (side == tlsprovider.Client || !cfg.DeferCertificates) {
		return errors.New("s2n: NextProtos is empty: QUIC requires an application protocol")
	}
	for _, proto := range cfg.NextProtos {
		switch {
		case len(proto) == 0 || len(proto) > 255:
			return fmt.Errorf("s2n: NextProtos: %q must have 1 to 255 bytes", proto)
		case len(proto) == 1:
			// s2n-tls ignores a ProtocolNameList of two bytes as malformed.
			return fmt.Errorf("s2n: NextProtos: %q: %w: s2n-tls cannot negotiate a protocol of one byte", proto, tlsprovider.ErrUnsupported)
		case strings.IndexByte(proto, 0) >= 0:
			return fmt.Errorf("s2n: NextProtos: %q: %w: s2n-tls ends a protocol at a zero byte", proto, tlsprovider.ErrUnsupported)
		}
	}
	if side == tlsprovider.Server && len(cfg.Certificates) == 0 && !cfg.DeferCertificates {
		return errNoCertificates
	}
	if cfg.EarlyData {
		return fmt.Errorf("s2n: EarlyData: %w: s2n-tls cannot send or receive early data (0-RTT) over QUIC: leave it false, or use the provider native",
			tlsprovider.ErrUnsupported)
	}
	if cfg.ClientAuth > tlsprovider.RequireClientCert {
		return fmt.Errorf("s2n: ClientAuth %d: %w", cfg.ClientAuth, tlsprovider.ErrUnsupported)
	}
	if side == tlsprovider.Server && cfg.ClientAuth != tlsprovider.NoClientCert && cfg.ClientCAs == nil {
		return errors.New("s2n: ClientAuth without ClientCAs: set ClientCAs to the authorities that issue client certificates")
	}
	if side == tlsprovider.Server && len(cfg.TicketKeys) > 0 && cfg.ClientAuth != tlsprovider.NoClientCert {
		return fmt.Errorf("s2n: TicketKeys of a server with ClientAuth: %w: s2n-tls's tickets do not say who the client is",
			tlsprovider.ErrUnsupported)
	}
	if err := checkTicketKeys(cfg.TicketKeys); err != nil {
		return err
	}
	return checkHistoric(cfg)
}

// checkHistoric returns an error if a configuration asks for what the s2n-tls of 2022 does not have.
func checkHistoric(cfg *tlsprovider.Config) error {
	switch {
	case awslc.Variant != historic:
		return nil
	case cfg.VerifyPeer != nil:
		return fmt.Errorf("s2n: VerifyPeer: %w: the s2n-tls of the variant historic has no callback for certificates", tlsprovider.ErrUnsupported)
	case cfg.TicketKeys != nil:
		return fmt.Errorf("s2n: TicketKeys: %w: the s2n-tls of the variant historic does not resume sessions in QUIC", tlsprovider.ErrUnsupported)
	}
	return nil
}

func checkTicketKeys(keys [][]byte) error {
	for i, k := range keys {
		if len(k) != 32 {
			return fmt.Errorf("s2n: ticket key %d has %d bytes; it must have 32", i, len(k))
		}
	}
	return nil
}

// sendsTickets reports whether a server sends tickets. A server that requests client certificates does not,
// because s2n-tls does not put them into tickets.
func (e *endpoint) sendsTickets() bool {
	return e.side == tlsprovider.Server && !e.cfg.DisableTickets && e.cfg.ClientAuth == tlsprovider.NoClientCert &&
		awslc.Variant != historic
}

func (e *endpoint) firstTicketKeys() (ticketKeys, error) {
	if !e.sendsTickets() {
		return ticketKeys{}, nil
	}
	if len(e.cfg.TicketKeys) > 0 {
		return ticketKeys{secrets: cloneKeys(e.cfg.TicketKeys)}, nil
	}
	now, err := e.cfg.CurrentTime()
	if err != nil {
		return ticketKeys{}, err
	}
	key, err := newTicketKey()
	return ticketKeys{[][]byte{key}, true, now}, err
}

func newTicketKey() ([]byte, error) {
	key := make([]byte, 32)
	_, err := awslc.Rand.Read(key)
	return key, err
}

// nanoseconds converts a time of Config.Time for s2n-tls: to nanoseconds since 1970, or to 0 for the system's time.
func (e *endpoint) nanoseconds(now time.Time) int64 {
	if e.cfg.Time != nil {
		return now.UnixNano()
	}
	return 0
}

// groupNames describes the groups of the configuration in errors.
func (e *endpoint) groupNames() string {
	switch {
	case e.cfg.Policy != "":
		return "those of policy " + e.cfg.Policy
	case e.cfg.Groups == nil:
		return "the default groups"
	}
	return tlsprovider.GroupList(e.cfg.Groups)
}

func (e *endpoint) flags() (f s2n.Flags) {
	if e.cfg.KeyLogWriter != nil {
		f |= s2n.KeyLog
	}
	if e.side == tlsprovider.Client {
		if e.cfg.InsecureSkipVerify {
			f |= s2n.SkipVerify
		}
		if !e.cfg.DisableTickets && awslc.Variant != historic {
			f |= s2n.Tickets
		}
		if e.cfg.VerifyPeer != nil {
			f |= s2n.PeerDetails
		}
		return f
	}
	f |= s2n.Server
	if e.sendsTickets() {
		f |= s2n.Tickets
	}
	if e.cfg.VerifyPeer != nil && e.cfg.ClientAuth != tlsprovider.NoClientCert {
		f |= s2n.PeerDetails
	}
	switch e.cfg.ClientAuth {
	case tlsprovider.NoClientCert:
		f |= s2n.SkipVerify // there is no certificate to verify, so no roots are needed
	case tlsprovider.VerifyClientCertIfGiven:
		f |= s2n.ClientCertAsked
	case tlsprovider.RequireClientCert:
		f |= s2n.ClientCertRequired
	}
	return f
}

// configure makes a configuration of s2n-tls for connections of a QUIC version.
func (e *endpoint) configure(v *variable, version uint32) (*s2n.Config, []crypto.Signer, error) {
	certs := v.certs
	if e.side == tlsprovider.Client && len(certs) > 1 {
		// With certificates of two key types every session fails. Of two certificates of the same type
		// s2n-tls ignores one.
		return nil, nil, fmt.Errorf("s2n: client with %d certificates: %w: s2n-tls can present only one: set only that one", len(certs),
			tlsprovider.ErrUnsupported)
	}
	flags := e.flags()
	c, err := s2n.NewConfig(e.policy, flags)
	if err != nil {
		return nil, nil, err
	}
	var signers []crypto.Signer
	if err = e.checkCertificates(certs); err == nil {
		signers, err = addCertificates(c, certs)
	}
	if err == nil {
		err = e.complete(c, flags, v, version)
	}
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, signers, nil
}

// complete adds roots, application protocols and ticket keys to a configuration of s2n-tls.
func (e *endpoint) complete(c *s2n.Config, flags s2n.Flags, v *variable, version uint32) (err error) {
	if flags&s2n.SkipVerify == 0 {
		switch {
		case e.side == tlsprovider.Server:
			err = addRoots(c, "ClientCAs", e.cfg.ClientCAs)
		case e.cfg.RootCAs != nil:
			err = addRoots(c, "RootCAs", e.cfg.RootCAs)
		default:
			err = addSystemRoots(c)
		}
		if err != nil {
			return err
		}
	}
	if e.side == tlsprovider.Client {
		for _, proto := range e.cfg.NextProtos {
			if err := c.AddALPN(proto); err != nil {
				return err
			}
		}
	}
	if len(v.keys.secrets) == 0 {
		return nil
	}
	bound := e.cfg
	bound.Certificates = v.certs
	binding := bound.ServerBinding()
	for _, k := range v.keys.secrets {
		if err := addTicketKey(c, k, binding, version); err != nil {
			return fmt.Errorf("s2n: ticket keys: %w", err)
		}
	}
	return nil
}

// addTicketKey adds the key that a ticket key, the configuration and the QUIC version make. The module derives it, with the
// function that also derives the tokens of stateless resets.
func addTicketKey(c *s2n.Config, secret []byte, binding [32]byte, version uint32) error {
	prf, err := awslc.NewResetKey(secret)
	if err != nil {
		return err
	}
	defer prf.Close()
	label := byte('t')
	if version == version2 {
		label = '2'
	}
	var key []byte
	for i := range byte(2) {
		part := prf.Token(append([]byte{label, i}, binding[:]...))
		key = append(key, part[:]...)
	}
	defer clear(key)
	return c.AddTicketKey(key)
}

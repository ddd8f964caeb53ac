package core

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A Conn is a QUIC connection. See the package documentation for the contract of its methods.
//
// The state is divided into parts. Each part is declared beside the code that changes it: conn_recv.go,
// conn_send.go, conn_loss.go, conn_id.go, conn_close.go and so on.
type Conn struct {
	cfg     *Config
	side    tlsprovider.Side
	version wire.Version
	path    Path
	now     monotime.Time // the latest time seen

	// spaces refers to app and, until they are discarded, to the spaces of the handshake.
	spaces  [recovery.NumSpaces]*space
	app     space
	loss    recovery.Loss
	onFate  recovery.FateFunc // c.packetFate as a value, made once
	keys    keyState
	ids     idState
	tls     tlsState
	streams streams.Set
	idle    idleState
	closing closeState
	early   *earlyState // nil unless packets wait
	zero    *zeroState  // nil unless early data can be sent or received
	token   *tokenState // nil unless a NEW_TOKEN frame was sent or received
	ext     *extensions // never nil
	mig     *migration  // nil until there is a second path
	events  eventQueue
	stats   Counts
	drops   *DropCounts // nil until something is dropped
	trace   *tracer     // nil unless the connection is traced

	*scratch // nil while the connection rests: see conn_rest.go
	// cryptoSent and cryptoRead are the offsets at which the CRYPTO data of app continues after a rest.
	cryptoSent, cryptoRead int64
	active                 monotime.Time // when a packet was last received or sent
	restAt                 monotime.Time // when the connection rests, unless it is active; zero while it does

	// Control information about the connection as a whole.
	handshakeDone  recovery.SentVal // the HANDSHAKE_DONE frame
	doneRepeatedAt monotime.Time    // when a late Handshake packet last caused HANDSHAKE_DONE to be sent again
	started        monotime.Time
	lastEliciting  monotime.Time // when we last sent an ack-eliciting packet
	elicitedSince  int           // ack-eliciting packets received since then
}

// space is one packet number space.
type space struct {
	seal      tlsprovider.Sealer
	open      tlsprovider.Opener
	acks      recovery.AckState
	discarded bool
	*cryptoStreams
}

// cryptoStreams are both directions of the CRYPTO data of a packet number space.
type cryptoStreams struct {
	crypto cryptoSend
	in     cryptoRecv
}

// free frees the buffers when nothing is sent or received any more.
func (c *cryptoStreams) free() {
	if c != &noCrypto {
		c.crypto.free()
		streams.FreeBuffer(c.in.buf)
		c.in.buf = nil
	}
}

// noCrypto stands for the CRYPTO data of discarded spaces and of connections that rest or have closed, and
// discardedSpace for the spaces that connections have discarded. They are never written.
var (
	noCrypto       cryptoStreams
	discardedSpace = space{discarded: true, cryptoStreams: &noCrypto}
)

// maxPathResponses bounds the PATH_RESPONSE frames that wait to be sent on the path in use. PATH_CHALLENGE frames beyond it
// are ignored, as if they had been lost.
const maxPathResponses = 8

// NewClientConn returns a client's connection to path.Remote. The handshake starts with the first PollTLS.
func NewClientConn(now monotime.Time, cfg *Config, path Path) (*Conn, error) {
	c := &Conn{cfg: cfg, side: tlsprovider.Client, version: cfg.firstVersion(), path: path}
	c.initCommon(now)
	if err := c.ids.initClient(c); err != nil {
		return nil, err
	}
	if cfg.GreaseFixedBit && cfg.TokenGreases && len(cfg.Token) > 0 {
		// "However, a client MUST NOT set the QUIC Bit to 0 unless the Initial packets it sends include a token provided by
		// the server in a NEW_TOKEN frame [...], received less than 604800 seconds (7 days) prior on a connection where the
		// server also included the grease_quic_bit transport parameter."
		// https://www.rfc-editor.org/rfc/rfc9287#section-3.1-3
		c.greaseFixedBit()
	}
	c.startTrace()
	if err := c.setInitialKeys(c.ids.originalDst); err != nil {
		return nil, err
	}
	c.tls.wanted = true
	return c, nil
}

// NewServerConn returns a connection for a client that an Endpoint admitted. It processes the datagrams
// that the Endpoint kept.
func NewServerConn(now monotime.Time, cfg *Config, in *Incoming) (*Conn, error) {
	c := &Conn{cfg: cfg, side: tlsprovider.Server, version: in.Version, path: in.Path}
	c.initCommon(now)
	c.tls.halfRTT = cfg.HalfRTT
	if err := c.ids.initServer(c, in); err != nil {
		return nil, err
	}
	if in.Retried { // the client's first flight and the Retry packet, which the Endpoint has handled
		c.stats.HandshakeFlights = 2
	}
	c.startTrace()
	if in.keys.Sealer != nil {
		sp := c.spaces[recovery.SpaceInitial]
		sp.seal, sp.open = in.keys.Sealer, in.keys.Opener
		in.keys = tlsprovider.Keys{}
		c.traceKeys(TraceKeyUpdated, recovery.SpaceInitial)
	} else if err := c.setInitialKeys(in.DstID); err != nil {
		return nil, err
	}
	c.loss.SetNextNumber(recovery.SpaceInitial, in.NextInitial)
	if in.Validated {
		c.loss.Path().ValidateAddress()
	}
	c.loss.Path().DatagramSent(in.Sent)
	for i := range in.Datagrams {
		c.handleKept(&in.Datagrams[i])
		streams.FreeBuffer(in.Datagrams[i].Data)
	}
	in.Datagrams = nil
	if c.trace != nil {
		c.traceChanges()
	}
	if in.hello != nil { // the Endpoint does not keep datagrams that only repeat CRYPTO data
		c.spaces[recovery.SpaceInitial].acks.Merge(c.now, &in.hello.acks)
	}
	return c, nil
}

func (c *Conn) initCommon(now monotime.Time) {
	c.now, c.started = now, now
	c.onFate = c.packetFate
	c.keys.firstSent = wire.NoPacket
	h := new(handshake)
	c.spaces = [recovery.NumSpaces]*space{&h.spaces[recovery.SpaceInitial], &h.spaces[recovery.SpaceHandshake], &c.app}
	c.scratch = &h.scratch
	c.scratch.init()
	for i := range h.crypto {
		h.spaces[i].cryptoStreams = &h.crypto[i]
	}
	c.app.cryptoStreams = &h.scratch.crypto
	c.active, c.restAt = now, now.Add(restAfter)
	c.loss.Init(now, recovery.Config{
		Server:          c.side == tlsprovider.Server,
		MaxDatagramSize: c.cfg.DatagramSize,
		NewController:   c.cfg.NewController,
		Rand:            c.cfg.Rand,
		ECN:             c.cfg.ECN,
		Handshake:       &h.loss,
	})
	for i := range c.spaces {
		c.spaces[i].acks.Init(recovery.Space(i))
	}
	c.spaces[recovery.SpaceInitial].in.limit = maxInitialCrypto
	c.spaces[recovery.SpaceHandshake].in.limit = maxHandshakeCrypto
	c.spaces[recovery.SpaceApp].in.limit = maxAppCrypto
	c.streams.Init(&c.cfg.Streams, c.side)
	c.ext = &noExtensions
	c.initSpin()
	c.idle.init(c)
}

// setInitialKeys derives the Initial keys from a client's destination connection ID.
func (c *Conn) setInitialKeys(dst wire.ConnID) error {
	k, err := c.cfg.Provider.InitialKeys(uint32(c.version), dst.Bytes(), c.side)
	if err != nil {
		return err
	}
	sp := c.spaces[recovery.SpaceInitial]
	tlsprovider.Keys{Sealer: sp.seal, Opener: sp.open}.Close()
	sp.seal, sp.open = k.Sealer, k.Opener
	c.traceKeys(TraceKeyUpdated, recovery.SpaceInitial)
	return nil
}

// extensions is the state of features that few connections use. Each field is nil until it is used.
type extensions struct {
	datagrams *datagramState // if the peer sends or accepts datagrams
	ackFreq   *ackFrequency  // if the peer's acknowledgements are controlled
	spin      *spinState     // if the spin bit is enabled
	versions  *versionState  // if the connection has changed its version
	fixedBit  *noise         // if the fixed bit is random
	rotation  *idRotation    // if our connection IDs have a lifetime
}

// noExtensions stands for the extensions of connections that use none. It is never written.
var noExtensions extensions

// extend returns the extensions of a connection, to be changed.
func (c *Conn) extend() *extensions {
	if c.ext == &noExtensions {
		c.ext = new(extensions)
	}
	return c.ext
}

// clamp advances the connection's clock to now, unless now is earlier, and returns the clock.
func (c *Conn) clamp(now monotime.Time) monotime.Time {
	if now.After(c.now) {
		c.now = now
	}
	return c.now
}

// discardSpace frees the keys of a packet number space and forgets what is outstanding in it.
//
// "After QUIC has completed a move to a new encryption level, packet protection keys for previous
// encryption levels can be discarded."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.9-1
func (c *Conn) discardSpace(s recovery.Space) {
	sp := c.spaces[s]
	if sp.discarded {
		return
	}
	tlsprovider.Keys{Sealer: sp.seal, Opener: sp.open}.Close()
	if s == recovery.SpaceInitial {
		c.ext.versions.close()
	}
	sp.cryptoStreams.free()
	c.spaces[s] = &discardedSpace
	c.loss.DiscardSpace(c.now, s)
	c.traceKeys(TraceKeyDiscarded, s)
}

// Path returns the addresses in use.
func (c *Conn) Path() Path { return c.path }

// OriginalDstID returns the destination connection ID of the client's first packet.
func (c *Conn) OriginalDstID() wire.ConnID { return c.ids.originalDst }

// Version returns the QUIC version in use.
func (c *Conn) Version() wire.Version { return c.version }

// Stats returns the connection's counters.
func (c *Conn) Stats() Stats {
	s := Stats{Counts: c.stats}
	if c.drops != nil {
		s.Drops = *c.drops
	}
	if c.mig != nil {
		s.PathChanges, s.FailedPaths = c.mig.changes, c.mig.failed
	}
	lost := c.loss.Counters()
	s.PacketsLost, s.SpuriousLosses, s.BytesLost = lost.Lost, lost.SpuriousLosses, lost.LostBytes
	s.ProbeTimeouts, s.CongestionEvents, s.PersistentCongestion = lost.ProbeTimeouts, lost.CongestionEvents, lost.PersistentCongestion
	s.PacketsMarked = c.loss.Marked()
	path := c.loss.Path()
	s.ECNCapable = path.ECNCapable()
	rtt := path.RTT()
	s.SmoothedRTT, s.LatestRTT, s.MinRTT, s.RTTVariance = rtt.Smoothed, rtt.Latest, rtt.Min, rtt.Variance
	s.CongestionWindow, s.BytesInFlight = path.CongestionWindow(), path.BytesInFlight()
	s.PacketsInFlight, s.PacingRate, s.CongestionState = c.loss.PacketsInFlight(), path.PacingRate(), path.CongestionState()
	s.DatagramSize = path.MaxDatagramSize()
	s.Streams = c.streams.Stats()
	if c.ext.datagrams != nil {
		s.Datagrams = c.ext.datagrams.stats
	}
	return s
}

// rtt returns the round-trip time for flow control. It is the shortest one: a window that grew with the
// smoothed one would grow with the queue that it fills. The window is four to eight times what is read within
// this time, so that a path whose delay varies is filled all the same. See docs/flow-control.md.
func (c *Conn) rtt() time.Duration {
	if r := c.loss.Path().RTT(); r.Sampled {
		return r.Min
	}
	return recovery.DefaultInitialRTT
}

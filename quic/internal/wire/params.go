package wire

import (
	"time"

	"github.com/pqquic/pqquic/internal/varint"
)

// The identifiers of transport parameters (RFC 9000, section 18.2, unless a comment says otherwise).
const (
	paramOriginalDstConnID   = 0x00
	paramMaxIdleTimeout      = 0x01
	paramStatelessResetToken = 0x02
	paramMaxUDPPayloadSize   = 0x03
	paramMaxData             = 0x04
	paramMaxStreamBidiLocal  = 0x05
	paramMaxStreamBidiRemote = 0x06
	paramMaxStreamUni        = 0x07
	paramMaxStreamsBidi      = 0x08
	paramMaxStreamsUni       = 0x09
	paramAckDelayExponent    = 0x0a
	paramMaxAckDelay         = 0x0b
	paramDisableMigration    = 0x0c
	paramPreferredAddress    = 0x0d
	paramActiveConnIDLimit   = 0x0e
	paramInitialSrcConnID    = 0x0f
	paramRetrySrcConnID      = 0x10
	paramResetStreamAt       = 0x1d   // draft-ietf-quic-reliable-stream-reset-08 and later
	paramVersionInformation  = 0x11   // RFC 9368, section 3
	paramMaxDatagramFrame    = 0x20   // RFC 9221, section 3
	paramGreaseQUICBit       = 0x2ab2 // RFC 9287, section 3

	paramMinAckDelay = 0xff04de1b // draft-ietf-quic-ack-frequency

	// paramResetStreamAt07 is reset_stream_at in draft-ietf-quic-reliable-stream-reset-07, with the same frame.
	paramResetStreamAt07 = 0x17f7586d2cb571
)

// The limits that the RFC sets for the values.
const (
	minMaxUDPPayloadSize = 1200
	maxMaxUDPPayloadSize = 65527 // the default, and the maximum of a UDP datagram
	maxAckDelayExponent  = 20
	maxMaxAckDelay       = (1<<14 - 1) * time.Millisecond
	minActiveConnIDLimit = 2
)

// TransportParameters are the transport parameters of one side (RFC 9000, section 18). Start from
// DefaultTransportParameters. The struct borrows nothing and is comparable.
type TransportParameters struct {
	OriginalDstConnID, InitialSrcConnID, RetrySrcConnID          ConnID
	HasOriginalDstConnID, HasInitialSrcConnID, HasRetrySrcConnID bool
	StatelessResetToken                                          [16]byte
	HasStatelessResetToken                                       bool

	MaxIdleTimeout          time.Duration // whole milliseconds; 0 means none
	MaxUDPPayloadSize       uint64
	MaxData                 uint64
	MaxStreamDataBidiLocal  uint64
	MaxStreamDataBidiRemote uint64
	MaxStreamDataUni        uint64
	MaxStreamsBidi          uint64
	MaxStreamsUni           uint64
	AckDelayExponent        uint64
	MaxAckDelay             time.Duration // whole milliseconds
	DisableActiveMigration  bool
	ActiveConnIDLimit       uint64

	PreferredAddress    PreferredAddress
	HasPreferredAddress bool

	// MaxDatagramFrameSize is the largest DATAGRAM frame that is accepted. 0 means none.
	MaxDatagramFrameSize uint64

	// ChosenVersion and AvailableVersions are the Version Information (RFC 9368), if HasVersionInfo is set. The latter
	// are encoded, which keeps the struct comparable: see EncodeVersions and HasVersion.
	ChosenVersion     Version
	AvailableVersions string
	HasVersionInfo    bool

	// MinAckDelay is the minimum delay of acknowledgements that may be requested (draft-ietf-quic-ack-frequency).
	MinAckDelay    time.Duration // whole microseconds
	HasMinAckDelay bool

	// ResetStreamAt reports whether RESET_STREAM_AT frames are accepted.
	ResetStreamAt bool

	// GreaseQUICBit reports whether packets are accepted whose fixed bit is 0.
	GreaseQUICBit bool
}

// DefaultTransportParameters returns the values that apply if no parameters are sent.
func DefaultTransportParameters() TransportParameters {
	return TransportParameters{
		MaxUDPPayloadSize: maxMaxUDPPayloadSize, AckDelayExponent: 3,
		MaxAckDelay: 25 * time.Millisecond, ActiveConnIDLimit: minActiveConnIDLimit,
	}
}

// Append appends the encoded parameters. It omits those that have the default value.
func (p *TransportParameters) Append(b []byte) []byte {
	d := DefaultTransportParameters()
	connID := func(has bool, key uint64, v ConnID) {
		if has {
			b = v.AppendTo(varint.Append(varint.Append(b, key), uint64(v.Len())))
		}
	}
	number := func(key, v, def uint64) {
		if v != def {
			b = varint.Append(varint.Append(varint.Append(b, key), uint64(varint.Size(v))), v)
		}
	}
	connID(p.HasOriginalDstConnID, paramOriginalDstConnID, p.OriginalDstConnID)
	number(paramMaxIdleTimeout, uint64(p.MaxIdleTimeout/time.Millisecond), 0)
	if p.HasStatelessResetToken {
		b = varint.Append(varint.Append(b, paramStatelessResetToken), 16)
		b = append(b, p.StatelessResetToken[:]...)
	}
	number(paramMaxUDPPayloadSize, p.MaxUDPPayloadSize, d.MaxUDPPayloadSize)
	number(paramMaxData, p.MaxData, 0)
	number(paramMaxStreamBidiLocal, p.MaxStreamDataBidiLocal, 0)
	number(paramMaxStreamBidiRemote, p.MaxStreamDataBidiRemote, 0)
	number(paramMaxStreamUni, p.MaxStreamDataUni, 0)
	number(paramMaxStreamsBidi, p.MaxStreamsBidi, 0)
	number(paramMaxStreamsUni, p.MaxStreamsUni, 0)
	number(paramAckDelayExponent, p.AckDelayExponent, d.AckDelayExponent)
	number(paramMaxAckDelay, uint64(p.MaxAckDelay/time.Millisecond), uint64(d.MaxAckDelay/time.Millisecond))
	if p.DisableActiveMigration {
		b = varint.Append(varint.Append(b, paramDisableMigration), 0)
	}
	if p.HasPreferredAddress {
		b = varint.Append(varint.Append(b, paramPreferredAddress), uint64(p.PreferredAddress.size()))
		b = p.PreferredAddress.append(b)
	}
	number(paramActiveConnIDLimit, p.ActiveConnIDLimit, d.ActiveConnIDLimit)
	connID(p.HasInitialSrcConnID, paramInitialSrcConnID, p.InitialSrcConnID)
	connID(p.HasRetrySrcConnID, paramRetrySrcConnID, p.RetrySrcConnID)
	number(paramMaxDatagramFrame, p.MaxDatagramFrameSize, 0)
	if p.HasVersionInfo {
		b = AppendVersionInformation(b, p.ChosenVersion, p.AvailableVersions)
	}
	if v := uint64(p.MinAckDelay / time.Microsecond); p.HasMinAckDelay {
		b = varint.Append(varint.Append(varint.Append(b, paramMinAckDelay), uint64(varint.Size(v))), v)
	}
	if p.ResetStreamAt {
		b = varint.Append(varint.Append(b, paramResetStreamAt), 0)
		b = varint.Append(varint.Append(b, paramResetStreamAt07), 0)
	}
	if p.GreaseQUICBit {
		b = varint.Append(varint.Append(b, paramGreaseQUICBit), 0)
	}
	return b
}

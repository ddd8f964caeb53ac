package wire

import "time"

// Identifiers of transport parameters (RFC 9000, 18.2).
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
)

// TransportParameters are one side's (RFC 9000, 18).
type TransportParameters struct {
	OriginalDstConnID, InitialSrcConnID, RetrySrcConnID          ConnID
	HasOriginalDstConnID, HasInitialSrcConnID, HasRetrySrcConnID bool
	StatelessResetToken                                          [16]byte
	HasStatelessResetToken                                       bool

	MaxIdleTimeout          time.Duration // whole milliseconds; 0: none
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
}

// DefaultTransportParameters are those of an empty extension.
func DefaultTransportParameters() TransportParameters {
	return TransportParameters{
		MaxUDPPayloadSize: 65527, AckDelayExponent: 3, MaxAckDelay: 25 * time.Millisecond, ActiveConnIDLimit: 2,
	}
}

// Append appends the encoded parameters, those with default values left out.
func (p *TransportParameters) Append(b []byte) []byte {
	d := DefaultTransportParameters()
	id := func(has bool, key uint64, v ConnID) {
		if has {
			b = v.AppendTo(AppendVarint(AppendVarint(b, key), uint64(v.Len())))
		}
	}
	num := func(key, v, def uint64) {
		if v != def {
			b = AppendVarint(AppendVarint(AppendVarint(b, key), uint64(SizeVarint(v))), v)
		}
	}
	id(p.HasOriginalDstConnID, paramOriginalDstConnID, p.OriginalDstConnID)
	num(paramMaxIdleTimeout, uint64(p.MaxIdleTimeout/time.Millisecond), 0)
	if p.HasStatelessResetToken {
		b = AppendVarint(AppendVarint(b, paramStatelessResetToken), 16)
		b = append(b, p.StatelessResetToken[:]...)
	}
	num(paramMaxUDPPayloadSize, p.MaxUDPPayloadSize, d.MaxUDPPayloadSize)
	num(paramMaxData, p.MaxData, 0)
	num(paramMaxStreamBidiLocal, p.MaxStreamDataBidiLocal, 0)
	num(paramMaxStreamBidiRemote, p.MaxStreamDataBidiRemote, 0)
	num(paramMaxStreamUni, p.MaxStreamDataUni, 0)
	num(paramMaxStreamsBidi, p.MaxStreamsBidi, 0)
	num(paramMaxStreamsUni, p.MaxStreamsUni, 0)
	num(paramAckDelayExponent, p.AckDelayExponent, d.AckDelayExponent)
	num(paramMaxAckDelay, uint64(p.MaxAckDelay/time.Millisecond), uint64(d.MaxAckDelay/time.Millisecond))
	if p.DisableActiveMigration {
		b = AppendVarint(AppendVarint(b, paramDisableMigration), 0)
	}
	num(paramActiveConnIDLimit, p.ActiveConnIDLimit, d.ActiveConnIDLimit)
	id(p.HasInitialSrcConnID, paramInitialSrcConnID, p.InitialSrcConnID)
	id(p.HasRetrySrcConnID, paramRetrySrcConnID, p.RetrySrcConnID)
	return b
}

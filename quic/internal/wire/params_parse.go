package wire

import (
	"slices"
	"time"

	"github.com/pqquic/pqquic/internal/varint"
)

// maxParams bounds the number of parameters, and so the work of finding duplicates.
const maxParams = 256

// ParseTransportParameters parses a peer's parameters. It returns TransportParameterError if a parameter is
// malformed, out of range, repeated or not allowed for this side, and NoError otherwise. Unknown parameters
// are ignored. The caller must check that required parameters are present.
//
// "An endpoint MUST treat receipt of a transport parameter with an invalid value as a connection error of type
// TRANSPORT_PARAMETER_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4-6
func ParseTransportParameters(b []byte, fromServer bool) (TransportParameters, ErrorCode) {
	p := DefaultTransportParameters()
	var seen [maxParams]uint64
	for i := 0; len(b) > 0; i++ {
		// Transport Parameter ID (i), Transport Parameter Length (i), Transport Parameter Value (..),
		key, n := varint.Consume(b)
		if n < 0 || i == maxParams {
			return p, TransportParameterError
		}
		val, m := varint.ConsumeBytes(b[n:])
		if m < 0 {
			return p, TransportParameterError
		}
		b = b[n+m:]
		// "An endpoint SHOULD treat receipt of duplicate transport parameters as a connection
		// error of type TRANSPORT_PARAMETER_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-7.4-7
		if slices.Contains(seen[:i], key) {
			return p, TransportParameterError
		}
		seen[i] = key
		if serverOnly(key) && !fromServer || key == paramVersionInformation && !p.setVersionInformation(val, fromServer) || !p.set(key, val) {
			return p, TransportParameterError
		}
	}
	// "A server that chooses a zero-length connection ID MUST NOT provide a preferred address."
	// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-4.32.4
	if p.HasPreferredAddress && p.HasInitialSrcConnID && p.InitialSrcConnID.Len() == 0 {
		return p, TransportParameterError
	}
	// "Endpoints that support this extension MUST treat receipt of a min_ack_delay that is greater than the max_ack_delay
	// as a connection error of type TRANSPORT_PARAMETER_ERROR." (draft-ietf-quic-ack-frequency, Negotiating Extension Use)
	if p.MinAckDelay > p.MaxAckDelay {
		return p, TransportParameterError
	}
	return p, NoError
}

// serverOnly reports whether only servers may send a parameter: "A client MUST NOT include any server-only
// transport parameter".
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-8
// "A server MUST treat receipt of any of these transport parameters as a connection error of type
// TRANSPORT_PARAMETER_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-8
func serverOnly(key uint64) bool {
	switch key {
	case paramOriginalDstConnID, paramPreferredAddress, paramRetrySrcConnID, paramStatelessResetToken:
		return true
	}
	return false
}

// set stores one parameter. It returns false if the value is not allowed.
func (p *TransportParameters) set(key uint64, val []byte) (ok bool) {
	switch key {
	case paramOriginalDstConnID:
		p.OriginalDstConnID, ok = MakeConnID(val)
		p.HasOriginalDstConnID = ok
		return ok
	case paramInitialSrcConnID:
		p.InitialSrcConnID, ok = MakeConnID(val)
		p.HasInitialSrcConnID = ok
		return ok
	case paramRetrySrcConnID:
		p.RetrySrcConnID, ok = MakeConnID(val)
		p.HasRetrySrcConnID = ok
		return ok
	case paramStatelessResetToken:
		p.HasStatelessResetToken = true
		return copy(p.StatelessResetToken[:], val) == 16 && len(val) == 16
	case paramDisableMigration:
		p.DisableActiveMigration = true
		return len(val) == 0
	case paramResetStreamAt, paramResetStreamAt07:
		// "An implementation that understands this transport parameter MUST treat the receipt of a non-empty value
		// as a connection error of type TRANSPORT_PARAMETER_ERROR." (draft-ietf-quic-reliable-stream-reset,
		// Transport Parameter)
		p.ResetStreamAt = true
		return len(val) == 0
	case paramGreaseQUICBit:
		// "The transport parameter is sent with an empty value; an endpoint that understands this transport parameter
		// MUST treat receipt of a non-empty value of the transport parameter as a connection error of type
		// TRANSPORT_PARAMETER_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9287#section-3-1
		p.GreaseQUICBit = true
		return len(val) == 0
	case paramPreferredAddress:
		p.PreferredAddress, ok = parsePreferredAddress(val)
		p.HasPreferredAddress = ok
		return ok
	}
	// "An endpoint MUST ignore transport parameters that it does not support."
	// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.2-1
	if key > paramActiveConnIDLimit && key != paramMaxDatagramFrame && key != paramMinAckDelay {
		return true
	}
	v, n := varint.Consume(val)
	return n == len(val) && n > 0 && p.setNumber(key, v)
}

// setNumber stores a numeric parameter. It returns false if the value is not allowed.
func (p *TransportParameters) setNumber(key, v uint64) bool {
	switch key {
	case paramMaxIdleTimeout:
		p.MaxIdleTimeout = milliseconds(v)
	case paramMaxUDPPayloadSize:
		// Values above the default are allowed and equivalent to it.
		p.MaxUDPPayloadSize = min(v, maxMaxUDPPayloadSize)
		return v >= minMaxUDPPayloadSize
	case paramMaxData:
		p.MaxData = v
	case paramMaxStreamBidiLocal:
		p.MaxStreamDataBidiLocal = v
	case paramMaxStreamBidiRemote:
		p.MaxStreamDataBidiRemote = v
	case paramMaxStreamUni:
		p.MaxStreamDataUni = v
	case paramMaxStreamsBidi:
		p.MaxStreamsBidi = v
		return v <= maxStreams
	case paramMaxStreamsUni:
		p.MaxStreamsUni = v
		return v <= maxStreams
	case paramAckDelayExponent:
		p.AckDelayExponent = v
		return v <= maxAckDelayExponent
	case paramMaxAckDelay:
		p.MaxAckDelay = milliseconds(v)
		return p.MaxAckDelay <= maxMaxAckDelay
	case paramActiveConnIDLimit:
		// "An endpoint that receives a value less than 2 MUST close the connection with an
		// error of type TRANSPORT_PARAMETER_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-6.2.1
		p.ActiveConnIDLimit = v
		return v >= minActiveConnIDLimit
	case paramMinAckDelay:
		p.HasMinAckDelay = true
		p.MinAckDelay = time.Duration(min(v, 1<<40)) * time.Microsecond
	case paramMaxDatagramFrame:
		p.MaxDatagramFrameSize = v
	}
	return true
}

// milliseconds converts v without overflow. Values that do not fit in a Duration become 34 years.
func milliseconds(v uint64) time.Duration { return time.Duration(min(v, 1<<40)) * time.Millisecond }

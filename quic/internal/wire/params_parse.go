package wire

import "time"

// maxParams bounds the parameters of one extension; the work of finding duplicates follows from it.
const maxParams = 256

// ParseTransportParameters parses a peer's parameters. It returns TransportParameterError for what
// is malformed, out of its range, twice there, or not for this side to send, and NoError otherwise.
// Parameters that it does not know are ignored.
func ParseTransportParameters(b []byte, fromServer bool) (TransportParameters, ErrorCode) {
	p := DefaultTransportParameters()
	var seen [maxParams]uint64
	for i := 0; len(b) > 0; i++ {
		key, n := ConsumeVarint(b)
		if n < 0 || i == maxParams {
			return p, TransportParameterError
		}
		val, m := ConsumeVarintBytes(b[n:])
		if m < 0 {
			return p, TransportParameterError
		}
		b = b[n+m:]
		// "An endpoint SHOULD treat receipt of duplicate transport parameters as a connection
		// error of type TRANSPORT_PARAMETER_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-7.4-3
		for _, k := range seen[:i] {
			if k == key {
				return p, TransportParameterError
			}
		}
		seen[i] = key
		if serverOnly(key) && !fromServer || !p.set(key, val) {
			return p, TransportParameterError
		}
	}
	return p, NoError
}

// serverOnly: "A client MUST NOT include any server-only transport parameter".
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-5
func serverOnly(key uint64) bool {
	switch key {
	case paramOriginalDstConnID, paramPreferredAddress, paramRetrySrcConnID, paramStatelessResetToken:
		return true
	}
	return false
}

// set stores one parameter; false if its value is not allowed.
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
	case paramPreferredAddress:
		return preferredAddressOK(val)
	}
	if key > paramActiveConnIDLimit {
		return true
	}
	v, n := ConsumeVarint(val)
	return n == len(val) && n > 0 && p.setNumber(key, v)
}

// setNumber stores a parameter that is a number.
func (p *TransportParameters) setNumber(key, v uint64) bool {
	switch key {
	case paramMaxIdleTimeout:
		p.MaxIdleTimeout = time.Duration(min(v, 1<<40)) * time.Millisecond
	case paramMaxUDPPayloadSize:
		p.MaxUDPPayloadSize = v
		return v >= 1200
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
		return v <= 20
	case paramMaxAckDelay:
		p.MaxAckDelay = time.Duration(min(v, 1<<14)) * time.Millisecond
		return v < 1<<14
	case paramActiveConnIDLimit:
		p.ActiveConnIDLimit = v
		return v >= 2
	}
	return true
}

// preferredAddressOK checks the form of a preferred_address, which we do not use.
//
// "A server that chooses a zero-length connection ID MUST NOT provide a preferred address. [...] a
// client MUST treat a violation [...] as a connection error of type TRANSPORT_PARAMETER_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-4.32.1
func preferredAddressOK(b []byte) bool {
	const fixed = 4 + 2 + 16 + 2
	if len(b) < fixed+1 {
		return false
	}
	n := int(b[fixed])
	return n > 0 && n <= MaxConnIDLen && len(b) == fixed+1+n+16
}

package wire

import (
	"encoding/binary"

	"github.com/pqquic/pqquic/internal/varint"
)

// EncodeVersions returns the encoding of versions in TransportParameters.AvailableVersions.
func EncodeVersions(versions ...Version) string {
	b := make([]byte, 0, 4*len(versions))
	for _, v := range versions {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return string(b)
}

// HasVersion reports whether a version is among the AvailableVersions.
func (p *TransportParameters) HasVersion(v Version) bool {
	for s := p.AvailableVersions; len(s) >= 4; s = s[4:] {
		if Version(binary.BigEndian.Uint32([]byte(s[:4]))) == v {
			return true
		}
	}
	return false
}

// AppendVersionInformation appends the transport parameter version_information to encoded parameters. A server decides
// about it when the client's parameters have arrived.
func AppendVersionInformation(b []byte, chosen Version, available string) []byte {
	b = varint.Append(varint.Append(b, paramVersionInformation), uint64(4+len(available)))
	return append(binary.BigEndian.AppendUint32(b, uint32(chosen)), available...)
}

// setVersionInformation stores version_information. It returns false if the value cannot be parsed.
//
// "If that leads to a parsing failure (for example, if it is too short or if its length is not divisible by four), then
// the endpoint MUST close the connection; if the connection was using QUIC version 1, that connection closure MUST use a
// transport error of type TRANSPORT_PARAMETER_ERROR. If an endpoint receives a Chosen Version equal to zero, or any
// Available Version equal to zero, it MUST treat it as a parsing failure. If a server receives Version Information where
// the Chosen Version is not included in Available Versions, it MUST treat it as a parsing failure."
// https://www.rfc-editor.org/rfc/rfc9368#section-4-3
func (p *TransportParameters) setVersionInformation(val []byte, fromServer bool) bool {
	if len(val) < 4 || len(val)%4 != 0 {
		return false
	}
	p.HasVersionInfo = true
	p.ChosenVersion = Version(binary.BigEndian.Uint32(val))
	p.AvailableVersions = string(val[4:])
	return p.ChosenVersion != 0 && !p.HasVersion(0) && (fromServer || p.HasVersion(p.ChosenVersion))
}

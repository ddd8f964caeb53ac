package frame

import (
	"slices"

	"github.com/pqquic/pqquic/internal/varint"
)

// The identifiers of settings (RFC 9114, 7.2.4.1; RFC 9204, 5; RFC 9220, 3; RFC 9297, 2.1.1).
const (
	SettingQPACKMaxTableCapacity = 0x1
	SettingMaxFieldSectionSize   = 0x6
	SettingQPACKBlockedStreams   = 0x7
	SettingEnableConnectProtocol = 0x8
	SettingDatagram              = 0x33
)

// A Setting is a parameter of a SETTINGS frame.
type Setting struct{ ID, Value uint64 }

// maxSettings is the number of settings that a peer may send. Browsers send fewer than ten.
const maxSettings = 64

// MaxSettingsFrame is the length of the longest SETTINGS frame that is accepted.
const MaxSettingsFrame = maxSettings * 16

// A List is the contents of a SETTINGS frame.
type List struct {
	QPACKMaxTableCapacity, QPACKBlockedStreams uint64
	// MaxFieldSectionSize is NoLimit if the setting is absent.
	MaxFieldSectionSize              uint64
	EnableConnectProtocol, Datagrams bool
	// Other has the settings of extensions, but not reserved ones, in the order in which they were sent.
	Other []Setting
}

// NoLimit is the initial value of List.MaxFieldSectionSize.
const NoLimit = 1<<64 - 1

// Initial returns the settings of a peer that has sent none yet.
func Initial() *List { return &List{MaxFieldSectionSize: NoLimit} }

// ParseSettings parses the payload of a SETTINGS frame.
func ParseSettings(payload []byte) (*List, error) {
	l := Initial()
	var seen [maxSettings]uint64
	for count := 0; len(payload) > 0; count++ {
		id, n := varint.Consume(payload)
		if n < 0 {
			return nil, errorf(FrameError, "SETTINGS ends within an identifier")
		}
		value, m := varint.Consume(payload[n:])
		if m < 0 {
			return nil, errorf(FrameError, "SETTINGS ends within setting %#x", id)
		}
		payload = payload[n+m:]
		if count == maxSettings {
			return nil, errorf(ExcessiveLoad, "SETTINGS has more than %d settings", maxSettings)
		}
		// "The same setting identifier MUST NOT occur more than once in the SETTINGS frame. A receiver MAY treat the presence
		// of duplicate setting identifiers as a connection error of type H3_SETTINGS_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4-6
		if slices.Contains(seen[:count], id) {
			return nil, errorf(SettingsError, "setting %#x occurs twice", id)
		}
		seen[count] = id
		if err := l.set(id, value); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// set sets one value.
func (l *List) set(id, value uint64) error {
	isOn := value == 1
	switch id {
	case SettingQPACKMaxTableCapacity:
		l.QPACKMaxTableCapacity = value
	case SettingQPACKBlockedStreams:
		l.QPACKBlockedStreams = value
	case SettingMaxFieldSectionSize:
		l.MaxFieldSectionSize = value
	case SettingEnableConnectProtocol, SettingDatagram:
		// "If the SETTINGS_H3_DATAGRAM setting is received with a value that is neither 0 nor 1, the receiver MUST terminate
		// the connection with error H3_SETTINGS_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9297#section-2.1.1-2
		if value > 1 {
			return errorf(SettingsError, "setting %#x is %d: it must be 0 or 1", id, value)
		}
		if id == SettingDatagram {
			l.Datagrams = isOn
		} else {
			l.EnableConnectProtocol = isOn
		}
	case 0x0, 0x2, 0x3, 0x4, 0x5:
		// "These reserved settings MUST NOT be sent, and their receipt MUST be treated as a connection error of type
		// H3_SETTINGS_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.1-5
		return errorf(SettingsError, "setting %#x is one of HTTP/2", id)
	default:
		// "An implementation MUST ignore any parameter with an identifier it does not understand."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4-9
		if !IsReserved(id) {
			l.Other = append(l.Other, Setting{id, value})
		}
	}
	return nil
}

// Append appends a SETTINGS frame with the settings that differ from their initial values, and a reserved one, which depends
// on seed.
//
// "The server MUST include all settings that differ from their default values."
// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-8
func (l *List) Append(b []byte, seed uint64) []byte {
	payload := make([]byte, 0, 128)
	add := func(id, value uint64) { payload = varint.Append(varint.Append(payload, id), value) }
	if l.QPACKMaxTableCapacity > 0 {
		add(SettingQPACKMaxTableCapacity, l.QPACKMaxTableCapacity)
	}
	if l.MaxFieldSectionSize <= varint.Max {
		add(SettingMaxFieldSectionSize, l.MaxFieldSectionSize)
	}
	if l.QPACKBlockedStreams > 0 {
		add(SettingQPACKBlockedStreams, l.QPACKBlockedStreams)
	}
	if l.EnableConnectProtocol {
		add(SettingEnableConnectProtocol, 1)
	}
	if l.Datagrams {
		add(SettingDatagram, 1)
	}
	for _, s := range l.Other {
		add(s.ID, s.Value)
	}
	// "Endpoints SHOULD include at least one such setting in their SETTINGS frame."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.1-3
	add(0x1f*(seed%(1<<24))+0x21, seed>>24%(1<<30))
	return append(AppendHeader(b, Settings, uint64(len(payload))), payload...)
}

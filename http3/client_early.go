package http3

import (
	"context"
	"errors"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/tlsprovider"
)

// awaitReady waits until the request may be sent: until the handshake is complete, unless it may be early data, and for an Extended
// CONNECT until the server's settings permit it.
func (cc *ClientConn) awaitReady(ctx context.Context, x *clientExchange) error {
	if !x.isEarlyAllowed {
		if err := cc.awaitHandshake(ctx); err != nil {
			return err
		}
	}
	if len(x.req.Header[protocolKey]) == 0 {
		return nil
	}
	return cc.awaitExtendedConnect(ctx)
}

// awaitHandshake waits until the handshake is complete.
func (cc *ClientConn) awaitHandshake(ctx context.Context) error {
	if cc.isConfirmed.Load() {
		return nil
	}
	select {
	case <-cc.qc.HandshakeComplete():
		cc.isConfirmed.Store(true)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-cc.qc.Context().Done():
		return cc.closeError(context.Cause(cc.qc.Context()))
	}
}

// awaitExtendedConnect waits for the server's settings and checks that they permit Extended CONNECT.
//
// "Upon receipt of SETTINGS_ENABLE_CONNECT_PROTOCOL with a value of 1, a client MAY use the Extended CONNECT as defined in this
// document when creating new streams."
// https://www.rfc-editor.org/rfc/rfc8441#section-3
func (cc *ClientConn) awaitExtendedConnect(ctx context.Context) error {
	s, err := cc.awaitSettings(ctx)
	if err != nil {
		return err
	}
	// "An HTTP implementation MUST NOT send frames or requests that would be invalid based on its current understanding of the
	// peer's settings."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-1
	if !s.EnableConnectProtocol {
		return ErrNoExtendedConnect
	}
	return nil
}

// ErrNoExtendedConnect is the error of an Extended CONNECT request (RFC 9220) to a server that does not accept any.
var ErrNoExtendedConnect = errors.New("http3: the server does not accept Extended CONNECT (RFC 9220)")

// maxRemembered is the number of servers of which a Transport remembers the settings.
const maxRemembered = 256

// remember keeps the settings of a server for early data of later connections.
//
// "Clients SHOULD store the settings the server provided in the HTTP/3 connection where resumption information was provided"
// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-6
func (t *Transport) remember(addr string, l *frame.List) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.settings == nil {
		t.settings = make(map[string]*frame.List)
	}
	if _, has := t.settings[addr]; !has && len(t.settings) >= maxRemembered {
		for other := range t.settings { // any of them
			delete(t.settings, other)
			break
		}
	}
	t.settings[addr] = l
}

// restoreSettings puts the remembered settings of the server in force before early data are sent. The server may have accepted them
// already, if this goroutine had to wait for its turn. QPACK's dynamic table is not used for them, so the settings about it are not
// needed: instructions would be void if the server rejected early data.
//
// "A client MUST comply with stored settings -- or default values if no values are stored -- when attempting 0-RTT."
// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-6
func (cc *ClientConn) restoreSettings() {
	switch cc.qc.ConnectionState().TLS.EarlyData {
	case tlsprovider.EarlyDataOffered, tlsprovider.EarlyDataAccepted:
	default:
		return
	}
	cc.t.mu.Lock()
	cc.restored = cc.t.settings[cc.addr]
	cc.t.mu.Unlock()
	if cc.restored != nil {
		cc.peer.Store(cc.restored)
		cc.logRestored(cc.restored)
	}
}

// handleSettings implements connOwner.
func (cc *ClientConn) handleSettings(l *frame.List) error {
	if old := cc.restored; old != nil && cc.qc.ConnectionState().TLS.EarlyData == tlsprovider.EarlyDataAccepted {
		if err := checkRestored(old, l); err != nil {
			return err
		}
	}
	cc.t.remember(cc.addr, l)
	return nil
}

// checkRestored checks that the server's settings are no stricter than those that were in force for early data.
//
// "If a server accepts 0-RTT but then sends settings that are not compatible with the previously specified settings, this MUST be
// treated as a connection error of type H3_SETTINGS_ERROR. If a server accepts 0-RTT but then sends a SETTINGS frame that omits a
// setting value that the client understands (apart from reserved setting identifiers) that was previously specified to have a
// non-default value, this MUST be treated as a connection error of type H3_SETTINGS_ERROR."
// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-8
func checkRestored(old, l *frame.List) error {
	for _, s := range []struct {
		name     string
		old, now uint64
		isStrict bool
	}{
		{"SETTINGS_MAX_FIELD_SECTION_SIZE", old.MaxFieldSectionSize, l.MaxFieldSectionSize, l.MaxFieldSectionSize < old.MaxFieldSectionSize ||
			l.MaxFieldSectionSize == frame.NoLimit && old.MaxFieldSectionSize != frame.NoLimit},
		{"SETTINGS_QPACK_MAX_TABLE_CAPACITY", old.QPACKMaxTableCapacity, l.QPACKMaxTableCapacity,
			old.QPACKMaxTableCapacity != 0 && l.QPACKMaxTableCapacity != old.QPACKMaxTableCapacity},
		{"SETTINGS_QPACK_BLOCKED_STREAMS", old.QPACKBlockedStreams, l.QPACKBlockedStreams, l.QPACKBlockedStreams < old.QPACKBlockedStreams},
		{"SETTINGS_ENABLE_CONNECT_PROTOCOL", 1, 0, old.EnableConnectProtocol && !l.EnableConnectProtocol},
		// "If a client stores the value of the SETTINGS_H3_DATAGRAM setting with their 0-RTT state, they MUST validate that the new
		// value of the SETTINGS_H3_DATAGRAM setting sent by the server in the handshake is greater than or equal to the stored value;
		// if not, the client MUST terminate the connection with error H3_SETTINGS_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9297#section-2.1.1-4
		{"SETTINGS_H3_DATAGRAM", 1, 0, old.Datagrams && !l.Datagrams},
	} {
		if s.isStrict {
			return connErrorf(ErrCodeSettingsError, "%s is %d, but early data were accepted with %d", s.name, s.now, s.old)
		}
	}
	return nil
}

package http3

import (
	"context"
	"errors"

	"github.com/pqquic/pqquic/http3/internal/frame"
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
func (cc *ClientConn) awaitExtendedConnect(ctx context.Context) error {
	s, err := cc.awaitSettings(ctx)
	if err != nil {
		return err
	}
	if !s.EnableConnectProtocol {
		return errNoExtendedConnect
	}
	return nil
}

var errNoExtendedConnect = errors.New("http3: the server does not accept Extended CONNECT (RFC 9220)")

// restoreSettings is called before HTTP/3 begins.
func (cc *ClientConn) restoreSettings() {}

// handleSettings implements connOwner.
func (cc *ClientConn) handleSettings(*frame.List) error { return nil }

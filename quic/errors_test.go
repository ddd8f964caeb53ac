//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Every end of a connection has a type or value that tells it from the others, says which side ended it, and is
// net.ErrClosed, alone and in the error of a Dial.
func TestEndsOfConnections(t *testing.T) {
	alert := 0x100 + uint64(tlsprovider.AlertNoApplicationProtocol)
	cause := errors.New("no common protocol")
	ends := []struct {
		name    string
		end     *core.CloseError
		want    error // of errors.Is, or nil
		timeout bool
		check   func(t *testing.T, err error)
	}{
		{"application, local", &core.CloseError{Application: true, Code: 7, Reason: "x"}, nil, false,
			func(t *testing.T, err error) { requireApplicationError(t, err, 7, "x", false) }},
		{"application, remote", &core.CloseError{Application: true, Code: 7, Reason: "x", Remote: true}, nil, false,
			func(t *testing.T, err error) { requireApplicationError(t, err, 7, "x", true) }},
		{"transport, local", &core.CloseError{Code: uint64(wire.ProtocolViolation)}, nil, false,
			func(t *testing.T, err error) { requireTransportError(t, err, ProtocolViolation, false) }},
		{"refused", &core.CloseError{Code: uint64(wire.ConnectionRefused), Remote: true}, nil, false,
			func(t *testing.T, err error) { requireTransportError(t, err, ConnectionRefused, true) }},
		{"TLS, local", &core.CloseError{Code: alert, Cause: cause}, cause, false,
			func(t *testing.T, err error) { requireTransportError(t, err, TransportErrorCode(alert), false) }},
		{"TLS, remote", &core.CloseError{Code: alert, Remote: true}, nil, false, func(t *testing.T, err error) {
			requireTransportError(t, err, TransportErrorCode(alert), true)
			var te *TransportError
			require.ErrorAs(t, err, &te)
			got, ok := te.Code.Alert()
			require.True(t, ok)
			require.Equal(t, uint8(tlsprovider.AlertNoApplicationProtocol), got)
		}},
		{"idle timeout", &core.CloseError{Silent: core.ErrIdleTimeout}, ErrIdleTimeout, true, nil},
		{"handshake timeout", &core.CloseError{Silent: core.ErrHandshakeTimeout}, ErrHandshakeTimeout, true, nil},
		{"stateless reset", &core.CloseError{Silent: core.ErrStatelessReset}, ErrStatelessReset, false, nil},
		{"no path", &core.CloseError{Silent: core.ErrNoPath}, ErrNoPath, false, nil},
		{"version negotiation", &core.CloseError{Silent: core.ErrVersionNegotiation, Versions: []wire.Version{5}}, nil, false,
			func(t *testing.T, err error) {
				var ve *VersionNegotiationError
				require.ErrorAs(t, err, &ve)
				require.Equal(t, []Version{5}, ve.Theirs)
			}},
	}
	values := []error{ErrIdleTimeout, ErrHandshakeTimeout, ErrStatelessReset, ErrNoPath, cause}
	for _, tc := range ends {
		t.Run(tc.name, func(t *testing.T) {
			alone := closeError(tc.end)
			dial := &dialError{remote: netip.MustParseAddrPort(serverAddr), err: alone}
			for _, err := range []error{alone, dial} {
				require.ErrorIs(t, err, net.ErrClosed)
				require.Equal(t, tc.timeout, isTimeout(err))
				require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "no deadline of the application has passed")
				for _, v := range values {
					require.Equal(t, v == tc.want, errors.Is(err, v), "%v", v)
				}
				if tc.check != nil {
					tc.check(t, err)
				}
			}
		})
	}
}

// The error of a Dial that its context has ended is the context's, also as a net.Error.
func TestDialContextErrors(t *testing.T) {
	for _, tc := range []struct {
		cause   error
		timeout bool
	}{{context.DeadlineExceeded, true}, {context.Canceled, false}} {
		err := error(&dialError{remote: netip.MustParseAddrPort(serverAddr), err: tc.cause})
		require.ErrorIs(t, err, tc.cause)
		require.NotErrorIs(t, err, net.ErrClosed)
		require.Equal(t, tc.timeout, isTimeout(err))
	}
}

package eventlog

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// The events of a connection as a whole.

func (l *Log) started(e *core.TraceEvent) {
	l.event("transport:connection_started", "quic:connection_started")
	l.begin("local", '{')
	l.addr(e.Path.Local)
	l.connIDs(e.SrcID)
	l.end('}')
	l.begin("remote", '{')
	l.addr(e.Path.Remote)
	l.connIDs(e.DstID)
	l.end('}')
	l.finish()
}

func (l *Log) connIDs(id wire.ConnID) {
	l.begin("connection_ids", '[')
	l.b = append(l.b, `"`+id.String()+`"`...)
	l.end(']')
}

func version(v wire.Version) string { return fmt.Sprintf("%08x", uint32(v)) }

// versions writes the version in use, or both lists of versions if the client supports none of the server's.
func (l *Log) versions(e *core.TraceEvent) {
	l.event("transport:version_information", "quic:version_information")
	if e.Versions == nil {
		l.str("chosen_version", version(e.Version))
		l.finish()
		return
	}
	l.versionList("server_versions", e.Versions)
	l.versionList("client_versions", []wire.Version{e.Version})
	l.finish()
}

func (l *Log) versionList(key string, vs []wire.Version) {
	l.begin(key, '[')
	for _, v := range vs {
		l.comma()
		l.b = append(l.b, `"`+version(v)+`"`...)
	}
	l.end(']')
}

// complete writes the results of the TLS handshake.
func (l *Log) complete(e *core.TraceEvent) {
	l.event("transport:alpn_information", "quic:alpn_information")
	l.begin("chosen_alpn", '{')
	l.hex("byte_value", []byte(e.TLS.ALPN))
	l.text("string_value", e.TLS.ALPN)
	l.end('}')
	l.finish()

	l.event("transport:parameters_set", "quic:parameters_set")
	l.str("tls_cipher", strings.TrimPrefix(e.TLS.CipherSuite.String(), "TLS_"))
	l.finish()

	// The schema has no field for the key exchange.
	l.event("loglevel:info", "loglevel:info")
	l.text("message", fmt.Sprintf("key exchange %s (0x%04x), post-quantum: %t, client share: %d bytes, server share: %d bytes, "+
		"HelloRetryRequest: %t, resumed: %t, provider: %s", e.TLS.Group, uint16(e.TLS.Group), e.TLS.Group.PostQuantum(),
		e.TLS.ClientShareLen, e.TLS.ServerShareLen, e.TLS.HelloRetried, e.TLS.Resumed, e.TLS.Provider))
	l.finish()

	l.connectionState("handshake_complete")
}

func (l *Log) connectionState(state string) {
	l.event("quic:connection_state_updated", "quic:connection_state_updated")
	l.str("new", state)
	l.finish()
}

func (l *Log) path(e *core.TraceEvent) {
	l.paths++
	l.event("transport:tuple_assigned", "quic:tuple_assigned")
	l.str("tuple_id", strconv.Itoa(l.paths))
	l.begin("tuple_remote", '{')
	l.addr(e.Path.Remote)
	l.end('}')
	l.begin("tuple_local", '{')
	l.addr(e.Path.Local)
	l.end('}')
	l.finish()
}

func initiator(local bool) string {
	if local {
		return "local"
	}
	return "remote"
}

// closed writes why the connection ends.
func (l *Log) closed(e *core.TraceEvent) {
	err := e.Close
	l.event("transport:connection_closed", "quic:connection_closed")
	switch {
	case errors.Is(err.Silent, core.ErrIdleTimeout):
		l.str("trigger", "idle_timeout")
	case errors.Is(err.Silent, core.ErrStatelessReset):
		l.str("initiator", "remote")
		l.str("trigger", "stateless_reset")
	case errors.Is(err.Silent, core.ErrVersionNegotiation):
		l.str("trigger", "version_mismatch")
	case err.Silent != nil:
		l.str("trigger", "error")
		l.text("reason", err.Silent.Error())
	default:
		l.str("initiator", initiator(!err.Remote))
		l.closeCode(err.Application, err.Code, "connection_error", "application_error")
		l.text("reason", err.Reason)
		if err.Application {
			l.str("trigger", "application")
		} else if wire.ErrorCode(err.Code) != wire.NoError {
			l.str("trigger", "error")
		}
	}
	l.finish()
}

// closeCode writes the code of a CONNECTION_CLOSE frame as the name of an error, and as a number if the error
// has no name.
func (l *Log) closeCode(application bool, code uint64, transportKey, applicationKey string) {
	key, name := transportKey, "unknown"
	switch {
	case application:
		key = applicationKey
	case code <= uint64(wire.NoViablePath):
		name = strings.ToLower(wire.ErrorCode(code).String())
	case code&^0xff == uint64(wire.CryptoError):
		name = fmt.Sprintf("crypto_error_0x%x", code)
	}
	l.str(key, name)
	if name == "unknown" {
		l.uint("error_code", code)
	}
}

// params writes the transport parameters of one side. The stateless reset token is omitted, because it is a
// secret until the peer uses it.
func (l *Log) params(e *core.TraceEvent) {
	fromServer := e.Local == l.server
	p, code := wire.ParseTransportParameters(e.Params, fromServer)
	if code != 0 {
		return // the connection ends because of them
	}
	if !e.Local {
		l.peerExponent = p.AckDelayExponent
	}
	l.event("transport:parameters_set", "quic:parameters_set")
	l.str("initiator", initiator(e.Local))
	if p.HasOriginalDstConnID {
		l.str("original_destination_connection_id", p.OriginalDstConnID.String())
	}
	if p.HasInitialSrcConnID {
		l.str("initial_source_connection_id", p.InitialSrcConnID.String())
	}
	if p.HasRetrySrcConnID {
		l.str("retry_source_connection_id", p.RetrySrcConnID.String())
	}
	l.bool("disable_active_migration", p.DisableActiveMigration)
	l.uint("max_idle_timeout", uint64(p.MaxIdleTimeout/time.Millisecond))
	l.uint("max_udp_payload_size", p.MaxUDPPayloadSize)
	l.uint("ack_delay_exponent", p.AckDelayExponent)
	l.uint("max_ack_delay", uint64(p.MaxAckDelay/time.Millisecond))
	l.uint("active_connection_id_limit", p.ActiveConnIDLimit)
	l.uint("initial_max_data", p.MaxData)
	l.uint("initial_max_stream_data_bidi_local", p.MaxStreamDataBidiLocal)
	l.uint("initial_max_stream_data_bidi_remote", p.MaxStreamDataBidiRemote)
	l.uint("initial_max_stream_data_uni", p.MaxStreamDataUni)
	l.uint("initial_max_streams_bidi", p.MaxStreamsBidi)
	l.uint("initial_max_streams_uni", p.MaxStreamsUni)
	if p.MaxDatagramFrameSize > 0 {
		l.uint("max_datagram_frame_size", p.MaxDatagramFrameSize)
	}
	if p.GreaseQUICBit {
		l.bool("grease_quic_bit", true)
	}
	if p.ResetStreamAt {
		l.bool("reset_stream_at", true)
	}
	if p.HasPreferredAddress {
		l.begin("preferred_address", '{')
		l.addr(p.PreferredAddress.IPv4)
		l.addr(p.PreferredAddress.IPv6)
		l.str("connection_id", p.PreferredAddress.ConnID.String())
		l.end('}')
	}
	l.finish()
}

// key writes that a key is installed or discarded. The key itself is never written.
func (l *Log) key(compatible, draft string, e *core.TraceEvent) {
	l.event(compatible, draft)
	level := [recovery.NumSpaces]string{"initial", "handshake", "1rtt"}[e.Space]
	l.str("key_type", side(e.Local == l.server)+"_"+level+"_secret")
	if e.Space == recovery.SpaceApp {
		l.uint("key_phase", e.Phase)
	}
	if e.Trigger != "" {
		l.str("trigger", e.Trigger)
	}
	l.finish()
}

// unprotected writes that a Retry or Version Negotiation packet was received.
func (l *Log) unprotected(e *core.TraceEvent) {
	l.event("transport:packet_received", "quic:packet_received")
	inv, _ := wire.ParseInvariant(e.Header, 0) // the caller has parsed it
	l.begin("header", '{')
	name := wire.PacketRetry
	if inv.Version == 0 {
		name = wire.PacketVersionNegotiation
	}
	l.str("packet_type", packetNames[name])
	l.longHeader(&inv)
	if r, n := wire.ParseGreasedRetry(e.Header); n > 0 {
		l.token("retry", len(r.Token))
	}
	l.end('}')
	if vn, n := wire.ParseVersionNegotiation(e.Header); n > 0 {
		l.versionList("supported_versions", vn.Versions())
	}
	l.raw(len(e.Header))
	l.finish()
}

// longHeader writes the fields that all long headers have.
func (l *Log) longHeader(inv *wire.Invariant) {
	l.str("version", version(inv.Version))
	l.uint("scil", uint64(len(inv.SrcID)))
	l.uint("dcil", uint64(len(inv.DstID)))
	l.str("scid", hex.EncodeToString(inv.SrcID))
	l.str("dcid", hex.EncodeToString(inv.DstID))
}

// token writes the length of a token, but not the token, which is a credential.
func (l *Log) token(kind string, length int) {
	l.begin("token", '{')
	if kind != "" {
		l.str("type", kind)
	}
	l.raw(length)
	l.end('}')
}

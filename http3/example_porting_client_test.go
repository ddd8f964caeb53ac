package http3_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"

	"github.com/pqquic/pqquic/http3"
	"github.com/pqquic/pqquic/quic"
)

// The client's rows of the right column of docs/http3.md.

// http3.Transport{TLSClientConfig, QUICConfig, Dial, …}
func portTransport() *http3.Transport {
	return &http3.Transport{
		TLSClientConfig: &tls.Config{}, QUIC: &quic.Config{},
		Dial: func(ctx context.Context, addr string, cfg *quic.Config) (*quic.Conn, error) {
			return quic.Dial(ctx, "udp", addr, cfg)
		},
		DisableCompression: true, MaxResponseHeaderBytes: 1 << 20,
		EnableDatagrams: true, AdditionalSettings: map[uint64]uint64{0x2b60_3742: 1},
	}
}

// Transport.RoundTripOpt, http3.MethodGet0RTT and closing
func portRoundTrip(tr *http3.Transport, req *http.Request) error {
	req.Method = http3.MethodGet0RTT
	if req.URL.Path == "/head" {
		req.Method = http3.MethodHead0RTT
	}
	_, err := tr.RoundTripOpt(req, http3.RoundTripOpt{OnlyCachedConn: true})
	if errors.Is(err, http3.ErrNoCachedConn) {
		_, err = tr.RoundTrip(req)
	}
	tr.CloseIdleConnections()
	return errors.Join(err, tr.Close())
}

// Transport.NewClientConn(conn) and ClientConn.OpenRequestStream
func portClientConn(ctx context.Context, tr *http3.Transport, qc *quic.Conn, req *http.Request) error {
	cc, err := tr.NewClientConn(qc)
	if err != nil {
		return err
	}
	if s, err := cc.Settings(ctx); err != nil || !s.ExtendedConnect || !s.Datagrams || s.Other != nil {
		return err
	}
	var stream *http3.ClientStream
	stream, err = cc.OpenRequestStream(ctx)
	if err != nil {
		return err
	}
	if err := stream.SendRequest(req); err != nil {
		return err
	}
	resp, err := stream.ReadResponse()
	if err != nil {
		return err
	}
	_, err = cc.RoundTrip(resp.Request)
	return errors.Join(err, cc.Context().Err(), cc.Close())
}

var _ = []any{portTransport, portRoundTrip, portClientConn}

package http3

import (
	"context"

	"github.com/pqquic/pqquic/http3/internal/frame"
)

// Settings are what a peer has sent in its SETTINGS frame.
type Settings struct {
	// MaxFieldSectionSize is the size of the largest header section that the peer accepts (RFC 9114, 4.2.2), or 0 if it has
	// named no limit.
	MaxFieldSectionSize uint64
	// ExtendedConnect reports whether a server accepts Extended CONNECT (RFC 9220).
	ExtendedConnect bool
	// Datagrams reports whether the peer accepts HTTP datagrams (RFC 9297).
	Datagrams bool
	// Other has the settings of extensions.
	Other map[uint64]uint64
}

// publicSettings waits for the peer's settings.
func (c *conn) publicSettings(ctx context.Context) (*Settings, error) {
	l, err := c.awaitSettings(ctx)
	if err != nil {
		return nil, err
	}
	s := &Settings{ExtendedConnect: l.EnableConnectProtocol, Datagrams: l.Datagrams}
	if l.MaxFieldSectionSize != frame.NoLimit {
		s.MaxFieldSectionSize = l.MaxFieldSectionSize
	}
	if l.Other != nil {
		s.Other = make(map[uint64]uint64, len(l.Other))
		for _, o := range l.Other {
			s.Other[o.ID] = o.Value
		}
	}
	return s, nil
}

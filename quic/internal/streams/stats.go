package streams

// Stats are the counters of a Set, and its limits and their use. The counters remain after Close.
type Stats struct {
	// These count how often the peer's limits have blocked us: from sending on a stream, from sending at
	// all, and from opening a stream.
	BlockedByStream, BlockedByConn, BlockedByStreamLimit uint64
	// These count how often the peer has reported that our limits block it.
	PeerBlockedByStream, PeerBlockedByConn, PeerBlockedByStreamLimit uint64
	// AbortedStreams is the number of streams that the peer has opened and aborted. WithheldStreams is the
	// number of those whose credit was delayed because of Config.AbortRate.
	AbortedStreams, WithheldStreams uint64

	// BytesUnread is the part of ReceiveWindow, the connection's window, that the peer has used.
	BytesUnread, ReceiveWindow int64
	// BytesUnacknowledged is the number of bytes that are written but not acknowledged. SendCredit is the
	// number of new bytes that the peer's limit on the connection allows.
	BytesUnacknowledged, SendCredit int64
	// OpenStreams is the number of streams of both sides.
	OpenStreams int64
	// LocalStreams and PeerStreams are the numbers of streams that each side has opened so far.
	LocalStreams, PeerStreams int64
	// BidiCredit and UniCredit are the numbers of streams that the peer allows us to open.
	BidiCredit, UniCredit int64
}

// Stats returns the current counters.
func (s *Set) Stats() Stats {
	t := s.stats
	t.BytesUnread, t.ReceiveWindow = s.recv.received-s.recv.consumed, s.recv.size
	for _, st := range s.all {
		t.BytesUnacknowledged += st.send.end - st.send.acked
	}
	t.SendCredit = s.sendMax - s.sent
	t.OpenStreams = int64(len(s.all))
	t.LocalStreams += s.local[0].opened + s.local[1].opened // Close adds them to the counters
	t.PeerStreams += s.remote[0].opened + s.remote[1].opened
	t.BidiCredit, t.UniCredit = s.local[0].max-s.local[0].opened, s.local[1].max-s.local[1].opened
	return t
}

package streams

// Stats are the counters of a Set, and its limits and what is in use of them. The counters remain after
// Close.
type Stats struct {
	// The peer's limits have stopped us from sending on a stream, from sending at all, and from
	// opening a stream, so many times.
	BlockedByStream, BlockedByConn, BlockedByStreamLimit uint64
	// The peer has reported so many times that our limits stop it.
	PeerBlockedByStream, PeerBlockedByConn, PeerBlockedByStreamLimit uint64
	// AbortedStreams is the number of streams that the peer has opened and aborted, and
	// WithheldStreams the number of those whose credit it got later because of Config.AbortRate.
	AbortedStreams, WithheldStreams uint64

	// BytesUnread is what the peer has used of ReceiveWindow, the connection's window.
	BytesUnread, ReceiveWindow int64
	// BytesUnacknowledged is what is written and not acknowledged. SendCredit is the number of
	// new bytes that the peer's limit on the connection lets us send.
	BytesUnacknowledged, SendCredit int64
	// OpenStreams is the number of streams, of both sides.
	OpenStreams int64
	// BidiCredit and UniCredit are the numbers of streams that the peer lets us open.
	BidiCredit, UniCredit int64
}

// Stats returns the counters as they are now.
func (s *Set) Stats() Stats {
	t := s.stats
	t.BytesUnread, t.ReceiveWindow = s.recv.received-s.recv.consumed, s.recv.size
	for _, st := range s.all {
		t.BytesUnacknowledged += st.send.end - st.send.acked
	}
	t.SendCredit = s.sendMax - s.sent
	t.OpenStreams = int64(len(s.all))
	t.BidiCredit, t.UniCredit = s.local[0].max-s.local[0].opened, s.local[1].max-s.local[1].opened
	return t
}

package streams

import (
	"errors"
	"math"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// RESET_STREAM_AT (draft-ietf-quic-reliable-stream-reset) ends a stream with an error code, but its first bytes, up to
// the reliable size, are still delivered. It is more like FIN than like RESET_STREAM:
//
//   - The sender drops what was written beyond the reliable size and not sent, and sends the frame once everything else
//     has been sent. Flow control therefore permits the final size, which is what was sent.
//   - The receiver keeps the data below the reliable size until it is read. Then the reset takes effect as
//     RESET_STREAM does.

var (
	// ErrResetAtUnsupported means that the peer does not accept RESET_STREAM_AT.
	ErrResetAtUnsupported = errors.New("the peer does not accept RESET_STREAM_AT")
	// ErrResetAtSize means that the reliable size exceeds what was written.
	ErrResetAtSize = errors.New("the reliable size exceeds what was written")
)

// PeerAcceptsResetAt reports whether the peer accepts RESET_STREAM_AT.
func (s *Set) PeerAcceptsResetAt() bool { return s.peerResetAt }

// ResetAt ends the sending part of a stream with code, which must be below 2^62, but delivers the first size bytes. It
// may be called after CloseWrite, and again with a smaller size. The first code remains then. Reset, and a size of 0,
// deliver nothing more.
func (s *Set) ResetAt(id ID, code uint64, size int64) error {
	st := s.find(id)
	if st == nil || st.send.done || st.send.resetting || size <= 0 {
		return s.Reset(id, code)
	}
	h := &st.send
	switch {
	case !s.peerResetAt:
		return ErrResetAtUnsupported
	case size > h.end && !h.resettingAt:
		return ErrResetAtSize
	case size >= h.reliable && h.resettingAt:
		// "When sending multiple RESET_STREAM_AT or RESET_STREAM frames for the same stream, the initiator MUST
		// NOT increase the Reliable Size." (draft-ietf-quic-reliable-stream-reset, Multiple RESET_STREAM_AT /
		// RESET_STREAM frames)
		return nil
	}
	if !h.resettingAt {
		h.resettingAt, h.isKnown, h.code = true, true, code
		h.fin = false
		h.finVal.Clear()
	}
	h.reliable = size
	h.reset.Set()
	// The end does not change once the frame has been sent, because everything up to it has been sent by then.
	h.end = max(h.sent, size)
	h.buf.truncate(h.end, &s.returned)
	h.buf.release(h.acked, &s.returned)
	s.chargeSend(st)
	// "Data sent beyond that byte offset SHOULD NOT be retransmitted."
	// (draft-ietf-quic-reliable-stream-reset, Resetting Streams)
	h.lost.Sub(size, math.MaxInt64)
	s.countUnflushed(st)
	s.uncountFlushed(st)
	s.schedule(st)
	s.wakeWriter(st)
	return nil
}

// resetDue reports whether RESET_STREAM or RESET_STREAM_AT is due.
//
// "An endpoint MUST NOT send a RESET_STREAM_AT frame that exceeds the largest maximum stream data value advertised by
// the receiver for the stream, or that violates the receiver's maximum data limit." We send it when everything up to
// the final size has been sent. (draft-ietf-quic-reliable-stream-reset, RESET_STREAM_AT Frame)
func (h *sendHalf) resetDue(probe bool) bool {
	return h.reset.ShouldSend(probe) && (h.resetting || h.sent == h.end)
}

// putReset appends RESET_STREAM or RESET_STREAM_AT. It returns false if there was no room.
func (st *stream) putReset(p *packer) bool {
	h, id := &st.send, uint64(st.id)
	if h.resetting {
		return put(p, &h.reset, wire.ResetStream{ID: id, Code: h.code, FinalSize: uint64(h.sent)}, recReset, id)
	}
	f := wire.ResetStreamAt{ID: id, Code: h.code, FinalSize: uint64(h.sent), ReliableSize: uint64(h.reliable)}
	return put(p, &h.reset, f, recResetAt, id)
}

// reliableEnd returns the end of the data that must arrive, of what has been sent.
func (h *sendHalf) reliableEnd() int64 {
	if h.resettingAt {
		return min(h.sent, h.reliable)
	}
	return h.sent
}

// handleResetAt processes RESET_STREAM_AT.
func (s *Set) handleResetAt(f wire.ResetStreamAt) error {
	if !s.cfg.ResetStreamAt {
		return &Error{wire.FrameEncodingError, "RESET_STREAM_AT received without support for it"}
	}
	st, err := s.receivingStream(ID(f.ID))
	if st == nil {
		return err
	}
	r := &st.recv
	complete := r.final >= 0 && r.next == r.final && !r.resettingAt
	// "If an endpoint receives a RESET_STREAM_AT frame that violates either flow control limit, it MUST close the
	// connection with an error of type FLOW_CONTROL_ERROR." (draft-ietf-quic-reliable-stream-reset, RESET_STREAM_AT
	// Frame)
	if err := s.account(st, int64(f.FinalSize), true); err != nil {
		return err
	}
	if err := r.checkCode(f.Code); err != nil {
		return err
	}
	switch {
	case r.reset || complete && !r.stopped:
		// As for RESET_STREAM, there is nothing left that it could end.
		return nil
	case r.resettingAt && int64(f.ReliableSize) >= r.reliable:
		// "The receiver MUST ignore any RESET_STREAM_AT frame that increases the Reliable Size."
		// (draft-ietf-quic-reliable-stream-reset, Multiple RESET_STREAM_AT / RESET_STREAM frames)
		return nil
	}
	r.resettingAt, r.code, r.reliable = true, f.Code, int64(f.ReliableSize)
	if r.stopped {
		s.applyReset(st)
		return nil
	}
	st.aborted = true
	if end := max(r.reliable, r.win.consumed); r.next > end {
		s.readable -= r.next - end
		r.next = end
	}
	r.later.Sub(r.reliable, math.MaxInt64)
	s.chargeRecv(st)
	s.maybeApplyReset(st)
	s.wakeReader(st)
	return nil
}

// checkCode returns an error if the peer resets a stream again with another code than before.
//
// "When sending another RESET_STREAM_AT, RESET_STREAM or STREAM frame carrying a FIN bit for the same stream, the
// initiator MUST NOT change the Application Error Code or the Final Size. If the receiver detects a change in those
// fields, it MUST close the connection with a connection error of type STREAM_STATE_ERROR or FINAL_SIZE_ERROR,
// respectively." (draft-ietf-quic-reliable-stream-reset, Multiple RESET_STREAM_AT / RESET_STREAM frames)
//
// A peer that answers our STOP_SENDING copies its code, which RFC 9000 recommends.
func (r *recvHalf) checkCode(code uint64) error {
	if (r.resettingAt || r.reset) && code != r.code && !r.stopped {
		return &Error{wire.StreamStateError, "a stream is reset again with another code"}
	}
	return nil
}

// end returns the end of the data that can be read, or -1 if it is not known.
func (r *recvHalf) end() int64 {
	if r.resettingAt {
		return max(r.reliable, r.win.consumed)
	}
	return r.final
}

// maybeApplyReset lets RESET_STREAM_AT take effect once everything below the reliable size has been read.
func (s *Set) maybeApplyReset(st *stream) {
	if r := &st.recv; r.resettingAt && !r.reset && r.win.consumed >= r.reliable {
		s.applyReset(st)
	}
}

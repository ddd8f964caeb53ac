package frame

import "github.com/pqquic/pqquic/internal/varint"

// A Splitter divides the bytes of a control stream into frames. The bytes may come in any pieces. It keeps at most one
// incomplete frame of a known type, which is bounded by Limit.
type Splitter struct {
	kept []byte // the beginning of an incomplete frame, or nil
	skip uint64 // bytes of an unknown frame that are still to be ignored
}

// Limit returns the length of the longest payload that is accepted of a type of frame on a control stream. known is false for
// types that are ignored, whose payload is not kept.
func Limit(typ uint64) (limit uint64, known bool) {
	switch {
	case typ == Settings:
		return MaxSettingsFrame, true
	case typ == GoAway, typ == MaxPushID, typ == CancelPush:
		return 8, true
	case typ == PriorityUpdateRequest, typ == PriorityUpdatePush:
		return 512, true
	case typ == Data, typ == Headers, typ == PushPromise, IsHTTP2(typ):
		return varint.Max, true // an error, whatever their length
	}
	return 0, false
}

// Split adds p and calls frame for each frame that is complete, and for the header of one that is not allowed on a control
// stream or of an unknown type, with a nil payload. The payload is valid during the call. It returns the first error of frame.
func (s *Splitter) Split(p []byte, frame func(typ uint64, payload []byte) error) error {
	for {
		n := min(s.skip, uint64(len(p)))
		s.skip, p = s.skip-n, p[n:]
		if len(p) == 0 {
			return nil
		}
		b := p
		if s.kept != nil {
			b = append(s.kept, p...)
		}
		used, err := s.one(b, frame)
		if err != nil {
			return err
		}
		if used < 0 {
			// one has checked the length against Limit, so the frame that is kept is short. p is not: it is kept only up to the
			// end of the frame, because the frame would be complete otherwise.
			s.kept = append(make([]byte, 0, len(b)), b...)
			return nil
		}
		p, s.kept = b[used:], nil
	}
}

// one handles the frame at the beginning of b and returns the number of bytes that it has used, or -1 if b is too short.
func (s *Splitter) one(b []byte, frame func(typ uint64, payload []byte) error) (int, error) {
	h, n := ParseHeader(b)
	if n < 0 {
		return -1, nil
	}
	limit, known := Limit(h.Type)
	switch {
	case !known, limit == varint.Max:
		s.skip = h.Length
		return n, frame(h.Type, nil)
	case h.Length > limit && h.Type == Settings, h.Length > limit && h.Type >= PriorityUpdateRequest:
		return 0, errorf(ExcessiveLoad, "a frame of type %#x has %d bytes: at most %d are accepted", h.Type, h.Length, limit)
	case h.Length > limit:
		return 0, errorf(FrameError, "a frame of type %#x has %d bytes, but its integer at most 8", h.Type, h.Length)
	case uint64(len(b)-n) < h.Length:
		return -1, nil
	}
	end := n + int(h.Length)
	return end, frame(h.Type, b[n:end])
}

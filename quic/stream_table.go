package quic

import (
	"iter"
	"slices"
)

// fewStreams is how many streams a streamTable holds without a map. An idle connection of HTTP/3 has up to six.
const fewStreams = 8

// A streamTable has the streams of a connection that the application has not finished. Nil is an empty one that cannot be added to. The
// connection's mu guards it. While there are few streams it has no map, which would take 192 bytes for one stream and, since maps do not
// shrink, the memory of the most streams that a connection ever had.
type streamTable struct {
	few  []*Stream // nil if there is a map
	many map[StreamID]*Stream
}

func (t *streamTable) get(id StreamID) *Stream {
	if t == nil {
		return nil
	}
	if t.many != nil {
		return t.many[id]
	}
	for _, s := range t.few {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (t *streamTable) len() int {
	if t == nil {
		return 0
	}
	return len(t.few) + len(t.many)
}

func (t *streamTable) add(s *Stream) {
	if t.many == nil && len(t.few) < fewStreams {
		t.few = append(t.few, s)
		return
	}
	if t.many == nil {
		t.many = make(map[StreamID]*Stream, 2*fewStreams)
		for _, other := range t.few {
			t.many[other.id] = other
		}
		t.few = nil
	}
	t.many[s.id] = s
}

func (t *streamTable) remove(id StreamID) {
	switch {
	case t == nil:
		return
	case t.many != nil:
		delete(t.many, id)
		return
	}
	t.few = slices.DeleteFunc(t.few, func(s *Stream) bool { return s.id == id })
}

// all yields the streams in any order.
func (t *streamTable) all() iter.Seq[*Stream] {
	return func(yield func(*Stream) bool) {
		if t == nil {
			return
		}
		for _, s := range t.few {
			if !yield(s) {
				return
			}
		}
		for _, s := range t.many {
			if !yield(s) {
				return
			}
		}
	}
}

// rest returns a table with the same streams that takes as little memory as it can: nil for none.
func (t *streamTable) rest() *streamTable {
	switch {
	case t.len() == 0:
		return nil
	case t.many == nil || len(t.many) > fewStreams:
		return t
	}
	small := &streamTable{few: make([]*Stream, 0, len(t.many))}
	for _, s := range t.many {
		small.few = append(small.few, s)
	}
	return small
}

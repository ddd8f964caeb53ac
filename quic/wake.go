package quic

import "context"

// A waker is a channel of capacity 1 on which one goroutine sleeps. A token in it means that the goroutine
// should check its condition again. Tokens may be left over from earlier, so sleepers check in a loop.
type waker chan struct{}

func (w waker) wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// A wakeSet collects goroutines to wake after the lock is released.
type wakeSet struct {
	few  [8]waker
	n    int
	more []waker
}

func (s *wakeSet) add(w waker) {
	switch {
	case w == nil:
	case s.n < len(s.few):
		s.few[s.n] = w
		s.n++
	default:
		s.more = append(s.more, w)
	}
}

func (s *wakeSet) wake() {
	for i := range s.n {
		s.few[i].wake()
	}
	for _, w := range s.more {
		w.wake()
	}
	s.n, s.more = 0, nil
}

// A waitList holds the wakers of goroutines that wait for the same event. A mutex of its owner guards it.
type waitList []waker

// addAll moves all wakers of the list into the set.
func (l *waitList) addAll(s *wakeSet) {
	for _, w := range *l {
		s.add(w)
	}
	*l = nil
}

func (l *waitList) enter() waker {
	w := make(waker, 1)
	*l = append(*l, w)
	return w
}

func (l *waitList) leave(w waker) {
	for i, other := range *l {
		if other == w {
			*l = append((*l)[:i], (*l)[i+1:]...)
			return
		}
	}
}

// sleep waits for a token or the end of the context.
func (w waker) sleep(ctx context.Context) error {
	select {
	case <-w:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

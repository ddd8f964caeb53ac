package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

// thread is a sequence of operations that runs concurrently with others of the same connection.
type thread struct {
	s    *script
	peer *stream // stream whose script this is; nil for local operations
	// deadline ends the enclosing iteration; zero for none.
	deadline time.Time
	// unsent is a stream that was opened but not yet announced to the peer: its ID waits for the first
	// bytes.
	unsent *stream
}

// errPeerDone ends a timed iteration because the peer reached its end first.
var errPeerDone = errors.New("the peer has ended the stream")

func (t *thread) ops(ctx context.Context, ops []scenario.Op) error {
	for i := range ops {
		if err := t.op(ctx, &ops[i]); err != nil {
			if errors.Is(err, errPeerDone) {
				return err
			}
			return in(fmt.Sprintf("[%d].%s", i, ops[i].Kind), err)
		}
	}
	return t.flush(nil)
}

// flush announces a stream that waits for its first bytes, unless op sends them.
func (t *thread) flush(op *scenario.Op) error {
	if t.unsent == nil || op != nil && (op.Kind == scenario.Send || op.Kind == scenario.Profile || op.Kind == scenario.Iterate ||
		op.Kind == scenario.SendRate || op.Kind == scenario.ReceiveRate || op.Kind == scenario.Trace) {
		return nil
	}
	s := t.unsent
	t.unsent = nil
	return s.Flush()
}

func (t *thread) op(ctx context.Context, op *scenario.Op) error {
	if err := t.flush(op); err != nil {
		return err
	}
	if op.Kind.Stream() {
		return t.streamOp(ctx, op)
	}
	s := t.s
	switch op.Kind {
	case scenario.Sleep:
		return sleep(ctx, op.Period)
	case scenario.Park:
		if err := s.tokens.park(ctx, op.ID); err != nil {
			return err
		}
		s.trace.event(s.number, "park[%d]", op.ID)
	case scenario.Unpark:
		s.trace.event(s.number, "uprk[%d]", op.ID)
		s.tokens.unpark(op.ID)
	case scenario.Trace:
		s.trace.event(s.number, "trce[%d]", op.ID)
	case scenario.Profile:
		began := time.Now()
		if err := t.ops(ctx, op.Operations); err != nil {
			return in(".operations", err)
		}
		s.profiled(op.ID, time.Since(began))
	case scenario.Iterate:
		return t.iterate(ctx, op)
	case scenario.Scope:
		return t.scope(ctx, op)
	default:
		return scriptError("this operation is not allowed in a connection's script")
	}
	return nil
}

func (s *script) profiled(id uint64, d time.Duration) {
	s.rec.Profile(id, d)
	s.trace.event(s.number, "prof[%d]=%v", id, d)
}

// iterate repeats the body. When the time is over, the running iteration is abandoned.
func (t *thread) iterate(ctx context.Context, op *scenario.Op) error {
	outer := t.deadline
	if op.Timed {
		end := time.Now().Add(op.Period)
		if outer.IsZero() || end.Before(outer) {
			t.deadline = end
		}
		defer func() { t.deadline = outer }()
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, t.deadline)
		defer cancel()
	}
	for n := uint64(0); op.Timed || n < op.Count; n++ {
		began := time.Now()
		if op.Timed && !began.Before(t.deadline) {
			return t.abandoned(outer)
		}
		err := t.ops(ctx, op.Operations)
		switch {
		case err == nil:
		case op.Timed && errors.Is(err, errPeerDone):
			return nil
		case op.Timed && !time.Now().Before(t.deadline) &&
			(errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)):
			return t.abandoned(outer)
		default:
			return in(".operations", err)
		}
		if op.HasTrace {
			t.s.profiled(op.ID, time.Since(began))
		}
	}
	return nil
}

// abandoned returns nil unless the deadline of an enclosing iteration has passed too.
func (t *thread) abandoned(outer time.Time) error {
	if !outer.IsZero() && !time.Now().Before(outer) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (t *thread) scope(ctx context.Context, op *scenario.Op) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g := &group{cancel: cancel}
	for i, ops := range op.Threads {
		one := &thread{s: t.s, peer: t.peer, deadline: t.deadline}
		g.run(func() error {
			err := one.ops(ctx, ops)
			if err == nil || errors.Is(err, errPeerDone) {
				return err
			}
			// A thread that ends at a deadline does not end the others: they end at the same deadline.
			return in(fmt.Sprintf(".threads[%d]", i), err)
		})
	}
	g.wait.Wait()
	return g.err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

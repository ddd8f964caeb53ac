package quic

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"
)

// attemptDelay is how long Dial waits for a host's address before it tries the next one as well, as RFC 8305, section 5
// recommends.
const attemptDelay = 250 * time.Millisecond

var errOtherAttempt = errors.New("quic: another attempt of the same Dial has connected")

// A race is a Dial that makes several attempts to connect, of which one wins. The others are canceled. Those that have
// already connected are closed.
type race struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	over   chan struct{}
	ended  chan attempt
}

// An attempt is the result of one.
type attempt struct {
	index int
	conn  *Conn
	err   error
}

func newRace(ctx context.Context) *race {
	r := &race{over: make(chan struct{}), ended: make(chan attempt)}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	return r
}

// run makes an attempt on a goroutine, which ends after finish at the latest.
func (r *race) run(index int, dial func(context.Context) (*Conn, error)) {
	go func() {
		c, err := dial(r.ctx)
		select {
		case r.ended <- attempt{index, c, err}:
		case <-r.over:
			if c != nil {
				c.abandon()
			}
		}
	}()
}

// finish ends the attempts whose results have not been received. It does not wait for them, because a callback of the
// application may delay their end.
func (r *race) finish() {
	r.cancel(errOtherAttempt)
	close(r.over)
}

// abandon closes a connection that another attempt has made unnecessary.
func (c *Conn) abandon() {
	c.abort(errOtherAttempt, uint64(NoError))
	c.finish()
}

// dialAny returns the first connection to one of a host's addresses. It tries the next address when an attempt has
// failed or has taken longer than attemptDelay.
func dialAny(ctx context.Context, host string, remotes []netip.AddrPort, dial func(context.Context, netip.AddrPort) (*Conn, error)) (*Conn, error) {
	if len(remotes) == 1 {
		return dial(ctx, remotes[0]) // on this goroutine
	}
	r := newRace(ctx)
	defer r.finish()
	next := time.NewTimer(0)
	defer next.Stop()
	started := 0
	errs := make([]error, 0, len(remotes))
	for len(errs) < started || started < len(remotes) && ctx.Err() == nil {
		select {
		case <-next.C:
			if started == len(remotes) || ctx.Err() != nil {
				continue
			}
			remote := remotes[started]
			r.run(started, func(ctx context.Context) (*Conn, error) { return dial(ctx, remote) })
			started++
			next.Reset(attemptDelay)
		case a := <-r.ended:
			if a.err == nil {
				return a.conn, nil
			}
			errs = append(errs, a.err)
			if !errors.As(a.err, new(*dialError)) {
				remotes = remotes[:started] // the error does not concern the address
			}
			next.Reset(0)
		}
	}
	switch len(errs) {
	case 0:
		return nil, context.Cause(ctx)
	case 1:
		return nil, errs[0]
	}
	return nil, &dialErrors{host, errs}
}

// A dialErrors is the error of a Dial that has tried several addresses of a host.
type dialErrors struct {
	host string
	errs []error
}

func (e *dialErrors) Error() string {
	each := make([]string, len(e.errs))
	for i, err := range e.errs {
		each[i] = strings.TrimPrefix(err.Error(), "quic: dial ")
	}
	return "quic: dial " + e.host + ": all attempts failed: " + strings.Join(each, "; ")
}

func (e *dialErrors) Unwrap() []error { return e.errs }

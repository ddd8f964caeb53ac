package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// findings are the results of the probes that run after the usual handshake.
type findings struct {
	usual     *outcome      // nil if the handshake has failed
	groups    []groupResult // of probedGroups
	order     [2]*reply     // to all groups, hybrids first and last; nil if there was no answer
	unshared  *reply        // to hybrids without shares, and X25519 with one
	large     string        // what happens to a large classical ClientHello
	verified  *outcome
	verifyErr error
	versions  []string
	resumed   bool
	early     bool
	resumeErr error
}

// What happens to a large ClientHello.
const (
	answeredHello = "answered"
	lostHello     = "lost"
)

// A groupResult is the result of the probe of one group.
type groupResult struct {
	outcome *outcome // of a complete handshake
	asked   bool     // the server asks for it in a HelloRetryRequest
	lost    bool     // the handshake got no answer
}

func (g *groupResult) supported() bool { return g.outcome != nil || g.asked }

// survey makes all probes over one transport.
func (p *prober) survey(ctx context.Context, e engine, t *Transport) {
	var f findings
	var err error
	if f.usual, err = p.usual(ctx, e); err != nil {
		t.Error = p.explain(err, e)
		switch {
		case errors.Is(err, errNotTLS):
			return
		case isLost(err):
			// A ClientHello without key shares is small, so that it passes where a post-quantum one does not.
			r, err := e.hello(ctx, &offer{groups: probedGroups})
			if isLost(err) {
				return
			}
			f.order[0] = r
			p.small = supported(native.New(), []tlsprovider.Group{tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384})
		}
	}
	t.Reachable = true
	p.probes(ctx, e, &f)
	if ctx.Err() != nil {
		f.large = "" // it is not known what was lost
		t.note("the time for the host ended before all probes did, so what the server lacks is not known: see --timeout")
	}
	t.fill(&f)
	if _, ok := e.(*quicEngine); ok {
		retry := slices.ContainsFunc(f.groups, func(g groupResult) bool { return g.outcome != nil && g.outcome.retry })
		t.Retry, t.EarlyData = &retry, &f.early
	}
}

// usual makes the handshake of an ordinary client, and remembers the address.
func (p *prober) usual(ctx context.Context, e engine) (*outcome, error) {
	o, err := e.handshake(ctx, attempt{})
	if tcp, ok := e.(*tcpEngine); ok && isAlert(err, tlsprovider.AlertNoApplicationProtocol) {
		tcp.TCPALPN = nil // the prober has Options of its own
		o, err = e.handshake(ctx, attempt{})
	}
	if q, ok := e.(*quicEngine); ok && err == nil {
		q.setAddr(o.addr)
	}
	return o, err
}

// explain returns the text of an error of the usual handshake.
func (p *prober) explain(err error, e engine) string {
	if _, ok := e.(*quicEngine); ok && isAlert(err, tlsprovider.AlertNoApplicationProtocol) {
		return fmt.Sprintf("the server has no application protocol of %s: name one with --alpn", strings.Join(p.ALPN, ", "))
	}
	return err.Error()
}

// probes makes the probes that do not depend on each other, a few at a time.
func (p *prober) probes(ctx context.Context, e engine, f *findings) {
	var wait sync.WaitGroup
	turns := make(chan struct{}, parallel)
	run := func(probe func()) {
		wait.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			if ctx.Err() == nil {
				probe()
			}
		})
	}
	f.groups = make([]groupResult, len(probedGroups))
	for i, g := range probedGroups {
		run(func() { f.groups[i] = p.group(ctx, e, g) })
	}
	for i, list := range [][]tlsprovider.Group{probedGroups, reversed(probedGroups)} {
		if f.order[i] == nil {
			run(func() { f.order[i], _ = e.hello(ctx, &offer{groups: list}) })
		}
	}
	run(func() { f.unshared, _ = e.hello(ctx, &offer{groups: probedGroups, x25519: true}) })
	run(func() {
		classical := []tlsprovider.Group{tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384, tlsprovider.P521}
		_, err := e.hello(ctx, &offer{groups: classical, x25519: true, padding: largePadding})
		if f.large = answeredHello; isLost(err) {
			f.large = lostHello
		}
	})
	run(func() { f.versions = e.versions(ctx) })
	run(func() { f.resumed, f.early, f.resumeErr = e.resume(ctx) })
	if f.usual != nil {
		run(func() { f.verified, f.verifyErr = e.handshake(ctx, attempt{verify: true}) })
	}
	wait.Wait()
	if i := slices.IndexFunc(f.groups, func(g groupResult) bool { return g.outcome != nil }); f.usual == nil && i >= 0 {
		f.verified, f.verifyErr = e.handshake(ctx, attempt{verify: true, groups: probedGroups[i : i+1]})
	}
}

// group probes one group with a handshake of its own. If there is no answer, or no TLS library has the group, a small
// ClientHello shows whether the server asks for it.
func (p *prober) group(ctx context.Context, e engine, g tlsprovider.Group) (r groupResult) {
	var err error
	if r.outcome, err = e.handshake(ctx, attempt{groups: []tlsprovider.Group{g}}); err == nil {
		return r
	}
	r.lost = isLost(err)
	if r.lost || errors.Is(err, errNoProvider) {
		answer, err := e.hello(ctx, &offer{groups: []tlsprovider.Group{g}})
		r.asked = err == nil && answer.group == g
	}
	return r
}

// fill sets the fields of a transport.
func (t *Transport) fill(f *findings) {
	o := f.usual
	hybrid := ""
	for i, g := range probedGroups {
		r := &f.groups[i]
		if o == nil && r.outcome != nil {
			o = r.outcome
		}
		if r.supported() && isPQ(g) && hybrid == "" {
			hybrid = nameOf(g)
		}
		switch {
		case r.outcome != nil, r.asked && !r.lost:
			t.Groups = append(t.Groups, nameOf(g))
		case r.asked:
			t.LostGroups = append(t.LostGroups, nameOf(g))
		}
	}
	if o != nil {
		t.Address, t.ALPN, t.CipherSuite = o.addr, o.alpn, o.suite
		t.chain, t.SignatureScheme, t.OCSPStaple = o.chain, o.scheme, o.staple
	}
	if f.usual != nil {
		t.Negotiated, t.HelloRetry = nameOf(o.group), o.helloRetried
		t.PQKeyExchange = isPQ(o.group)
	}
	t.preference(f)
	t.LargeHello = f.large
	if f.versions != nil {
		t.Versions = f.versions
	}
	t.Resumption = f.resumed
	t.fillAuthentication(f)
	t.explain(f, hybrid)
}

// preference finds the group that the server prefers, from its answers to all groups in both orders. A server that is
// only seen to prefer a group which is lost on the way does not get it.
func (t *Transport) preference(f *findings) {
	usable := func(g tlsprovider.Group) bool { return slices.Contains(t.Groups, nameOf(g)) }
	best := tlsprovider.Group(0)
	if f.usual != nil {
		best = f.usual.group
	}
	if a, b := f.order[0], f.order[1]; a != nil && b != nil && a.group != 0 {
		switch {
		case a.group != b.group:
			t.PreferenceOf = "client"
		case usable(a.group):
			t.PreferenceOf, best = "server", a.group
		}
	}
	for i := 0; best == 0 && i < len(probedGroups); i++ {
		if f.groups[i].outcome != nil {
			best = probedGroups[i]
		}
	}
	t.Preferred, t.GroupID = nameOf(best), best
	if f.unshared != nil {
		t.WithoutShare = nameOf(f.unshared.group)
	}
}

func (t *Transport) fillAuthentication(f *findings) {
	switch {
	case f.verified != nil:
		t.Verified, t.PQAuthentication = true, f.verified.pqAuth
		t.chain, t.SignatureScheme, t.OCSPStaple = f.verified.chain, f.verified.scheme, f.verified.staple
	case f.verifyErr != nil:
		t.VerifyError = f.verifyErr.Error()
		if own := (*tlsprovider.Error)(nil); errors.As(f.verifyErr, &own) {
			t.VerifyError = own.Error()
		}
	}
}

// explain adds the notes.
func (t *Transport) explain(f *findings, hybrid string) {
	pqTaken := slices.ContainsFunc(t.Groups, func(name string) bool {
		return slices.ContainsFunc(probedGroups, func(g tlsprovider.Group) bool { return isPQ(g) && nameOf(g) == name })
	})
	lost := strings.Join(t.LostGroups, ", ")
	switch {
	case lost == "" || pqTaken:
	case f.large == lostHello:
		t.note("the server supports ", lost, ", but ClientHellos as large as these groups need get no answer, also classical ones: ",
			"a middlebox on the way drops them")
	case f.large == answeredHello:
		t.note("the server asks for ", lost, ", but does not answer ClientHellos with these groups' key shares, ",
			"although it answers a classical one of that size: the server, or a middlebox that reads key shares, fails on them")
	}
	if f.unshared != nil && f.unshared.group != 0 && !isPQ(f.unshared.group) && hybrid != "" {
		t.SilentFallback = true
		t.note("the server falls back silently: it takes ", nameOf(f.unshared.group), " from a client that offers ", hybrid,
			" without its key share, although it supports ", hybrid)
	}
	if f.usual != nil && !t.PQKeyExchange && pqTaken {
		t.note("the server prefers ", t.Negotiated, " to the post-quantum groups that it supports")
	}
	if f.usual != nil && f.usual.oldTLS {
		t.note("the server does not speak TLS 1.3, which post-quantum key exchange needs")
	}
	if t.HelloRetry {
		t.note("the usual handshake takes another round trip, because the server asks for a key share of ", t.Negotiated)
	}
	if f.usual != nil && f.resumeErr != nil {
		t.note("resumption: ", f.resumeErr.Error())
	}
}

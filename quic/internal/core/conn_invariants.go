package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/pqquic/pqquic/quic/internal/recovery"
)

// CheckInvariants returns an error if the connection's state is inconsistent between two calls. The
// simulator calls it; production code does not.
func (c *Conn) CheckInvariants() error {
	if c.closing.state != stateOpen {
		return nil
	}
	if err := c.loss.CheckInvariants(); err != nil {
		return err
	}
	if err := c.streams.CheckInvariants(); err != nil {
		return err
	}
	for s := range c.spaces {
		sp := c.spaces[s]
		if n := sp.in.buffered(); int64(n) > sp.in.limit {
			return fmt.Errorf("%v: %d CRYPTO bytes are buffered", recovery.Space(s), n)
		}
		if n := sp.in.have.NumRanges(); n > maxCryptoGaps {
			return fmt.Errorf("%v: CRYPTO data has %d gaps", recovery.Space(s), n)
		}
		if sp.discarded && (sp.seal != nil || sp.open != nil) {
			return fmt.Errorf("%v: the space is discarded but its keys remain", recovery.Space(s))
		}
	}
	if err := c.checkEarly(); err != nil {
		return err
	}
	if c.ext.datagrams != nil {
		if err := c.ext.datagrams.check(c.cfg); err != nil {
			return err
		}
	}
	if err := c.checkPaths(); err != nil {
		return err
	}
	switch {
	case discardedSpace.crypto.base+int64(len(discardedSpace.crypto.buf)) > 0 || discardedSpace.in.base+int64(len(discardedSpace.in.buf)) > 0:
		return errors.New("a discarded space has CRYPTO data")
	case c.scratch != nil && len(c.pathResponses) > maxPathResponses:
		return fmt.Errorf("%d PATH_RESPONSE frames are queued", len(c.pathResponses))
	case len(c.ids.remote) > activeConnIDLimit || len(c.ids.retiring) > maxRetiring+maxPaths: // paths may be given up
		return fmt.Errorf("%d connection IDs, %d retiring", len(c.ids.remote), len(c.ids.retiring))
	case len(c.ids.local) > maxLocalIDs && (c.ext.rotation == nil || len(c.ids.local) > 2*maxLocalIDs):
		return fmt.Errorf("%d connection IDs are issued", len(c.ids.local))
	case c.NextTimeout().IsZero():
		return fmt.Errorf("the connection is open but no timer is armed")
	}
	return nil
}

// checkEarly verifies the packets that wait for their keys.
func (c *Conn) checkEarly() error {
	if c.early == nil {
		return nil
	}
	n := 0
	for _, p := range c.early.packets {
		n += len(p.data)
		if c.spaces[p.space].discarded {
			return fmt.Errorf("%v: a packet waits for keys that are discarded", p.space)
		}
	}
	switch {
	case n != c.early.zeroRTT.bytes+c.early.others.bytes || len(c.early.packets) != c.early.zeroRTT.packets+c.early.others.packets:
		return fmt.Errorf("%d packets with %d bytes wait for keys; counted are %v and %v", len(c.early.packets), n, c.early.zeroRTT, c.early.others)
	case c.early.others.packets > maxEarlyPackets || c.early.others.bytes > maxEarlyBytes ||
		c.early.zeroRTT.packets > maxZeroRTTPackets || c.early.zeroRTT.bytes > maxZeroRTTBytes:
		return fmt.Errorf("too many packets wait for keys: %v and %v", c.early.zeroRTT, c.early.others)
	}
	return nil
}

// checkPaths verifies the list of paths.
func (c *Conn) checkPaths() error {
	m := c.mig
	switch {
	case !c.migrating() && c.loss.NumPaths() > 1:
		return fmt.Errorf("the congestion state of %d paths is kept for one", c.loss.NumPaths())
	case !c.migrating():
		return nil
	}
	actives := 0
	for _, p := range m.paths {
		if p == m.active {
			actives++
		}
		switch r := c.ids.findRemote(p.dst); {
		case r == nil:
			return fmt.Errorf("path %v uses connection ID %d, which the peer has retired", p.addrs, p.dst)
		case p == m.active && (r != &c.ids.remote[0] || p.addrs != c.path || p.rec != c.loss.Path()):
			return fmt.Errorf("the path in use is not %v", p.addrs)
		case p != m.active && p.amp.Credit() < 0:
			return fmt.Errorf("path %v: more than three times the bytes received were sent", p.addrs)
		case len(p.responses) > maxOtherResponses:
			return fmt.Errorf("path %v: %d PATH_RESPONSE frames are queued", p.addrs, len(p.responses))
		}
	}
	switch {
	case actives != 1 || len(m.paths) > maxPaths:
		return fmt.Errorf("there are %d paths, %d of them in use", len(m.paths), actives)
	case c.loss.NumPaths() > len(m.paths):
		return fmt.Errorf("the congestion state of %d paths is kept for %d", c.loss.NumPaths(), len(m.paths))
	case len(m.paths) == 1 && m.active.validated && !m.active.check.running() && c.now.After(c.challengeAt(m.active).Add(time.Second)):
		return errors.New("the list of paths is not needed")
	}
	return nil
}

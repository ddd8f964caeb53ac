package native

import (
	"crypto/tls"
	"encoding/binary"
	"errors"

	"github.com/pqquic/pqquic/tlsprovider"
)

var errStoredSession = errors.New("native: the value is not a session")

// storedSessions is Config.ClientStore as crypto/tls sees it in one session.
type storedSessions struct {
	store tlsprovider.ClientStore
	s     *session
}

// key returns the key of the server's sessions. crypto/tls has a key of its own, which says less.
func (c *storedSessions) key() string {
	return tlsprovider.SessionKey(Name, c.s.quicVersion, c.s.prepared.binding, c.s.name.Verify)
}

// Get implements tls.ClientSessionCache.
func (c *storedSessions) Get(string) (state *tls.ClientSessionState, ok bool) {
	var value []byte
	err := c.s.guard("Config.ClientStore", func() error { value = c.store.Take(c.key()); return nil })
	if err != nil || value == nil {
		return nil, false
	}
	state, err = parseSession(value)
	return state, err == nil
}

// Put implements tls.ClientSessionCache.
func (c *storedSessions) Put(_ string, state *tls.ClientSessionState) {
	if state == nil || tooLong(state) { // if it is nil, Get has removed the session
		return
	}
	value, err := appendSession(state)
	if err != nil {
		return
	}
	if c.s.guard("Config.ClientStore", func() error { c.store.Put(c.key(), value); return nil }) == nil {
		c.s.tickets++
	}
}

// appendSession encodes a session: the length of the ticket, the ticket, and the state.
func appendSession(state *tls.ClientSessionState) ([]byte, error) {
	ticket, st, err := state.ResumptionState()
	if err != nil {
		return nil, err
	}
	rest, err := st.Bytes()
	if err != nil {
		return nil, err
	}
	b := binary.AppendUvarint(nil, uint64(len(ticket)))
	return append(append(b, ticket...), rest...), nil
}

func parseSession(b []byte) (*tls.ClientSessionState, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, errStoredSession
	}
	ticket, rest := b[size:][:n], b[size:][n:]
	st, err := tls.ParseSessionState(rest)
	if err != nil {
		return nil, err
	}
	return tls.NewResumptionState(ticket, st)
}

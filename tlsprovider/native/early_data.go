package native

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"slices"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
)

// Early data
//
// A session that permits early data has an entry of this package in tls.SessionState.Extra. A server's ticket contains
// it, encrypted; a client keeps it beside the ticket. It describes the handshake that the session comes from, and has the
// data that the transport must remember.

// earlyMark begins the entry and is its version.
const earlyMark = "pqquic early data 1"

// An earlyEntry is the entry.
type earlyEntry struct {
	group      tlsprovider.Group // of the handshake
	version    uint32            // QUIC version
	issued     time.Time
	id         [16]byte // of a server's ticket
	serverName string
	alpn       string
	// data is Decision.TicketData on a server, and the server's transport parameters on a client.
	data []byte
}

func (e *earlyEntry) encode() []byte {
	b := append([]byte(earlyMark), e.id[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(e.group))
	b = binary.BigEndian.AppendUint32(b, e.version)
	b = binary.BigEndian.AppendUint64(b, uint64(e.issued.UnixNano()))
	for _, s := range [...]string{e.serverName, e.alpn, string(e.data)} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return b
}

// findEarly returns the entry of this package, or nil.
func findEarly(extra [][]byte) *earlyEntry {
	for _, b := range extra {
		b, ok := bytes.CutPrefix(b, []byte(earlyMark))
		const fixed = 16 + 2 + 4 + 8
		if !ok || len(b) < fixed {
			continue
		}
		e := &earlyEntry{
			id: [16]byte(b), group: tlsprovider.Group(binary.BigEndian.Uint16(b[16:])), version: binary.BigEndian.Uint32(b[18:]),
			issued: time.Unix(0, int64(binary.BigEndian.Uint64(b[22:]))),
		}
		b = b[fixed:]
		var parts [3][]byte
		for i := range parts {
			if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
				return nil
			}
			n := 2 + int(binary.BigEndian.Uint16(b))
			parts[i], b = b[2:n], b[n:]
		}
		e.serverName, e.alpn, e.data = string(parts[0]), string(parts[1]), slices.Clone(parts[2])
		return e
	}
	return nil
}

// entry describes the current handshake.
func (s *session) entry(data []byte) (*earlyEntry, error) {
	now, err := s.e.cfg.CurrentTime()
	return &earlyEntry{group: s.state.Group, version: s.quicVersion, issued: now, serverName: s.state.ServerName, alpn: s.state.ALPN, data: data}, err
}

// ticketOptions returns what a server's ticket permits.
func (s *session) ticketOptions() (tls.QUICSessionTicketOptions, error) {
	if !s.e.cfg.EarlyData || len(s.ticketData) > 1<<15 {
		return tls.QUICSessionTicketOptions{}, nil
	}
	e, err := s.entry(s.ticketData)
	if err != nil {
		return tls.QUICSessionTicketOptions{}, err
	}
	_, _ = rand.Read(e.id[:]) // never fails
	return tls.QUICSessionTicketOptions{EarlyData: true, Extra: [][]byte{e.encode()}}, nil
}

// resuming decides about early data when a session is about to be resumed.
func (s *session) resuming(st *tls.SessionState) {
	e := findEarly(st.Extra)
	switch {
	case !st.EarlyData:
		return
	case e == nil, !s.e.cfg.EarlyData, e.version != s.quicVersion, s.wantPQ && !e.group.PostQuantum():
		// Early data are protected by the earlier key exchange alone, so RequirePQ applies to that.
		st.EarlyData = false
	case s.e.side == tlsprovider.Client:
		s.early = e
	default:
		st.EarlyData = s.offersEarly && !s.watch.Retried() && s.acceptEarly != nil &&
			e.serverName == s.state.ServerName && e.alpn == s.chosenALPN &&
			s.acceptEarly(&tlsprovider.EarlyDataOffer{TicketData: e.data, TicketID: e.id, Issued: e.issued,
				ServerName: e.serverName, ALPN: e.alpn})
		s.acceptEarly = nil // at most once, although a client may offer several tickets
	}
}

// offerEarly prepares for the keys of early data. It returns false if they must not be used.
func (s *session) offerEarly() bool {
	if s.e.side == tlsprovider.Client && s.early == nil {
		return false // crypto/tls offers early data of our sessions only, and resuming has set early for those
	}
	// Until the handshake is complete, the state describes the session that is resumed.
	s.state.EarlyData, s.state.Resumed, s.state.ALPN = tlsprovider.EarlyDataOffered, true, s.chosenALPN
	if s.e.side == tlsprovider.Server {
		return true
	}
	s.state.ALPN = s.early.alpn
	s.events = append(s.events, tlsprovider.Event{Kind: tlsprovider.EventEarlyParameters, Level: tlsprovider.LevelEarly, Data: s.early.data})
	return true
}

// storeSession stores a session that the server has sent.
func (s *session) storeSession(st *tls.SessionState) error {
	if st.EarlyData && s.e.cfg.EarlyData {
		e, err := s.entry(s.peerParams)
		if err != nil {
			return err
		}
		st.Extra = append(st.Extra, e.encode())
	}
	return s.conn.StoreSession(st)
}

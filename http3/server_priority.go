package http3

import (
	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
)

// maxWaitingPriorities is the number of PRIORITY_UPDATE frames that are kept for requests that have not begun.
//
// "Holding PRIORITY_UPDATE frames for each stream requires server resources, which can be bounded by local implementation
// policy."
// https://www.rfc-editor.org/rfc/rfc9218#section-7-4
const maxWaitingPriorities = 100

// setPriority applies the priority of a request, which a PRIORITY_UPDATE frame overrides that has arrived before.
//
// "When receiving an HTTP request that does not carry these priority parameters, a server SHOULD act as if their default values
// were specified." This server does so if the client has sent a priority on the connection. Clients that send none, like most
// that are not browsers, do not know that a download stops all their requests behind it, so those are sent incrementally.
func (x *exchange) setPriority(lines []string) {
	r := &x.sc.reqs
	r.mu.Lock()
	r.isAware = r.isAware || lines != nil || x.hasPriority
	isAware := r.isAware
	r.mu.Unlock()
	if !isAware {
		return
	}
	if !x.hasPriority {
		x.priority = defaultPriority
		x.priority.parseLines(lines)
		x.hasPriority = true
	}
	x.qs.SetPriority(x.priority.Urgency, x.priority.Incremental)
	x.c.logPriority(x.qs.ID(), x.priority, "client_signal_received", "client_signal_only")
}

// mergePriority applies the field Priority of the response.
//
// "The absence of a priority parameter in an HTTP response indicates the server's disinterest in changing the client-provided
// value."
// https://www.rfc-editor.org/rfc/rfc9218#section-8-3
func (x *exchange) mergePriority(lines []string) {
	if !x.hasPriority {
		x.priority = Priority{Urgency: 3, Incremental: true}
	}
	if x.priority.parseLines(lines) {
		x.hasPriority = true
		x.qs.SetPriority(x.priority.Urgency, x.priority.Incremental)
		x.c.logPriority(x.qs.ID(), x.priority, "local", "client_server_merged")
	}
}

// handlePriorityUpdate handles a PRIORITY_UPDATE frame.
func (sc *serverConn) handlePriorityUpdate(typ uint64, payload []byte) error {
	id, value, err := frame.ParsePriorityUpdate(payload)
	switch {
	case err != nil:
		return err
	case typ == frame.PriorityUpdatePush:
		// "If a server receives a PRIORITY_UPDATE (type=0xF0701) with a push ID that is greater than the maximum push ID or that
		// has not yet been promised, this MUST be treated as a connection error of type H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9218#section-7.2-7
		return connErrorf(ErrCodeIDError, "PRIORITY_UPDATE for push %d, which was not promised", id)
	case id%4 != 0:
		// "If a server receives a PRIORITY_UPDATE (type=0xF0700) for a stream ID that is not a request stream, this MUST be
		// treated as a connection error of type H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9218#section-7.2-6
		return connErrorf(ErrCodeIDError, "PRIORITY_UPDATE for stream %d, which is no request", id)
	}
	p := defaultPriority
	if !p.parse(string(value)) {
		// "Failure to parse the Priority Field Value MAY be treated as a connection error. [...] in HTTP/3, the error is of type
		// H3_GENERAL_PROTOCOL_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9218#section-7-3
		return connErrorf(ErrCodeGeneralProtocolError, "the priority of stream %d cannot be parsed", id)
	}
	sc.updatePriority(quic.StreamID(id), p)
	sc.logPriority(quic.StreamID(id), p, "client_signal_received", "client_signal_only")
	return sc.countJunk() // a flood of them would cost more than requests do
}

// updatePriority applies a priority to a stream, or keeps it until the stream's request begins.
func (sc *serverConn) updatePriority(id quic.StreamID, p Priority) {
	r := &sc.reqs
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isAware = true
	if id < r.next {
		// A stream that was opened, but whose goroutine has not begun, keeps this priority too, unless its request has one.
		sc.qc.SetStreamPriority(id, p.Urgency, p.Incremental)
		return
	}
	if r.waiting == nil {
		r.waiting = make(map[quic.StreamID]Priority)
	}
	if _, ok := r.waiting[id]; ok || len(r.waiting) < maxWaitingPriorities {
		r.waiting[id] = p
	}
}

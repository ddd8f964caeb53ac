package udp

import (
	"syscall"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"golang.org/x/sys/unix"
)

// A sendOp is a Write in progress. It is kept in a pool together with the method values that RawConn calls,
// so that Write does not allocate.
type sendOp struct {
	os      *osConn
	try     func(fd uintptr)
	wait    func(fd uintptr) bool
	tx      *datagram.Transmit
	to      sockaddr
	oob     [oobSize]byte
	single  int // length of the control messages for one datagram
	run     int // length of the control messages for a run
	most    int // maximum number of datagrams in a run
	block   bool
	first   error // the first error of a refused datagram, or of an earlier one
	refusal error // a possible refusal of segmentation offload
	reports bool  // errors may be about earlier datagrams: see Conn.ReportErrors
	again   bool  // the datagrams that are next have failed once with such an error
	noted   bool  // an error was such a report
	proven  bool  // a datagram of full size was sent individually after refusal
}

func (o *osConn) newSendOp() *sendOp {
	op := &sendOp{os: o}
	op.try = op.sendAll
	op.wait = func(fd uintptr) (done bool) {
		op.sendAll(fd)
		return !op.block
	}
	return op
}

// write sends without waiting. RawConn.Control takes no lock that writeWait may hold.
func (o *osConn) write(tx *datagram.Transmit) error {
	return o.send(tx, func(op *sendOp) error { return o.raw.Control(op.try) })
}

// writeWait sends a Transmit. If the send buffer is full, the runtime's poller waits for room.
func (o *osConn) writeWait(tx *datagram.Transmit) error {
	return o.send(tx, func(op *sendOp) error { return o.raw.Write(op.wait) })
}

func (o *osConn) send(tx *datagram.Transmit, do func(*sendOp) error) error {
	op, _ := o.sends.Get().(*sendOp)
	if op == nil {
		op = o.newSendOp()
	}
	defer o.sends.Put(op)
	err := op.begin(tx)
	if err != nil {
		tx.Data = nil
		return err
	}
	notify := o.notify.Load()
	op.reports = notify != nil
	err = do(op)
	op.tx = nil
	if op.noted && notify != nil {
		(*notify)()
	}
	if op.refusal != nil && op.proven {
		o.gso.refuse(tx.Path.Remote.Addr(), op.refusal)
	}
	switch {
	case err != nil:
		return err
	case op.block:
		return ErrWouldBlock
	}
	return op.first
}

// begin sets the address and the control messages.
func (op *sendOp) begin(tx *datagram.Transmit) error {
	op.tx, op.block, op.first, op.refusal, op.proven = tx, false, nil, nil, false
	op.again, op.noted = false, false
	if err := op.setAddress(); err != nil {
		return err
	}
	b := op.os.appendOOB(op.oob[:0], tx)
	op.single, op.run, op.most = len(b), len(b), 1
	if len(tx.Data) > tx.SegmentSize && tx.SegmentSize > 0 {
		if op.most = min(op.os.gso.segments(tx.Path.Remote.Addr()), maxRun/tx.SegmentSize); op.most > 1 {
			op.run = len(appendSegmentSize(b, tx.SegmentSize))
		}
	}
	return nil
}

// setAddress sets the destination. It fails for an IPv6 address on an IPv4 socket and for a zone that names
// no interface.
func (op *sendOp) setAddress() error {
	remote := op.tx.Path.Remote
	addr := remote.Addr()
	if op.os.v6 {
		index := 0
		if zone := addr.Zone(); zone != "" {
			if index = op.os.zones.index(zone); index == 0 {
				return unix.ENODEV
			}
		}
		op.to.setIPv6(remote, uint32(index))
		return nil
	}
	if !addr.Is4() {
		return unix.EAFNOSUPPORT
	}
	op.to.setIPv4(remote)
	return nil
}

// sendAll sends until nothing is left or there is no room. If the system refuses a run of datagrams, they
// and the rest of the Transmit are sent individually, each with its own error.
func (op *sendOp) sendAll(fd uintptr) {
	op.block = false
	for tx := op.tx; len(tx.Data) > 0; {
		data, oob := tx.First(), op.oob[:op.single]
		isRun := op.most > 1 && len(data) < len(tx.Data)
		if isRun {
			data, oob = tx.Data[:min(op.most*tx.SegmentSize, len(tx.Data))], op.oob[:op.run]
		}
		err := op.os.sendmsg(int(fd), data, oob, &op.to)
		switch {
		case err == nil:
			// The last datagram, which may be shorter, proves nothing: the others may be too large for the path.
			op.proven = op.proven || op.refusal != nil && len(data) == tx.SegmentSize
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			op.block = true
			return
		case op.reports && !op.again && mayBeReport(err):
			op.again, op.noted = true, true // repeat: the system reports each message once
			continue
		case isRun:
			op.most, op.again = 1, false
			if refusesGSO(err) {
				op.refusal = err
			} else {
				op.first = err // possibly about an earlier datagram: see Conn.ReportErrors
			}
			continue
		case op.first == nil:
			op.first = err
		}
		tx.Data = tx.Data[len(data):]
		op.again = false
	}
}

// mayBeReport reports whether err may come from an ICMP message about an earlier datagram.
func mayBeReport(err error) bool {
	class := Classify(err)
	return class == ClassRefused || class == ClassTooLarge
}

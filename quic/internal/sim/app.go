package sim

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/streams"
)

// An App is the application on one side of a connection. It makes and verifies transfers. Byte i of every
// stream is a function of i, so the receiver can verify it.
type App struct {
	// Send lists the transfers to make once the connection is established, each on its own stream.
	Send []Transfer
	// Echo, if set, answers each bidirectional stream with as many bytes as it received.
	Echo bool
	// Pause, if set, returns how many bytes may have been read in total so far. It makes a slow reader.
	Pause func() int

	// Datagrams is the number of datagrams to send, of DatagramSize bytes or, if that is 0, the largest possible
	// size. The first four bytes of each are its number.
	Datagrams, DatagramSize int

	// Results.
	Received int // bytes
	Finished int // streams that ended with the peer's FIN, including answers
	Resets   int
	// ResetSizes are the numbers of bytes that were read of the streams that were reset.
	ResetSizes []int
	Got        []uint32 // the numbers of the datagrams that were received, in order

	opened  int
	thrown  int     // datagrams sent so far
	order   []int64 // the numbers of the streams that ended, in order
	sending []*sending
	reading []*reading
}

// A Transfer is the data of one stream.
type Transfer struct {
	Uni  bool
	Size int
	// ResetAt, if positive, is the reliable size of a reset in place of the end of the stream. More bytes than these may
	// arrive.
	ResetAt int
	// Urgency and Ordered are the priority of the stream, if Priority is set.
	Priority, Ordered bool
	Urgency           uint8
}

type sending struct {
	id      streams.ID
	left    int
	at      int
	resetAt int
}

type reading struct {
	id streams.ID
	at int
}

// run performs all operations that do not block.
func (a *App) run(c *Conn) {
	if a == nil || c.Connected.IsZero() && c.Early.IsZero() || c.Err() != nil {
		return
	}
	for a.opened < len(a.Send) {
		t := a.Send[a.opened]
		id, err := c.OpenStream(c.node.w.now, t.Uni)
		if err != nil {
			break
		}
		a.opened++
		a.sending = append(a.sending, &sending{id: id, left: t.Size, resetAt: t.ResetAt})
		if t.Priority {
			c.SetStreamPriority(id, t.Urgency, !t.Ordered)
		}
		if !t.Uni {
			a.reading = append(a.reading, &reading{id: id})
		}
	}
	for _, uni := range []bool{false, true} {
		for id, ok := c.AcceptStream(uni); ok; id, ok = c.AcceptStream(uni) {
			a.reading = append(a.reading, &reading{id: id})
			if !uni && !a.Echo {
				a.sending = append(a.sending, &sending{id: id}) // an empty stream ends at once
			}
		}
	}
	a.readAll(c)
	a.writeAll(c)
	if !c.Connected.IsZero() {
		a.exchangeDatagrams(c)
	}
}

// exchangeDatagrams receives what has arrived and sends as many datagrams as fit into the queue.
func (a *App) exchangeDatagrams(c *Conn) {
	for b, ok := c.ReceiveDatagram(); ok; b, ok = c.ReceiveDatagram() {
		for i := range b[4:] {
			if b[4+i] != pattern(i) {
				c.node.w.Fail("%s: wrong byte in a datagram", c.node.Name)
				return
			}
		}
		a.Got = append(a.Got, binary.BigEndian.Uint32(b))
	}
	for a.thrown < a.Datagrams {
		size := a.DatagramSize
		if size == 0 {
			size = c.MaxDatagram()
		}
		b := binary.BigEndian.AppendUint32(nil, uint32(a.thrown))
		for i := range size - 4 {
			b = append(b, pattern(i))
		}
		if err := c.SendDatagram(c.node.w.now, b); err != nil {
			if !errors.Is(err, core.ErrDatagramQueueFull) {
				c.node.w.Fail("%s: send datagram: %w", c.node.Name, err)
			}
			return
		}
		a.thrown++
	}
}

func (a *App) readAll(c *Conn) {
	buf := make([]byte, 16<<10)
	kept := a.reading[:0]
	for _, r := range a.reading {
		if !a.read(c, r, buf) {
			kept = append(kept, r)
		}
	}
	a.reading = kept
}

// read reads from a stream and reports whether the stream has ended.
func (a *App) read(c *Conn, r *reading, buf []byte) bool {
	for {
		p := buf
		if a.Pause != nil {
			p = p[:max(0, min(len(p), a.Pause()-a.Received))]
			if len(p) == 0 {
				return false
			}
		}
		n, err := c.Read(c.node.w.now, r.id, p)
		for i, b := range p[:n] {
			if b != pattern(r.at+i) {
				c.node.w.Fail("%s: stream %d: wrong byte at %d", c.node.Name, r.id, r.at+i)
				return true
			}
		}
		r.at += n
		a.Received += n
		var reset *streams.ResetError
		switch {
		case errors.Is(err, io.EOF):
			a.Finished++
			a.order = append(a.order, r.id.Num())
			if a.Echo && c.Side() != r.id.Initiator() && !r.id.Uni() {
				a.sending = append(a.sending, &sending{id: r.id, left: r.at})
			}
			return true
		case errors.As(err, &reset):
			a.Resets++
			a.ResetSizes = append(a.ResetSizes, r.at)
			return true
		case errors.Is(err, streams.ErrBlocked):
			return false
		case err != nil:
			return true
		}
	}
}

func (a *App) writeAll(c *Conn) {
	buf := make([]byte, 16<<10)
	kept := a.sending[:0]
	for _, s := range a.sending {
		if !a.write(c, s, buf) {
			kept = append(kept, s)
		}
	}
	a.sending = kept
}

// write writes to a stream and reports whether everything has been written.
func (a *App) write(c *Conn, s *sending, buf []byte) bool {
	for s.left > 0 {
		p := buf[:min(len(buf), s.left)]
		for i := range p {
			p[i] = pattern(s.at + i)
		}
		n, err := c.Write(c.node.w.now, s.id, p)
		s.at += n
		s.left -= n
		if errors.Is(err, streams.ErrBlocked) {
			return false
		}
		if err != nil {
			return true
		}
	}
	if s.resetAt > 0 {
		if err := c.ResetStreamAt(c.node.w.now, s.id, resetCode, int64(s.resetAt)); err != nil {
			c.node.w.Fail("%s: reset stream %d: %w", c.node.Name, s.id, err)
		}
		return true
	}
	_ = c.CloseWrite(c.node.w.now, s.id)
	return true
}

// resetCode is the error code of all resets.
const resetCode = 7

// pattern returns byte i of every stream.
func pattern(i int) byte { return byte(i*7 + i>>8*13 + i>>16*29) }

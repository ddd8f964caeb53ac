package scenario

import (
	"errors"
	"fmt"
)

// Validate returns an error, with its place, for a scenario that cannot work: references to something that
// does not exist, and scripts that would wait forever.
func (s *Scenario) Validate() error {
	if len(s.Servers) == 0 {
		return errors.New("servers: the list is empty")
	}
	for i := range s.Servers {
		if err := s.validateServer(i, &s.Servers[i]); err != nil {
			return err
		}
	}
	for i := range s.Clients {
		if err := s.validateClient(i, &s.Clients[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scenario) certificate(where string, i uint64) error {
	if i >= uint64(len(s.Certificates)) {
		return fmt.Errorf("%s: certificate %d does not exist: the scenario has %d", where, i, len(s.Certificates))
	}
	return nil
}

func (s *Scenario) validateServer(i int, v *Server) error {
	where := fmt.Sprintf("servers[%d]", i)
	if err := errors.Join(s.certificate(where+".private_key", v.PrivateKey), s.certificate(where+".certificate", v.Certificate),
		s.certificate(where+".certificate_authority", v.CertificateAuthority)); err != nil {
		return err
	}
	for j := range v.Connections {
		c := &v.Connections[j]
		where := fmt.Sprintf("%s.connections[%d]", where, j)
		// Each connection of a server has its own tokens.
		unparked := make(map[uint64]bool)
		c.unparks(unparked)
		if err := c.validate(where, unparked); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scenario) validateClient(i int, c *Client) error {
	where := fmt.Sprintf("clients[%d]", i)
	for _, a := range c.CertificateAuthorities {
		if err := s.certificate(where+".certificate_authorities", a); err != nil {
			return err
		}
	}
	// All connections of a client share its tokens.
	unparked := make(map[uint64]bool)
	unparks(c.Scenario, unparked)
	for j := range c.Connections {
		c.Connections[j].unparks(unparked)
	}
	for j := range c.Connections {
		if err := c.Connections[j].validate(fmt.Sprintf("%s.connections[%d]", where, j), unparked); err != nil {
			return err
		}
	}
	v := checker{unparked: unparked}
	v.connect = func(op *Op) error { return s.validateConnect(c, op) }
	return v.ops(c.Scenario, where+".scenario")
}

func (s *Scenario) validateConnect(c *Client, op *Op) error {
	if op.ServerID >= uint64(len(s.Servers)) {
		return fmt.Errorf("server %d does not exist: the scenario has %d", op.ServerID, len(s.Servers))
	}
	if op.HasRouter && op.RouterID >= uint64(len(s.Routers)) {
		return fmt.Errorf("router %d does not exist: the scenario has %d", op.RouterID, len(s.Routers))
	}
	if op.ClientConnectionID >= uint64(len(c.Connections)) {
		return fmt.Errorf("connection %d of the client does not exist: it has %d", op.ClientConnectionID, len(c.Connections))
	}
	server := s.Servers[op.ServerID]
	if op.ServerConnectionID >= uint64(len(server.Connections)) {
		return fmt.Errorf("server %d has no connection %d: it has %d", op.ServerID, op.ServerConnectionID, len(server.Connections))
	}
	return nil
}

func (c *Connection) unparks(into map[uint64]bool) {
	unparks(c.Ops, into)
	for _, ops := range c.PeerStreams {
		unparks(ops, into)
	}
}

// unparks collects the checkpoints that operations unpark.
func unparks(ops []Op, into map[uint64]bool) {
	for i := range ops {
		if ops[i].Kind == Unpark {
			into[ops[i].ID] = true
		}
		unparks(ops[i].Operations, into)
		for _, t := range ops[i].Threads {
			unparks(t, into)
		}
	}
}

func (c *Connection) validate(where string, unparked map[uint64]bool) error {
	opened := make(map[uint64]Kind)
	if err := opens(c.Ops, where+".ops", opened, false); err != nil {
		return err
	}
	v := checker{unparked: unparked, stream: func(op *Op) error {
		kind, ok := opened[op.StreamID]
		switch {
		case !ok:
			return fmt.Errorf("stream %d is never opened", op.StreamID)
		case kind == OpenSendStream && (op.Kind == Receive || op.Kind == ReceiveAll || op.Kind == ReceiveFinish):
			return fmt.Errorf("stream %d is send-only", op.StreamID)
		}
		return nil
	}}
	if err := v.ops(c.Ops, where+".ops"); err != nil {
		return err
	}
	for i, ops := range c.PeerStreams {
		v := checker{unparked: unparked, stream: func(op *Op) error {
			switch {
			case op.Kind == OpenBidirectionalStream || op.Kind == OpenSendStream:
				return errors.New("the script of a peer's stream cannot open streams")
			case op.StreamID != uint64(i):
				return fmt.Errorf("stream %d is used in the script of stream %d", op.StreamID, i)
			}
			return nil
		}}
		if err := v.ops(ops, fmt.Sprintf("%s.peer_streams[%d]", where, i)); err != nil {
			return err
		}
	}
	return nil
}

// opens collects the streams that operations open. Each stream can be opened once.
func opens(ops []Op, where string, into map[uint64]Kind, again bool) error {
	for i := range ops {
		op := &ops[i]
		at := fmt.Sprintf("%s[%d].%s", where, i, op.Kind)
		if op.Kind == OpenBidirectionalStream || op.Kind == OpenSendStream {
			if _, twice := into[op.StreamID]; twice || again {
				return fmt.Errorf("%s: stream %d is opened more than once", at, op.StreamID)
			}
			into[op.StreamID] = op.Kind
		}
		repeated := again || op.Kind == Iterate && (op.Timed || op.Count > 1)
		if err := opens(op.Operations, at+".operations", into, repeated); err != nil {
			return err
		}
		for j, t := range op.Threads {
			if err := opens(t, fmt.Sprintf("%s.threads[%d]", at, j), into, again); err != nil {
				return err
			}
		}
	}
	return nil
}

// checker checks operations one by one.
type checker struct {
	unparked map[uint64]bool
	stream   func(*Op) error // checks operations on streams
	connect  func(*Op) error
}

func (v *checker) ops(ops []Op, where string) error {
	for i := range ops {
		op := &ops[i]
		if err := v.op(op); err != nil {
			return fmt.Errorf("%s[%d].%s: %w", where, i, op.Kind, err)
		}
		if len(op.Operations) == 0 && len(op.Threads) == 0 {
			continue
		}
		at := fmt.Sprintf("%s[%d].%s", where, i, op.Kind)
		if err := v.ops(op.Operations, at+".operations"); err != nil {
			return err
		}
		for j, t := range op.Threads {
			if err := v.ops(t, fmt.Sprintf("%s.threads[%d]", at, j)); err != nil {
				return err
			}
		}
	}
	return nil
}

// ErrReceiveNothing reports a receive of no bytes. In s2n-netbench it waits for the end of the stream,
// which a peer that waits for an answer does not send.
var ErrReceiveNothing = errors.New("the number of bytes is 0: this would wait for the end of the stream; " +
	"leave the operation out, or use receive_all")

func (v *checker) op(op *Op) error {
	switch op.Kind {
	case Park:
		if !v.unparked[op.ID] {
			return fmt.Errorf("no operation unparks checkpoint %d: this would wait forever", op.ID)
		}
	case Receive:
		if op.Bytes == 0 {
			return ErrReceiveNothing
		}
	case SendRate, ReceiveRate:
		if op.Bytes == 0 || op.Period == 0 {
			return errors.New("the rate has 0 bytes or a period of 0: this would wait forever")
		}
	case Iterate:
		if op.Timed && len(op.Operations) == 0 {
			return errors.New("there are no operations to repeat")
		}
	}
	switch {
	case op.Kind.Stream():
		return v.stream(op)
	case op.Kind == Connect:
		return v.connect(op)
	}
	return nil
}

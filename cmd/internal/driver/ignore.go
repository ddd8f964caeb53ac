package driver

import (
	"time"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

// ignore is receive_finish: nothing more is read of the stream. A client whose server ends the stream, as
// the scenario says, does wait for that end before it closes the connection, since a stack may drop what it
// has received and acknowledged, but not yet handed over, when the connection is closed. The server is told
// to stop if it sends anything but the end.
func (s *script) ignore(st *stream) error {
	st.ignored = true
	if st.id >= uint64(len(s.peerStreams)) || !finishes(s.peerStreams[st.id]) {
		return st.StopReading()
	}
	if err := st.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	s.ends.Go(func() {
		var b [1]byte
		for {
			switch n, err := st.Read(b[:]); {
			case n > 0:
				_ = st.StopReading() // a connection that is gone sends nothing either
				return
			case err != nil:
				return // that is the end
			}
		}
	})
	return nil
}

// finishes tells whether operations end the sending direction of the stream whose script they are.
func finishes(ops []scenario.Op) bool {
	for i := range ops {
		if ops[i].Kind == scenario.SendFinish || finishes(ops[i].Operations) {
			return true
		}
		for _, t := range ops[i].Threads {
			if finishes(t) {
				return true
			}
		}
	}
	return false
}

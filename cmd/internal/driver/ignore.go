package driver

import (
	"time"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

// ignore executes receive_finish: nothing more is read from the stream. If the server's script ends the
// stream, the client waits for that end before it closes the connection, because a stack may discard data
// that it has received and acknowledged, but not delivered, when the connection is closed. If the server
// sends anything but the end, the driver asks it to stop.
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
				_ = st.StopReading() // fails only if the connection is gone, and then nothing more is sent
				return
			case err != nil:
				return // the end of the stream
			}
		}
	})
	return nil
}

// finishes reports whether operations end the sending direction of the stream that runs them.
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

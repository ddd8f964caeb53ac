package scenario

// Unanswered reports whether there is a stream on which a server receives something and afterwards neither
// sends nor ends anything.
func (s *Scenario) Unanswered() bool {
	for i := range s.Servers {
		for j := range s.Servers[i].Connections {
			for _, ops := range s.Servers[i].Connections[j].PeerStreams {
				if last(ops, false) {
					return true
				}
			}
		}
	}
	return false
}

// last reports whether the last operation that transfers data receives. receives is the result for the
// operations before ops.
func last(ops []Op, receives bool) bool {
	for i := range ops {
		switch ops[i].Kind {
		case Receive, ReceiveAll:
			receives = true
		case SendFinish:
			receives = false
		}
		receives = last(ops[i].Operations, receives)
		for _, t := range ops[i].Threads {
			receives = last(t, receives)
		}
	}
	return receives
}

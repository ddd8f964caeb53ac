package scenario

// Unanswered tells whether there is a stream on which a server receives something and neither sends nor
// ends anything afterwards.
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

// last tells whether the last operation to carry something, of those before and ops, receives.
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

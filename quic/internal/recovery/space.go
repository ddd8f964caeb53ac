package recovery

// Space is a packet number space.
type Space uint8

const (
	SpaceInitial Space = iota
	SpaceHandshake
	SpaceApp
	NumSpaces
)

func (s Space) String() string {
	return [...]string{"Initial", "Handshake", "Application", "?"}[s&3]
}

// Fate is what became of a sent packet.
type Fate uint8

const (
	Acked Fate = iota
	Lost
)

// ECN is the codepoint of a received datagram.
type ECN uint8

const (
	notECT ECN = iota
	ect1
	ect0
	ce
)

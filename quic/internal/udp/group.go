package udp

// A Selector selects a socket of a group by four bytes of a connection ID: it reads them in network byte order,
// multiplies by Key modulo 2^32, and takes the upper 16 bits modulo Sockets. The multiplication is cheap in a
// classic BPF program, and does not reveal the socket's number to an observer who does not know Key.
type Selector struct {
	Key     uint32
	Sockets int // from 1 to MaxGroup
	Offset  int // of the four bytes in the connection ID
}

// MaxGroup is the maximum number of sockets in a group.
const MaxGroup = 256

// Select returns the number of the socket for the bytes w.
func (s Selector) Select(w uint32) int { return int(w * s.Key >> 16 % uint32(s.Sockets)) }

// disableBPF is the environment variable that disables the BPF program of a group, if it is not empty.
const disableBPF = "PQQUIC_DISABLE_BPF"

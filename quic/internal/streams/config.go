package streams

// Config sets the limits of a connection's streams. Windows and buffers are in bytes. It is not
// changed while a Set uses it, and can be shared.
type Config struct {
	// RecvWindow is how far the peer may send ahead of what was read of a stream, at first;
	// the window grows to MaxRecvWindow at most. ConnWindow and MaxConnWindow are the same for
	// the sum over all streams.
	RecvWindow, MaxRecvWindow int64
	ConnWindow, MaxConnWindow int64
	// SendBuffer is how much of a stream may be written and not acknowledged.
	SendBuffer int64
	// MaxBidi and MaxUni are the numbers of streams that the peer may have open at a time.
	MaxBidi, MaxUni int64
	// AbortRate is the number of streams per second that the peer may open and abort; 0 means no
	// limit. It may exceed the rate for a few seconds. What we asked it to abort does not count.
	AbortRate int64
	// SendMemory and RecvMemory, if set, bound the memory for bytes that were written and not
	// acknowledged, and for bytes that have arrived and were not read.
	SendMemory, RecvMemory *Budget
}

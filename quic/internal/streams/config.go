package streams

// Config sets the limits of a connection's streams. Windows and buffers are in bytes. A Config may be
// shared, and must not be changed while a Set uses it.
type Config struct {
	// RecvWindow is the initial number of bytes that the peer may send on a stream before they are read.
	// The window grows up to MaxRecvWindow. ConnWindow and MaxConnWindow are the same for the sum of all
	// streams.
	RecvWindow, MaxRecvWindow int64
	ConnWindow, MaxConnWindow int64
	// SendBuffer is the maximum amount of data of a stream that is written but not acknowledged.
	SendBuffer int64
	// MaxBidi and MaxUni are the numbers of streams that the peer may have open at a time.
	MaxBidi, MaxUni int64
	// AbortRate is the number of streams per second that the peer may open and abort; 0 means no limit. It
	// may exceed the rate for a few seconds. Streams that we asked it to abort do not count.
	AbortRate int64
	// ResetStreamAt allows the peer to send RESET_STREAM_AT.
	ResetStreamAt bool
	// SendMemory and RecvMemory, if set, bound the memory for data that was written but not acknowledged,
	// and for data that has arrived but was not read.
	SendMemory, RecvMemory *Budget
}

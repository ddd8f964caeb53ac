// Package core is the QUIC state machine. It has no sockets, clock, goroutines, channels or mutexes, uses
// no cgo, and calls nothing slow and no code of the application. Time is an argument and randomness is
// injected. The same code runs under the event loop of package quic and under the simulator.
//
// # The execution contract
//
// There are two state machines. An [Endpoint] serves a set of sockets: it routes datagrams to connections,
// answers datagrams that belong to no connection, and admits new connections. A [Conn] is one connection.
// They do not know each other: the driver carries values between them.
//
// A Conn's methods fall into four classes.
//
//	inputs    HandleTrain, HandleSendResult, HandleTimeout, HandleTLSResult, HandleStatelessReset,
//	          HandleTooLarge, HandlePacketTooBig
//	calls     OpenStream, AcceptStream, Read, Write, …, Close: the application's
//	outputs   PollTLS, PollEvent, PollEndpointEvents, PollTransmit, NextTimeout
//	getters   State, Stats, HasTransmit …
//
// After any number of inputs and calls, the driver polls each output in the order above until it is empty.
// NextTimeout comes last, because PollTransmit changes it. A driver that skips a poll delays progress but
// does not break correctness.
//
// The inputs of an Endpoint are Receive, HandleConnEvent and HandleTimeout. After HandleTimeout, the driver
// sends what PollTransmit returns, and calls NextPostponed while there is room for handshakes. For each
// [Incoming], it calls [NewServerConn] and Add, or Refuse, Ignore or Postpone.
//
// # Ownership and locking
//
// Conns and Endpoints have no locks. Only one goroutine at a time may use one of them; package quic guards
// each with a mutex. The driver never holds two of these mutexes: it takes values out of one (a [Routed],
// an [EndpointEvent]), unlocks it, and passes the values to the other.
//
//   - A [Train]'s bytes are borrowed for the call of HandleTrain, which decrypts them in place.
//   - PollTransmit writes into the caller's buffer. The trains of a Conn are sent in the order in
//     which they were polled.
//   - Event values hold no borrowed bytes.
//   - A [TLSJob] belongs to the caller of PollTLS until HandleTLSResult.
//
// # TLS is a job
//
// The Conn never calls a TLS session. PollTLS returns at most one job at a time, with a copy of the CRYPTO
// data. Any goroutine may run it, and the driver hands it back. Meanwhile the Conn receives, acknowledges,
// probes and expires, and keeps a bounded number of packets that it cannot open yet. If a Conn closes while
// a job is running, it frees the session when the job returns. The driver must return every job, even to a
// closed Conn.
//
// # Time
//
// Time never runs backwards inside a Conn: an argument earlier than the latest time seen is replaced by
// that time.
package core

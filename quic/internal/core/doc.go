// Package core is the QUIC state machine: no sockets, no clock, no goroutines, no channels, no
// mutexes, no cgo, and nothing slow or foreign. Time is an argument; randomness is injected. The
// same code runs under the event loop of package quic and under the simulator.
//
// # The execution contract
//
// There are two machines. An [Endpoint] serves one set of sockets: it routes datagrams, answers
// those that belong to no connection, and admits new connections. A [Conn] is one connection. Neither
// knows the other: the driver carries values between them.
//
// A Conn's methods fall into four classes.
//
//	inputs    HandleTrain, HandleSendResult, HandleTimeout, HandleTLSResult, HandleStatelessReset
//	calls     OpenStream, AcceptStream, Read, Write, …, Close: the application's
//	outputs   PollTLS, PollEvent, PollEndpointEvent, PollTransmit, NextTimeout
//	getters   State, Stats, HasTransmit …
//
// After any number of inputs and calls the driver drives the Conn to quiescence: it polls each
// output until it is empty, in the order above. NextTimeout comes last, for PollTransmit moves it.
// A driver that skips a poll loses progress, never correctness.
//
// An Endpoint's inputs are Receive, HandleConnEvent and HandleTimeout. After HandleTimeout the driver
// sends what PollTransmit returns, and calls NextPostponed while there is room for handshakes. It
// decides about each [Incoming] that it gets: [NewServerConn] and Add, or Refuse, Ignore or Postpone.
//
// # Ownership and locking
//
// A Conn has no lock of its own: one goroutine at a time may be inside of it, and package quic
// holds one mutex around it. An Endpoint likewise. The driver never holds both: it takes values out
// of one (a [Routed], an [EndpointEvent]), unlocks, and gives them to the other.
//
//   - A [Train]'s bytes are borrowed for the call of HandleTrain, which decrypts them in place.
//   - PollTransmit writes into the caller's buffer. The trains of a Conn are sent in the order in
//     which they were polled.
//   - Event values hold no borrowed bytes.
//   - A [TLSJob] belongs to whoever holds it, from PollTLS until HandleTLSResult.
//
// # TLS is a job
//
// The Conn never calls a TLS session. PollTLS yields at most one job at a time, with the CRYPTO
// bytes copied; any goroutine runs it and the driver hands it back. Meanwhile the Conn receives,
// acknowledges, probes and expires, and keeps a bounded number of packets that it cannot open yet.
// A Conn that closes while a job is out frees the session when the job returns; a driver always
// returns jobs, to a closed Conn too.
//
// # Time
//
// Time never runs backwards inside of a Conn: an argument earlier than the last one counts as the
// last one.
package core

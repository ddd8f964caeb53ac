// Package scenario is the file format of s2n-netbench: what clients and servers of a benchmark do, as
// JSON that they all read. Write produces the same bytes as its scenario generator.
package scenario

import "time"

// A Scenario is what a file holds.
type Scenario struct {
	ID      string
	Clients []Client
	Servers []Server
	Routers []Router
	// Traces are the names of trace IDs.
	Traces       []string
	Certificates []Certificate

	// templates are what the generator makes the certificates from; they count for the ID.
	templates []template
}

// A Client is one client process.
type Client struct {
	Name                   string
	Scenario               []Op // Sleep, Connect, Park, Unpark, Trace and Scope
	Connections            []Connection
	Configuration          map[string]string
	CertificateAuthorities []uint64 // indices into Certificates
}

// A Server is one server process.
type Server struct {
	Name          string
	Connections   []Connection
	Configuration map[string]string
	// Indices into Certificates.
	PrivateKey, Certificate, CertificateAuthority uint64
}

// A Connection is the script of one side of a connection.
type Connection struct {
	Ops []Op
	// PeerStreams are the scripts that run on the streams that the peer opens, by logical ID.
	PeerStreams [][]Op
}

// A Router stands between clients and servers in the format; no driver has ever executed one. What it
// does is kept as it was read.
type Router struct {
	Name          string
	Scenario      []byte // JSON
	Configuration map[string]string
}

// A Certificate is a certificate chain, or a private key, as PEM. PKCS12, base64, is only of use to the
// native-tls driver of s2n-netbench.
type Certificate struct {
	PEM, PKCS12 string
}

// Kind is which operation an Op is. The values of those of connections are the discriminants that the
// ID is made of.
type Kind uint8

// The operations.
const (
	Sleep Kind = iota
	OpenBidirectionalStream
	OpenSendStream
	Send
	SendFinish
	SendRate
	Receive
	ReceiveAll
	ReceiveFinish
	ReceiveRate
	Park
	Unpark
	Trace
	Profile
	Iterate
	Scope
	// Connect is a client's, outside of connections.
	Connect
)

var kindNames = [...]string{"sleep", "open_bidirectional_stream", "open_send_stream", "send", "send_finish",
	"send_rate", "receive", "receive_all", "receive_finish", "receive_rate", "park", "unpark", "trace", "profile",
	"iterate", "scope", "connect"}

func (k Kind) String() string { return kindNames[k] }

// Stream reports whether the operation is one on a stream.
func (k Kind) Stream() bool { return k >= OpenBidirectionalStream && k <= ReceiveRate }

// An Op is an operation, of a connection or of a client. Kind says which fields are in use.
type Op struct {
	Kind Kind
	// StreamID is the logical ID of the stream (all kinds for which Kind.Stream holds).
	StreamID uint64
	// Bytes are those to send or receive, those for each Period for the rates.
	Bytes uint64
	// Period is that of a rate, how long to sleep, or how long to iterate.
	Period time.Duration
	// ID is the checkpoint of Park and Unpark, and the trace of Trace and Profile; that of Iterate if
	// HasTrace.
	ID       uint64
	HasTrace bool
	// Count is how often to iterate; Timed says that Period counts instead.
	Count uint64
	Timed bool
	// Operations are the body of Profile and Iterate, Threads those of Scope.
	Operations []Op
	Threads    [][]Op
	// Of Connect.
	ServerID, RouterID, ServerConnectionID, ClientConnectionID uint64
	HasRouter                                                  bool
}

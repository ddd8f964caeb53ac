// Package scenario implements the file format of s2n-netbench: JSON that describes what the clients and
// servers of a benchmark do. Marshal produces the same bytes as its scenario generator.
package scenario

import "time"

// A Scenario is the content of a file.
type Scenario struct {
	ID      string
	Clients []Client
	Servers []Server
	Routers []Router
	// Traces holds the names of trace IDs.
	Traces       []string
	Certificates []Certificate

	// templates describe how the generator makes the certificates. They are part of the ID.
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
	// PeerStreams holds the scripts for the streams that the peer opens, by logical ID.
	PeerStreams [][]Op
}

// A Router stands between clients and servers in the format. No driver executes one; its content is kept
// unchanged.
type Router struct {
	Name          string
	Scenario      []byte // JSON
	Configuration map[string]string
}

// A Certificate is a certificate chain or a private key in PEM. PKCS12, in base64, is used only by
// s2n-netbench's native-tls driver.
type Certificate struct {
	PEM, PKCS12 string
}

// Kind is the kind of an Op. The values of a connection's operations are the discriminants that the ID is
// computed from.
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
	// Connect is an operation of a client, outside of connections.
	Connect
)

var kindNames = [...]string{"sleep", "open_bidirectional_stream", "open_send_stream", "send", "send_finish",
	"send_rate", "receive", "receive_all", "receive_finish", "receive_rate", "park", "unpark", "trace", "profile",
	"iterate", "scope", "connect"}

func (k Kind) String() string { return kindNames[k] }

// Stream reports whether the operation is one on a stream.
func (k Kind) Stream() bool { return k >= OpenBidirectionalStream && k <= ReceiveRate }

// An Op is an operation of a connection or a client. Kind determines which fields are used.
type Op struct {
	Kind Kind
	// StreamID is the logical ID of the stream (for kinds with Kind.Stream).
	StreamID uint64
	// Bytes is the number of bytes to send or receive, or for a rate, the number in each Period.
	Bytes uint64
	// Period is the period of a rate, the time to sleep, or the time to iterate.
	Period time.Duration
	// ID is the checkpoint of Park and Unpark, the trace of Trace and Profile, and the trace of Iterate if
	// HasTrace is set.
	ID       uint64
	HasTrace bool
	// Count is the number of iterations, unless Timed is set: then Period counts.
	Count uint64
	Timed bool
	// Operations is the body of Profile and Iterate; Threads are those of Scope.
	Operations []Op
	Threads    [][]Op
	// Fields of Connect.
	ServerID, RouterID, ServerConnectionID, ClientConnectionID uint64
	HasRouter                                                  bool
}

//go:build !pqquic_fips && !pqquic_fips4

package quic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/certwatch"
)

// A server echoes a stream over loopback, with a certificate generated for the example.
func Example() {
	ctx := context.Background()
	cert := testcert.New("localhost")
	listener, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{TLS: &tlsprovider.Config{
		NextProtos:   []string{"echo"},
		Certificates: []tlsprovider.Certificate{cert.Provider()},
	}})
	check(err)
	defer listener.Endpoint().Close()
	go func() {
		conn, err := listener.Accept(ctx)
		check(err)
		stream, err := conn.AcceptStream(ctx)
		check(err)
		defer stream.Close()
		io.Copy(stream, stream)
	}()

	conn, err := quic.Dial(ctx, "udp", listener.Addr().String(), &quic.Config{
		TLS:        &tlsprovider.Config{NextProtos: []string{"echo"}, RootCAs: cert.Roots()},
		ServerName: "localhost",
	})
	check(err)
	defer conn.Close()
	stream, err := conn.OpenStream(ctx)
	check(err)
	io.WriteString(stream, "hello")
	check(stream.CloseWrite())
	reply, err := io.ReadAll(stream)
	check(err)
	fmt.Println(string(reply), conn.ConnectionState().TLS.Group)
	// Output: hello X25519MLKEM768
}

// A server's certificate is replaced while it runs, when its files change. Watch notices it by itself; Reload does not wait.
func ExampleEndpoint_SetTLS() {
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	first, second := testcert.New("first certificate", "localhost"), testcert.New("second certificate", "localhost")
	certFile, keyFile, err := first.Write(dir)
	check(err)

	files, err := certwatch.Open(certwatch.Config{
		Base:         &tlsprovider.Config{NextProtos: []string{"echo"}},
		Certificates: []certwatch.Certificate{{CertFile: certFile, KeyFile: keyFile}},
	})
	check(err)
	listener, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{TLS: files.TLS()})
	check(err)
	defer listener.Endpoint().Close()
	files.Watch(listener.Endpoint().SetTLS)
	defer files.Close()

	roots := first.Roots()
	roots.AddDER(second.X509.Raw)
	for range 2 {
		conn, err := quic.Dial(context.Background(), "udp", listener.Addr().String(), &quic.Config{
			TLS:        &tlsprovider.Config{NextProtos: []string{"echo"}, RootCAs: roots},
			ServerName: "localhost",
		})
		check(err)
		state := conn.ConnectionState().TLS
		chain, err := state.PeerCertificates()
		check(err)
		fmt.Println(chain[0].Subject.CommonName)
		check(conn.Close())

		_, _, err = second.Write(dir)
		check(err)
		check(files.Reload())
	}
	// Output:
	// first certificate
	// second certificate
}

// The type of an error is its reason. All errors of a closed connection are net.ErrClosed.
func ExampleConn_Context() {
	explain := func(conn *quic.Conn) {
		<-conn.Context().Done()
		err := context.Cause(conn.Context())
		var app *quic.ApplicationError
		var transport *quic.TransportError
		switch {
		case errors.As(err, &app):
			fmt.Println("closed by an application with code", app.Code, "by the peer:", app.Remote)
		case errors.As(err, &transport):
			fmt.Println("closed by QUIC or TLS:", transport.Code)
		case errors.Is(err, quic.ErrIdleTimeout):
			fmt.Println("the peer went away")
		case errors.Is(err, net.ErrClosed):
			fmt.Println("closed:", err)
		}
	}
	_ = explain
}

// A server finishes its open streams before it exits.
func ExampleEndpoint_Shutdown() {
	cert := testcert.New("localhost")
	listener, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{TLS: &tlsprovider.Config{
		NextProtos:   []string{"example"},
		Certificates: []tlsprovider.Certificate{cert.Provider()},
	}})
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	endpoint := listener.Endpoint()
	if err := endpoint.Shutdown(ctx); err != nil {
		endpoint.Close()
	}
	_, err = listener.Accept(ctx)
	fmt.Println(err)
	// Output: quic: endpoint closed
}

// A client that comes back sends its request with the first packet, and saves what it needs for that. The server waits for
// the end of the handshake before it does what must not be done twice.
func ExampleDialEarly() {
	ctx := context.Background()
	cert := testcert.New("localhost")
	listener, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{TLS: &tlsprovider.Config{
		NextProtos:   []string{"shop"},
		Certificates: []tlsprovider.Certificate{cert.Provider()},
		EarlyData:    true,
	}})
	check(err)
	defer listener.Endpoint().Close()
	go func() {
		for conn, err := listener.Accept(ctx); err == nil; conn, err = listener.Accept(ctx) {
			stream, err := conn.AcceptStream(ctx)
			check(err)
			request, err := io.ReadAll(stream)
			check(err)
			if string(request) != "list" && stream.EarlyData() {
				<-conn.HandshakeComplete() // a replay does not get here
			}
			fmt.Fprintf(stream, "%s: done", request)
			check(stream.CloseWrite())
		}
	}()

	store := tlsprovider.NewClientStore(0, 0) // UnmarshalBinary restores a saved one
	cfg := &quic.Config{
		TLS:        &tlsprovider.Config{NextProtos: []string{"shop"}, RootCAs: cert.Roots(), ClientStore: store, EarlyData: true},
		TokenStore: store,
		ServerName: "localhost",
	}
	for _, request := range []string{"list", "buy"} {
		conn, err := quic.DialEarly(ctx, "udp", listener.Addr().String(), cfg)
		check(err)
		stream, err := conn.OpenStream(ctx)
		check(err)
		io.WriteString(stream, request)
		check(stream.CloseWrite())
		reply, err := io.ReadAll(stream)
		check(err)
		fmt.Println(string(reply))
		<-conn.HandshakeComplete()
		check(conn.Close())
	}
	_, err = store.MarshalBinary() // for a file that only the user can read
	check(err)
	// Output:
	// list: done
	// buy: done
}

// A server sends the same contents to many clients, and keeps one copy of them.
func ExampleStream_WriteNoCopy() {
	contents := make([]byte, 1<<20) // never changes
	serve := func(stream *quic.Stream) error {
		if _, err := stream.WriteNoCopy(contents, nil); err != nil {
			return err
		}
		return stream.Close()
	}

	// A program that produces what it sends reuses its buffers.
	buffers := sync.Pool{New: func() any { return new([64 << 10]byte) }}
	release := func(p []byte) { buffers.Put((*[64 << 10]byte)(p[:cap(p)])) }
	produce := func(stream *quic.Stream, next func(p []byte) int) error {
		for {
			buf := buffers.Get().(*[64 << 10]byte)
			n := next(buf[:])
			if n == 0 {
				return stream.Close()
			}
			// From here on, buf belongs to the stream, even if there is an error.
			if _, err := stream.WriteNoCopy(buf[:n], release); err != nil {
				return err
			}
		}
	}
	_, _ = serve, produce
}

// The frames of a protocol have a byte with their length and a body. They are parsed where they are, without a
// buffer.
func ExampleStream_Peek() {
	parse := func(stream *quic.Stream, handle func(body []byte)) error {
		for {
			b, err := stream.Peek(1)
			if err == io.EOF {
				return nil // after the last frame
			} else if err != nil {
				return err
			}
			size := 1 + int(b[0])
			b, err = stream.Peek(size)
			if err == io.EOF {
				return io.ErrUnexpectedEOF // within a frame
			} else if err != nil {
				return err
			}
			handle(b[1:size]) // which must not keep it
			if _, err := stream.Discard(size); err != nil {
				return err
			}
		}
	}
	_ = parse
}

// Many connections use one socket.
func ExampleEndpoint_Dial() {
	pc, err := net.ListenPacket("udp", ":0")
	check(err)
	endpoint, err := quic.NewEndpoint(pc, &quic.Config{
		TLS: &tlsprovider.Config{NextProtos: []string{"example"}},
	})
	check(err)
	defer endpoint.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = endpoint.Dial(ctx, "127.0.0.1:4433", nil)
	fmt.Println(err)
	// Output: context canceled
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

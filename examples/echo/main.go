// Command echo is a minimal program with a QUIC server and a client: the client sends a line, the server
// echoes it, and both sides use a post-quantum key exchange.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"time"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cert, roots := selfSigned()

	listener, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{
		TLS: &tlsprovider.Config{
			NextProtos:   []string{"echo"},
			Certificates: []tlsprovider.Certificate{cert},
		},
	})
	check(err)
	go serve(ctx, listener)

	conn, err := quic.Dial(ctx, "udp", listener.Addr().String(), &quic.Config{
		TLS:        &tlsprovider.Config{NextProtos: []string{"echo"}, RootCAs: roots},
		ServerName: "localhost",
	})
	check(err)
	stream, err := conn.OpenStream(ctx)
	check(err)
	_, err = io.WriteString(stream, "hello, post-quantum world\n")
	check(err)
	check(stream.CloseWrite())
	reply, err := io.ReadAll(stream)
	check(err)
	fmt.Printf("%s: %s", conn.ConnectionState().TLS.Group, reply)

	check(conn.Close())
	check(listener.Endpoint().Close())
}

// serve echoes every stream of every connection.
func serve(ctx context.Context, l *quic.Listener) {
	for {
		conn, err := l.Accept(ctx)
		if err != nil {
			return
		}
		go func() {
			for {
				stream, err := conn.AcceptStream(ctx)
				if err != nil {
					return // the connection has ended
				}
				go func() {
					defer stream.Close()
					io.Copy(stream, stream)
				}()
			}
		}()
	}
}

// selfSigned makes a certificate for this run. A real server loads one with tlsprovider.LoadCertificate.
func selfSigned() (tlsprovider.Certificate, *tlsprovider.Roots) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	roots := new(tlsprovider.Roots)
	roots.AddDER(der)
	return tlsprovider.Certificate{Chain: [][]byte{der}, KeyDER: keyDER}, roots
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

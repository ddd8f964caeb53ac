// Command hsm_echo is a QUIC server whose private key is in a token, and a client that sends it a line. It prints what they
// negotiated. docs/keys-in-hardware.md shows how to make the token and the key.
//
//	hsm_echo --library /usr/lib/softhsm/libsofthsm2.so --token servers --key example --pin-file pin
package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"time"

	"github.com/pqquic/pqquic/pkcs11key"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

func main() {
	library := flag.String("library", "", "`path` of the token's PKCS #11 library")
	token := flag.String("token", "", "`label` of the token")
	name := flag.String("key", "", "`label` of the private key")
	pinFile := flag.String("pin-file", "", "`file` with the PIN; without it, the environment variable TOKEN_PIN")
	certFile := flag.String("cert", "", "PEM `file` with the certificate of the key; without it, the key signs one for itself")
	provider := flag.String("provider", "native", "TLS provider: native or s2n")
	flag.Parse()
	pin := pkcs11key.PINFromEnv("TOKEN_PIN")
	if *pinFile != "" {
		pin = pkcs11key.PINFromFile(*pinFile)
	}
	cfg := pkcs11key.Config{Library: *library, Token: *token, PIN: pin}
	if err := run(cfg, *name, *certFile, *provider); err != nil {
		fmt.Fprintln(os.Stderr, "hsm_echo:", err)
		os.Exit(1)
	}
}

func run(cfg pkcs11key.Config, name, certFile, provider string) error {
	p, err := openProvider(provider)
	if err != nil {
		return err
	}
	token, err := pkcs11key.Open(cfg)
	if err != nil {
		return err
	}
	defer token.Close()
	key, err := token.Key(name, nil)
	if err != nil {
		return err
	}
	var cert tlsprovider.Certificate
	if certFile != "" {
		cert, err = key.Certificate(certFile)
	} else {
		cert, err = selfSigned(key)
	}
	if err != nil {
		return err
	}
	roots := new(tlsprovider.Roots)
	roots.AddDER(cert.Chain[len(cert.Chain)-1])

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	listener, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{
		Provider: p, SignTimeout: 3 * time.Second,
		TLS: &tlsprovider.Config{NextProtos: []string{"echo"}, Certificates: []tlsprovider.Certificate{cert}},
	})
	if err != nil {
		return err
	}
	defer listener.Endpoint().Close()
	go serve(ctx, listener)
	return talk(ctx, key, listener.Addr().String(), &quic.Config{
		Provider: p, ServerName: "localhost", TLS: &tlsprovider.Config{NextProtos: []string{"echo"}, RootCAs: roots},
	})
}

func openProvider(name string) (tlsprovider.Provider, error) {
	switch name {
	case "native":
		return native.New(), nil
	case "s2n":
		return s2n.New()
	}
	return nil, fmt.Errorf("unknown provider %q: choose native or s2n", name)
}

// serve echoes every stream of every connection.
func serve(ctx context.Context, l *quic.Listener) {
	for {
		conn, err := l.Accept(ctx)
		if err != nil {
			return
		}
		conn.HandleStreams(func(s *quic.Stream) {
			defer s.Close()
			_, _ = io.Copy(s, s)
		}, nil)
	}
}

// talk sends a line to the server, and prints the answer and the server's key.
func talk(ctx context.Context, key *pkcs11key.Key, addr string, cfg *quic.Config) error {
	conn, err := quic.Dial(ctx, "udp", addr, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := conn.OpenStream(ctx)
	if err != nil {
		return err
	}
	_, err = io.WriteString(stream, "hello from a client")
	if err = errors.Join(err, stream.CloseWrite()); err != nil {
		return err
	}
	reply, err := io.ReadAll(stream)
	if err != nil {
		return err
	}
	tls := conn.ConnectionState().TLS
	fmt.Printf("%-6s  %s, %s  %s  %q\n", tls.Provider, tls.Group, tls.SignatureScheme, key, reply)
	return nil
}

// selfSigned makes a certificate for this run, which the token signs. A real server gets one from an authority.
func selfSigned(key *pkcs11key.Key) (tlsprovider.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hsm_echo"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tlsprovider.Certificate{Chain: [][]byte{der}, Signer: key}, err
}

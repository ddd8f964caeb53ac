package http3_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/pqquic/pqquic/http3"
)

// A client for HTTP/3 alone.
func ExampleTransport() {
	tr := new(http3.Transport)
	defer tr.Close()
	client := &http.Client{Transport: tr, Timeout: 30 * time.Second}
	resp, err := client.Get("https://example.com/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	log.Print(len(b), err, resp.Proto, resp.TLS.CurveID)
}

// A client that begins with HTTP/2, and uses HTTP/3 with servers that advertise it.
func ExampleAltSvc() {
	client := &http.Client{Transport: new(http3.AltSvc)}
	for range 2 {
		resp, err := client.Get("https://example.com/")
		if err != nil {
			log.Fatal(err)
		}
		log.Print(resp.Proto) // HTTP/2.0, then HTTP/3.0
		_ = resp.Body.Close()
	}
}

// A tunnel for a protocol over Extended CONNECT.
func ExampleClientConn_OpenRequestStream() {
	ctx := context.Background()
	var cc *http3.ClientConn // of NewClientConn
	stream, err := cc.OpenRequestStream(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodConnect, "https://example.com/tunnel", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header[":protocol"] = []string{"my-protocol"}
	if err := stream.SendRequest(req); err != nil { // http3.ErrNoExtendedConnect, for example
		log.Fatal(err)
	}
	resp, err := stream.ReadResponse()
	if err != nil || resp.StatusCode != http.StatusOK {
		log.Fatal(err)
	}
	_, err = stream.Write(http3.AppendCapsule(nil, http3.CapsuleDatagram, []byte("hello")))
	log.Print(err)
}

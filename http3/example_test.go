package http3_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/pqquic/pqquic/http3"
)

// A server for HTTP/3 alone, which finishes the requests in progress when the program is asked to stop.
func ExampleServer() {
	cert, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		log.Fatal(err)
	}
	srv := &http3.Server{
		Addr:      ":443",
		Handler:   http.FileServer(http.Dir("public")),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
	}
	stop := make(chan struct{}) // closed by a signal, for example
	go func() {
		<-stop
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			_ = srv.Close()
		}
	}()
	log.Print(srv.ListenAndServe())
}

// HTTP/1.1, HTTP/2 and HTTP/3 on one address. Browsers switch to HTTP/3 after their first request.
func ExampleListenAndServeTLS() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s with %v\n", r.Proto, r.TLS.CurveID)
	})
	log.Print(http3.ListenAndServeTLS(":443", "cert.pem", "key.pem", nil))
}

// A tunnel for a protocol over Extended CONNECT.
func ExampleTakeStream() {
	http.HandleFunc("/tunnel", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(":protocol") != "my-protocol" {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		stream, err := http3.TakeStream(w) // sends status 200
		if err != nil {
			return
		}
		defer stream.Close()
		capsules := http3.NewCapsuleReader(stream)
		for {
			typ, length, err := capsules.Next()
			if err != nil {
				return
			}
			log.Print(typ, length)
		}
	})
}

// Package http3 implements HTTP/3 (RFC 9114) with the handlers of net/http, over package quic. Key exchange is post-quantum by
// default.
//
// # Usage
//
// A server:
//
//	cert, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
//	srv := &http3.Server{
//		Addr:      ":443",
//		Handler:   http.FileServer(http.Dir("public")),
//		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
//	}
//	err = srv.ListenAndServe()
//
// Server.Provider selects another TLS provider, such as tlsprovider/s2n. Browsers find the server by the field Alt-Svc that
// Server.SetAltSvc adds to responses of HTTP/1.1 or HTTP/2.
//
// A client:
//
//	tr := new(http3.Transport)
//	defer tr.Close()
//	client := &http.Client{Transport: tr}
//	resp, err := client.Get("https://example.com/")
//
// AltSvc is a RoundTripper that begins with HTTP/1.1 or HTTP/2, and uses HTTP/3 for servers that advertise it. ClientConn is one
// connection. Requests, trailers, interim responses, httptrace and cancellation by the context work as with HTTP/2. A request with
// the method MethodGet0RTT may be sent as early data (0-RTT), which others can record and send again.
//
// # Handlers
//
// A ResponseWriter implements http.Flusher, io.ReaderFrom, io.StringWriter and the methods of http.ResponseController: read and
// write deadlines, Flush and EnableFullDuplex, which is always the case. Interim responses are sent by WriteHeader with a status
// of 103, for example. Trailers, Expect: 100-continue, panics and http.ErrAbortHandler work as with HTTP/2. A request's context
// ends when the client gives up the request, and with the connection.
//
// # Extensions
//
// HTTPStreamer takes the stream of a CONNECT or Extended CONNECT request (RFC 9220) from its handler, with HTTP datagrams (RFC 9297)
// if Server.EnableDatagrams is set. A client opens such a stream with ClientConn.OpenRequestStream. Server push does not exist: browsers have removed it.
//
// # Concurrency
//
// A request has one goroutine on the server, which calls its handler, and none on the client, except while it sends a body that is
// not short and in memory. A connection has none while nothing happens. docs/http3-design.md explains
// the rest.
package http3

package http3

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// A DualServer serves HTTP/1.1 and HTTP/2 over TCP, and HTTP/3 over UDP, on the same address. Responses over TCP have a field
// Alt-Svc, by which browsers find HTTP/3.
type DualServer struct {
	// TCP serves HTTP/1.1 and HTTP/2. Its Addr and Handler are those of both.
	TCP *http.Server
	// H3 serves HTTP/3. Its Addr and Handler are not used. If it has neither TLS nor TLSConfig, it uses TCP.TLSConfig.
	H3 *Server

	once sync.Once
}

// ListenAndServeTLS serves handler with HTTP/1.1, HTTP/2 and HTTP/3 on addr, with a certificate from files. It does not return
// before one of the servers fails. To stop serving, use a DualServer.
func ListenAndServeTLS(addr, certFile, keyFile string, handler http.Handler) error {
	d := &DualServer{TCP: &http.Server{Addr: addr, Handler: handler}, H3: &Server{}}
	return d.ListenAndServeTLS(certFile, keyFile)
}

// prepare completes the configuration of both servers.
func (d *DualServer) prepare() {
	d.once.Do(func() {
		handler := d.TCP.Handler
		if handler == nil {
			handler = http.DefaultServeMux
		}
		d.H3.Handler = handler
		if d.H3.TLS == nil && d.H3.TLSConfig == nil {
			d.H3.TLSConfig = d.TCP.TLSConfig
		}
		d.TCP.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = d.H3.SetAltSvc(w.Header()) // fails only while the other server ends
			handler.ServeHTTP(w, r)
		})
	})
}

// ListenAndServeTLS listens and serves until one of the servers fails, or until Shutdown or Close is called, after which it returns
// http.ErrServerClosed. The names of files may be empty if the configurations have certificates.
func (d *DualServer) ListenAndServeTLS(certFile, keyFile string) error {
	addr := d.TCP.Addr
	if addr == "" {
		addr = ":https"
	}
	l, pc, err := ListenTCPAndUDP(addr)
	if err != nil {
		return err
	}
	return d.Serve(l, pc, certFile, keyFile)
}

// ListenTCPAndUDP opens a TCP listener and a UDP socket with the same address, for DualServer.Serve. If addr has port 0, the system
// chooses one that is free for TCP. Another socket may have it for UDP, so up to ten are tried. The caller closes both.
func ListenTCPAndUDP(addr string) (net.Listener, net.PacketConn, error) {
	_, port, _ := net.SplitHostPort(addr) // Listen reports the error
	for attempt := 1; ; attempt++ {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		pc, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return l, pc, nil
		}
		if err = errors.Join(err, l.Close()); port != "0" || attempt == 10 {
			return nil, nil, err
		}
	}
}

// Serve is ListenAndServeTLS on sockets, which it closes.
func (d *DualServer) Serve(l net.Listener, pc net.PacketConn, certFile, keyFile string) error {
	d.prepare()
	if certFile != "" || keyFile != "" {
		if err := d.H3.loadCertificate(certFile, keyFile); err != nil {
			return errors.Join(err, l.Close(), pc.Close())
		}
	}
	h3, err := d.H3.listen(pc)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	d.H3.addListener(h3, true) // before the first response over TCP. If the server is closed already, serveOwn reports it
	errs := make(chan error, 2)
	go func() { errs <- d.H3.serveOwn(h3) }()
	go func() { errs <- d.TCP.ServeTLS(l, certFile, keyFile) }()
	err = <-errs
	if errors.Is(err, http.ErrServerClosed) {
		<-errs
		return http.ErrServerClosed
	}
	closeErr := d.Close()
	<-errs
	return errors.Join(err, closeErr)
}

// Shutdown calls Shutdown of both servers at the same time.
func (d *DualServer) Shutdown(ctx context.Context) error {
	h3 := make(chan error, 1)
	go func() { h3 <- d.H3.Shutdown(ctx) }()
	return errors.Join(d.TCP.Shutdown(ctx), <-h3)
}

// Close closes both servers at once.
func (d *DualServer) Close() error { return errors.Join(d.TCP.Close(), d.H3.Close()) }

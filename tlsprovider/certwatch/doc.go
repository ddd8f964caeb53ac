// Package certwatch replaces the certificates, keys and roots of a running program when their files change.
//
// [Open] reads the files. [Watcher.Watch] reads them again from time to time, and passes what has changed to a function such
// as quic.Endpoint.SetTLS:
//
//	w, err := certwatch.Open(certwatch.Config{
//		Certificates: []certwatch.Certificate{{CertFile: "cert.pem", KeyFile: "key.pem"}},
//		Base:         &tlsprovider.Config{NextProtos: []string{"h3"}},
//	})
//	…
//	l, err := quic.Listen("udp", ":443", &quic.Config{TLS: w.TLS()})
//	…
//	w.Watch(l.Endpoint().SetTLS)
//	defer w.Close()
//
// The contents are compared and not the times of files, so it does not matter how a file is replaced: by rename, by a
// symbolic link to a directory above it that is replaced (as Kubernetes does), or by writing into it. A change is passed on when
// two looks in a row have found the same contents, because programs write several files one after the other. Files that
// are missing, cannot be read, or do not belong together leave the configuration as it is. The error is reported once,
// and the next looks try again.
//
// The package performs no cryptography: whether a key belongs to its certificate is checked by the TLS provider, which
// returns an error from SetTLS.
package certwatch

package http3

import "compress/gzip"

// decompress makes the body of the response one that is decompressed, and removes what no longer applies from its header, as
// http.Transport does.
func (x *clientExchange) decompress() {
	x.resp.Header.Del("Content-Encoding")
	x.resp.Header.Del("Content-Length")
	x.resp.ContentLength = -1
	x.resp.Uncompressed = true
	x.resp.Body = &gzipBody{body: &x.body}
}

// A gzipBody decompresses a body. The header of the format is read with the first Read.
type gzipBody struct {
	body *responseBody
	z    *gzip.Reader
	err  error // of the format, which is permanent
}

// Read implements io.Reader.
func (g *gzipBody) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	if g.body.isClosed.Load() {
		return 0, errBodyClosed
	}
	if g.z == nil {
		if g.z, g.err = gzip.NewReader(g.body); g.err != nil {
			return 0, g.err
		}
	}
	return g.z.Read(p) // which reads the body to its end, with the trailers
}

// Close implements io.Closer.
func (g *gzipBody) Close() error { return g.body.Close() }

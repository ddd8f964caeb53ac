package http3

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
)

// A fieldList is a field section that is about to be sent. It is pooled.
type fieldList struct{ fields []qpack.Field }

var fieldLists = sync.Pool{New: func() any { return &fieldList{fields: make([]qpack.Field, 0, 24)} }}

func newFieldList() *fieldList { return fieldLists.Get().(*fieldList) }

// free returns the list to the pool.
func (l *fieldList) free() {
	clear(l.fields)
	l.fields = l.fields[:0]
	if cap(l.fields) <= 256 {
		fieldLists.Put(l)
	}
}

func (l *fieldList) add(name, value string) {
	l.fields = append(l.fields, qpack.Field{Name: name, Value: value}) // the encoder knows which names are those of secrets
}

// isConnectionSpecific reports whether a field, by its canonical name, is about a connection of HTTP/1.
//
// "An endpoint MUST NOT generate an HTTP/3 field section containing connection-specific fields"
// https://www.rfc-editor.org/rfc/rfc9114#section-4.2-3
func isConnectionSpecific(key string) bool {
	switch key {
	// "Transfer codings (see Section 7 of [HTTP/1.1]) are not defined for HTTP/3; the Transfer-Encoding header field MUST NOT be
	// used."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-11
	case "Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// addValues adds the values of a field. Names and values that are not valid are left out, as net/http does for HTTP/2.
func (l *fieldList) addValues(key string, values []string) {
	// "Characters in field names MUST be converted to lowercase prior to their encoding."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.2-2
	name, ok := lowerName(key)
	if !ok {
		return
	}
	for _, v := range values {
		if httpguts.ValidHeaderFieldValue(v) {
			l.add(name, v)
		}
	}
}

// appendHeaders appends a HEADERS frame for a stream.
func (c *conn) appendHeaders(b []byte, stream quic.StreamID, l *fieldList) ([]byte, error) {
	const header = 3 // of most frames: the type, and a length of two bytes
	start := len(b)
	b = append(b, make([]byte, header)...)
	b, err := c.appendSection(b, stream, l.fields)
	if err != nil {
		return b[:start], c.fail(err)
	}
	c.logHeaders(frameCreated, stream, l.fields)
	length := uint64(len(b) - start - header)
	var h [frame.MaxHeader]byte
	if got := frame.AppendHeader(h[:0], frame.Headers, length); len(got) != header {
		b = slices.Replace(b, start, start+header, got...)
	} else {
		copy(b[start:], got)
	}
	return b, nil
}

// httpDate is the current time as the field Date has it, for one second.
type httpDate struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[httpDate]

// dateNow returns the current time for the field Date.
func dateNow() string {
	now := time.Now()
	if d := lastDate.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &httpDate{now.Unix(), now.UTC().Format(http.TimeFormat)}
	lastDate.Store(d)
	return d.text
}

// statusText returns a status as the pseudo-header field :status has it.
func statusText(status int) string {
	if status == http.StatusOK {
		return "200"
	}
	return strconv.Itoa(status)
}

// copyBuffers are for copying from a reader.
var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

const copyBuffer = 32 << 10

// bodyAllowed reports whether a response with this status may have content.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// tokens calls f for each element of comma-separated lists.
func tokens(lines []string, f func(string)) {
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			f(strings.Trim(token, " \t"))
		}
	}
}

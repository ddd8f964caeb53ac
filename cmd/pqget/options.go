package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/pqquic/pqquic/cmd/internal/cli"
)

// options are the flags of the command line.
type options struct {
	verbose, json, head, follow, fail, progress bool
	h1, h2, h3, altSvc                          bool
	insecure, requirePQ, earlyData              bool
	output, method, data, upload                string
	ca, provider, groups, session               string
	header                                      []string
	retries                                     int
	timeout                                     time.Duration

	stdin          io.Reader
	stdout, stderr io.Writer
}

// A request is what the command line asks of each URL.
type request struct {
	url    *url.URL
	method string
	header http.Header
	body   *body // nil if there is none
}

// check checks the command line and returns the requests.
func (o *options) check(urls []string) (all []request, err error) {
	if err := o.checkFlags(urls); err != nil {
		return nil, err
	}
	header := make(http.Header)
	for _, field := range o.header {
		name, value, ok := strings.Cut(field, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, cli.Usagef("-H %q is not of the form NAME: VALUE", field)
		}
		header.Add(name, value)
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", "pqget")
	}
	b, err := o.body()
	if err != nil {
		return nil, err
	}
	if o.data != "" && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return nil, cli.Usagef("%q is not of the form https://host/path", text)
		}
		all = append(all, request{u, o.requestMethod(), header, b})
	}
	return all, nil
}

// checkFlags looks for flags that exclude each other.
func (o *options) checkFlags(urls []string) error {
	versions := 0
	for _, set := range []bool{o.h1, o.h2, o.h3, o.altSvc} {
		if set {
			versions++
		}
	}
	switch {
	case len(urls) == 0:
		return cli.Usagef("no URL was given; see --help")
	case versions > 1:
		return cli.Usagef("only one of --h1, --h2, --h3 and --alt-svc can be given")
	case o.data != "" && o.upload != "":
		return cli.Usagef("only one of -d and -T can be given")
	case o.head && (o.data != "" || o.upload != ""):
		return cli.Usagef("-I cannot be given with -d or -T, because HEAD has no content")
	case o.json && o.output == "-":
		return cli.Usagef("--json prints to standard output, so the content needs another -o")
	case o.output != "" && o.output != "-" && len(urls) > 1:
		return cli.Usagef("-o %s is for one URL, and %d were given", o.output, len(urls))
	case (o.data == "@-" || o.upload == "-") && len(urls) > 1:
		return cli.Usagef("standard input can be sent to one URL, and %d were given", len(urls))
	case o.earlyData && (o.h1 || o.h2 || o.altSvc):
		return cli.Usagef("--early-data is for requests that begin with HTTP/3")
	case o.earlyData && o.session == "" && len(urls) == 1:
		return cli.Usagef("--early-data needs a session of an earlier run: give --session FILE")
	case o.retries < 0 || o.timeout < 0:
		return cli.Usagef("--retry and --max-time cannot be negative")
	}
	return nil
}

func (o *options) requestMethod() string {
	switch {
	case o.method != "":
		return o.method
	case o.head:
		return http.MethodHead
	case o.upload != "":
		return http.MethodPut
	case o.data != "":
		return http.MethodPost
	}
	return http.MethodGet
}

// A body is what is sent with a request.
type body struct {
	name string
	size int64                         // -1 if it is not known
	open func() (io.ReadCloser, error) // nil if the body can be read once only
	once io.ReadCloser                 // of a body that can be read once only
}

// body returns what -d and -T name.
func (o *options) body() (*body, error) {
	name, isFile := strings.CutPrefix(o.data, "@")
	switch {
	case o.upload != "":
		name = o.upload
	case o.data == "":
		return nil, nil
	case !isFile:
		content := []byte(o.data)
		return &body{"the data", int64(len(content)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, nil}, nil
	}
	if name == "-" {
		return &body{name: "standard input", size: -1, once: io.NopCloser(o.stdin)}, nil
	}
	info, err := os.Stat(name)
	if err == nil && info.IsDir() {
		err = errors.New("it is a directory")
	}
	if err != nil {
		return nil, cli.Usagef("the file to send: %w", err)
	}
	b := &body{name: name, size: -1}
	if info.Mode().IsRegular() {
		b.size, b.open = info.Size(), func() (io.ReadCloser, error) { return os.Open(name) }
		return b, nil
	}
	if b.once, err = os.Open(name); err != nil { // a pipe, for example
		return nil, cli.Usagef("the file to send: %w", err)
	}
	return b, nil
}

// Package debug has a web page that shows the endpoints of a program and their connections.
//
//	page := debug.NewPage()
//	defer page.Add("public", listener.Endpoint())()
//	http.Handle("/debug/quic", page)
//
// The page shows the addresses of peers. Serve it to operators only, for example on a loopback address.
package debug

import (
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/pqquic/pqquic/quic"
)

// A Page is an http.Handler. Its methods are safe for concurrent use.
type Page struct {
	mu        sync.Mutex
	endpoints []*named
}

type named struct {
	name string
	ep   *quic.Endpoint
}

// NewPage returns a page without endpoints.
func NewPage() *Page { return new(Page) }

// Add adds an Endpoint with a name for the page. The function that it returns removes it.
func (p *Page) Add(name string, e *quic.Endpoint) (remove func()) {
	n := &named{name, e}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endpoints = append(p.endpoints, n)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if i := slices.Index(p.endpoints, n); i >= 0 {
			p.endpoints = slices.Delete(p.endpoints, i, i+1)
		}
	}
}

// maxRows is the number of connections of an Endpoint that the page lists.
const maxRows = 200

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// ServeHTTP writes the page, or with the parameter conn everything about one connection.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the page can only be read", http.StatusMethodNotAllowed)
		return
	}
	p.mu.Lock()
	endpoints := slices.Clone(p.endpoints)
	p.mu.Unlock()
	var data view
	if id := r.URL.Query().Get("conn"); id != "" {
		data.Details = details(endpoints, id)
		if data.Details == nil {
			http.Error(w, "there is no such connection: it may have ended", http.StatusNotFound)
			return
		}
	} else {
		for _, n := range endpoints {
			data.Endpoints = append(data.Endpoints, endpointOf(n))
		}
	}
	var b strings.Builder
	if err := pageTemplate.Execute(&b, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	// The page has no scripts and loads nothing. If something that a peer chose became markup, it could do
	// nothing.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.Write([]byte(b.String()))
}

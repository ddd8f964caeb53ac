package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// largeTransfer is the size from which a transfer has a progress bar.
const largeTransfer = 4 << 20

// A bar shows the progress of a URL's transfers on standard error. Of a request and a response that are transferred at the same time it
// shows the one that began first.
type bar struct {
	w       io.Writer // nil if there is none
	minimum int64

	mu    sync.Mutex
	shown *progressbar.ProgressBar
}

// newBar returns the bar: only for people at a terminal, and if the content does not appear there, too.
func newBar(o *options) *bar {
	if o.progress {
		return &bar{w: o.stderr}
	}
	toFile := o.output != "" && o.output != "-" || o.json || o.upload != ""
	if f, ok := o.stderr.(*os.File); ok && toFile && term.IsTerminal(int(f.Fd())) {
		return &bar{w: o.stderr, minimum: largeTransfer}
	}
	return new(bar)
}

// reader returns r with a bar. size is -1 if it is not known.
func (b *bar) reader(r io.ReadCloser, size int64, what string) io.ReadCloser {
	if b.w == nil || size >= 0 && size < b.minimum {
		return r
	}
	return &barReader{ReadCloser: r, bar: b, size: size, what: what}
}

// begin returns a new bar, or nil while another one is shown.
func (b *bar) begin(size int64, what string) *progressbar.ProgressBar {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown != nil {
		return nil
	}
	b.shown = progressbar.NewOptions64(size, progressbar.OptionSetWriter(b.w), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true), progressbar.OptionShowTotalBytes(true), progressbar.OptionSetWidth(24),
		progressbar.OptionUseIECUnits(true), progressbar.OptionThrottle(100e6), progressbar.OptionSetPredictTime(true))
	return b.shown
}

// finish ends the bar that is shown.
func (b *bar) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown != nil {
		_ = b.shown.Exit() // shows what has been reached
		fmt.Fprintln(b.w)
		b.shown = nil
	}
}

// A barReader reports what is read to a bar.
type barReader struct {
	io.ReadCloser
	bar   *bar
	size  int64
	total int64 // that was read
	what  string
	shown *progressbar.ProgressBar
}

func (r *barReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.total += int64(n)
	if r.shown == nil && n > 0 {
		r.shown = r.bar.begin(r.size, r.what)
	}
	if r.shown != nil {
		_ = r.shown.Set64(r.total) // fails only above the size
		if err != nil {
			r.bar.finish()
			r.shown = nil
		}
	}
	return n, err
}

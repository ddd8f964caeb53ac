package main

import (
	"os"
	"sync"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress shows on a terminal how many hosts have been probed. bar is nil if there is nothing to show.
type progress struct {
	mu  sync.Mutex
	bar *progressbar.ProgressBar
}

func (o *options) progress(hosts int) *progress {
	f, ok := o.problems.(*os.File)
	if !ok || hosts < 2 || !term.IsTerminal(int(f.Fd())) {
		return new(progress)
	}
	return &progress{bar: progressbar.NewOptions(hosts, progressbar.OptionSetWriter(f), progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetWidth(24), progressbar.OptionShowCount(), progressbar.OptionSetDescription("probing"),
		progressbar.OptionClearOnFinish())}
}

// add counts one more host.
func (p *progress) add() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Add(1)
	}
}

// without calls f, which may write to the same terminal, while the bar is not shown.
func (p *progress) without(f func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		return f()
	}
	_ = p.bar.Clear()
	err := f()
	if !p.bar.IsFinished() {
		_ = p.bar.RenderBlank()
	}
	return err
}

func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

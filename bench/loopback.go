package main

import (
	"fmt"
	"sync"
)

// connections measures opening a connection over loopback, moving a byte and closing it: one at a time and
// 32 concurrently.
func (b *bench) connections() (out []subject, err error) {
	for _, at := range []int{1, 32} {
		subjects, err := b.overLoopback("Connect", fmt.Sprintf("/%d", at), 0, func(ask func(uint64) error) func(int) error {
			return func(n int) error { return concurrently(at, n, ask) }
		})
		if err != nil {
			return nil, err
		}
		out = append(out, subjects...)
	}
	return out, nil
}

// streamBytes is the size of a bulk transfer.
const streamBytes = 16 << 20

// streams measures a transfer over one stream of one connection.
func (b *bench) streams() ([]subject, error) {
	return b.overLoopback("Stream", "", streamBytes, func(ask func(uint64) error) func(int) error {
		return func(n int) error {
			for range n {
				if err := ask(streamBytes); err != nil {
					return err
				}
			}
			return nil
		}
	})
}

func (b *bench) overLoopback(name, suffix string, bytes int64, work func(ask func(uint64) error) func(int) error) (out []subject, err error) {
	all, err := stacks()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		c, err := newCreds()
		if err != nil {
			return nil, err
		}
		addr, stopServer, err := s.listen(c)
		if err != nil {
			return nil, err
		}
		ask, stopClient, err := s.client(c)
		if err != nil {
			return nil, err
		}
		out = append(out, subject{
			name: name + "/" + s.name + suffix, bytes: bytes,
			run:   loop(work(func(n uint64) error { return ask(addr, n) })),
			close: func() { stopClient(); stopServer(); c.remove() },
		})
	}
	return out, nil
}

// concurrently calls request for one byte n times, with at most limit calls in parallel.
func concurrently(limit, n int, request func(uint64) error) error {
	if limit == 1 {
		for range n {
			if err := request(1); err != nil {
				return err
			}
		}
		return nil
	}
	limit = min(limit, n)
	todo := make(chan struct{}, n)
	for range n {
		todo <- struct{}{}
	}
	close(todo)
	var wg sync.WaitGroup
	errs := make(chan error, limit)
	for range limit {
		wg.Go(func() {
			for range todo {
				if err := request(1); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

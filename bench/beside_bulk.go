package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// This benchmark measures fairness: one connection receives at full rate, while others on the same two
// sockets make small exchanges, each on its own stream.
const (
	pingers    = 100
	pingPeriod = 100 * time.Millisecond // time between the exchanges of a connection
	bulkBytes  = 64 << 20               // size of a bulk exchange; the next one follows immediately
)

// A session is a client's connection. exchange requests n bytes on a new stream, adds the bytes that arrive
// to got, and returns when all have arrived.
type session struct {
	exchange func(n uint64, got *atomic.Int64) error
	close    func()
}

// A sessionStack is a server that answers every stream, and a client that keeps its connections.
type sessionStack struct {
	name string
	// start returns a function that connects and one that closes both sides.
	start func(*creds) (connect func() (session, error), stop func(), err error)
}

func (b *bench) besideBulk() (out []subject, err error) {
	ps, err := providers()
	if err != nil {
		return nil, err
	}
	stacks := []sessionStack{}
	for _, p := range ps {
		stacks = append(stacks, ourSessions(p))
	}
	for _, s := range append(stacks, quicGoSessions()) {
		c, err := newCreds()
		if err != nil {
			return nil, err
		}
		out = append(out, subject{
			name:  "PingBesideBulk/" + s.name,
			run:   func(d time.Duration) (result, error) { return pingBesideBulk(s, c, d) },
			close: c.remove,
		})
	}
	return append(out, subject{name: "PingBesideBulk/timers", run: timersBesideWork, close: func() {}}), nil
}

// timersBesideWork returns what remains of the exchange times without a network: how late timers are that are due when
// exchanges would begin, while every processor has work. It is the floor of the exchange times: a machine that stops
// its threads for some milliseconds, as virtual ones do, stops those of every stack.
func timersBesideWork(d time.Duration) (result, error) {
	const work = 50 * time.Microsecond // about as long as a train of 64 KiB takes
	var wg sync.WaitGroup
	var done atomic.Bool
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !done.Load() {
				for end := time.Now().Add(work); time.Now().Before(end); {
				}
				runtime.Gosched()
			}
		})
	}
	used, begin := cpuTime(), time.Now()
	times := atRegularTimes(begin, pings(d), func(int) error { return nil }, nil)
	used = cpuTime() - used
	done.Store(true)
	wg.Wait()
	return pingResult(times, used, ""), nil
}

// pingBesideBulk returns the 99th percentile of the exchange times. The time of an exchange is measured from when it
// was due.
func pingBesideBulk(s sessionStack, c *creds, d time.Duration) (result, error) {
	connect, stop, err := s.start(c)
	if err != nil {
		return result{}, err
	}
	defer stop()
	sessions := make([]session, pingers+1)
	for i := range sessions {
		if sessions[i], err = connect(); err != nil {
			return result{}, err
		}
	}
	var (
		wg           sync.WaitGroup
		bulk, unused atomic.Int64
		done         atomic.Bool
		errs         = make(chan error, len(sessions))
	)
	wg.Go(func() {
		for !done.Load() {
			if err := sessions[pingers].exchange(bulkBytes, &bulk); err != nil {
				if !done.Load() {
					errs <- err
				}
				return
			}
		}
	})
	time.Sleep(d) // until the connection is at full rate
	before, used, begin := bulk.Load(), cpuTime(), time.Now()
	times := atRegularTimes(begin, pings(d), func(i int) error { return sessions[i].exchange(1, &unused) }, errs)
	done.Store(true)
	moved := bulk.Load() - before
	spent := time.Since(begin)
	used = cpuTime() - used
	for _, s := range sessions {
		s.close()
	}
	wg.Wait()
	select {
	case err := <-errs:
		return result{}, err
	default:
	}
	return pingResult(times, used, fmt.Sprintf("\t%.1f bulk-MB/s", float64(moved)/1e6/spent.Seconds())), nil
}

// pings returns the number of exchanges of each connection.
func pings(d time.Duration) int { return max(int(4*d/pingPeriod), 5) }

// atRegularTimes calls ping n times for each connection, and returns how long after it was due each call returned. A
// connection's first error goes to errs and ends its calls.
func atRegularTimes(begin time.Time, n int, ping func(i int) error, errs chan<- error) []time.Duration {
	times := make([][]time.Duration, pingers)
	var wg sync.WaitGroup
	for i := range pingers {
		wg.Go(func() {
			next := begin.Add(pingPeriod * time.Duration(i) / pingers)
			for range n {
				time.Sleep(time.Until(next))
				if err := ping(i); err != nil {
					errs <- err
					return
				}
				times[i] = append(times[i], time.Since(next))
				next = next.Add(pingPeriod)
			}
		})
	}
	wg.Wait()
	return slices.Concat(times...)
}

// pingResult sorts times, which must not be empty.
func pingResult(times []time.Duration, used time.Duration, note string) result {
	slices.Sort(times)
	p := func(percent int) float64 { return float64(times[(len(times)-1)*percent/100].Nanoseconds()) }
	return result{n: len(times), ns: p(99), cpu: float64(used.Nanoseconds()) / float64(len(times)), allocs: -1,
		note: fmt.Sprintf("%.0f p50-ns\t%.0f p90-ns%s", p(50), p(90), note)}
}

// exchange performs a client's part of an exchange on a stream.
func exchange(s io.ReadWriter, end func() error, n uint64, got *atomic.Int64) error {
	if _, err := s.Write(request(n)); err != nil {
		return err
	}
	if err := end(); err != nil {
		return err
	}
	buf := make([]byte, min(n, 64<<10))
	for left := n; ; {
		k, err := s.Read(buf)
		left -= uint64(k)
		got.Add(int64(k))
		switch {
		case err == io.EOF && left == 0:
			return nil
		case err != nil:
			return errors.Join(err, fmt.Errorf("%d of %d bytes are missing", left, n))
		}
	}
}

func ourSessions(p tlsprovider.Provider) sessionStack {
	return sessionStack{p.Name(), func(c *creds) (func() (session, error), func(), error) {
		l, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{Provider: p, TLS: &tlsprovider.Config{
			NextProtos: []string{alpn}, Certificates: []tlsprovider.Certificate{c.Provider()}, DisableTickets: true}})
		if err != nil {
			return nil, nil, err
		}
		go serve(l.Accept, answerAll, (*quic.Stream).CloseWrite)
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		e, err := quic.NewEndpoint(pc, &quic.Config{Provider: p, ServerName: serverName,
			TLS: &tlsprovider.Config{NextProtos: []string{alpn}, RootCAs: c.Roots(), DisableTickets: true}})
		if err != nil {
			return nil, nil, err
		}
		connect := func() (session, error) {
			conn, err := e.Dial(context.Background(), l.Addr().String(), nil)
			if err != nil {
				return session{}, err
			}
			return session{
				exchange: func(n uint64, got *atomic.Int64) error {
					s, err := conn.OpenStream(context.Background())
					if err != nil {
						return err
					}
					return exchange(s, s.CloseWrite, n, got)
				},
				close: func() { conn.CloseWithError(0, "") },
			}, nil
		}
		return connect, func() { e.Close(); l.Endpoint().Close() }, nil
	}}
}

func quicGoSessions() sessionStack {
	return sessionStack{"quic-go", func(c *creds) (func() (session, error), func(), error) {
		var trs [2]*quicgo.Transport
		for i := range trs {
			pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				return nil, nil, err
			}
			trs[i] = &quicgo.Transport{Conn: pc}
		}
		l, err := trs[0].Listen(c.tlsConfig(), &quicgo.Config{})
		if err != nil {
			return nil, nil, err
		}
		go serve(l.Accept, answerAll, (*quicgo.Stream).Close)
		connect := func() (session, error) {
			conn, err := trs[1].Dial(context.Background(), l.Addr(), c.tlsConfig(), &quicgo.Config{})
			if err != nil {
				return session{}, err
			}
			return session{
				exchange: func(n uint64, got *atomic.Int64) error {
					s, err := conn.OpenStream()
					if err != nil {
						return err
					}
					return exchange(s, s.Close, n, got)
				},
				close: func() { conn.CloseWithError(0, "") },
			}, nil
		}
		return connect, func() {
			for _, tr := range trs {
				tr.Close()
				tr.Conn.Close()
			}
		}, nil
	}}
}

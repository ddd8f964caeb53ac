package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pqquic/pqquic/internal/link"
)

// A tcpFlow is a TCP connection with CUBIC on which one end of a link sends as much as it can.
type tcpFlow struct {
	from, to net.Conn
	received atomic.Int64
	wait     sync.WaitGroup
}

// startTCP starts a flow.
func startTCP(from, to *link.End) (*tcpFlow, error) {
	f := new(tcpFlow)
	if err := f.connect(from, to); err != nil {
		return nil, fmt.Errorf("TCP beside QUIC: %w", err)
	}
	f.wait.Go(func() { // sends until the connection is closed
		for b, err := make([]byte, 64<<10), error(nil); err == nil; {
			_, err = f.from.Write(b)
		}
	})
	f.wait.Go(func() {
		for b, err := make([]byte, 64<<10), error(nil); err == nil; {
			var n int
			n, err = f.to.Read(b)
			f.received.Add(int64(n))
		}
	})
	return f, nil
}

func (f *tcpFlow) connect(from, to *link.End) error {
	cubic := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
		})
		return errors.Join(err, failed)
	}}
	var listener net.Listener
	err := from.Do(func() (err error) {
		listener, err = cubic.Listen(context.Background(), "tcp4", net.JoinHostPort(from.Addr().String(), "5201"))
		return err
	})
	if err != nil {
		return err
	}
	defer listener.Close()
	err = to.Do(func() (err error) {
		f.to, err = net.Dial("tcp4", listener.Addr().String())
		return err
	})
	if err != nil {
		return err
	}
	f.from, err = listener.Accept()
	return err
}

// close ends the flow. It fails if the flow was not there.
func (f *tcpFlow) close() error {
	err := errors.Join(f.from.Close(), f.to.Close())
	f.wait.Wait()
	if n := f.received.Load(); n < megabyte {
		err = errors.Join(err, fmt.Errorf("TCP beside QUIC has transferred %d bytes only", n))
	}
	return err
}

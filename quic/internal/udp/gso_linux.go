package udp

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The limits of segmentation offload for sending (UDP_SEGMENT, Linux 4.18): one system call sends a run of
// datagrams, which the kernel or the network card splits. The benchmarks PingBesideBulk and Stream of
// bench/ show the gain. Without it, the same loop sends runs of one datagram: see sendOp.sendAll.
const (
	// maxSegments is the number of datagrams that every kernel with UDP_SEGMENT accepts (UDP_MAX_SEGMENTS).
	maxSegments = 64
	// maxRun is the largest payload of a UDP datagram over IPv4. A run is one datagram until it is split.
	maxRun = 65535 - 20 - 8
)

// gso records to which destinations segmentation offload can be used. A network card without checksum
// offload refuses it (EIO), and so do some routes, for example with IPsec (EINVAL, EMSGSIZE). The routes of
// other destinations may accept it, so refusals are recorded for each destination.
type gso struct {
	available bool
	log       *slog.Logger
	logged    sync.Once

	some    atomic.Bool // refused is not empty
	mu      sync.Mutex
	refused map[netip.Addr]struct{}
}

// maxRefused bounds gso.refused. When it is full, it is emptied: a destination that is missing from it only
// costs one more system call.
const maxRefused = 256

func (g *gso) init(fd int, log *slog.Logger) {
	g.log = log
	// An older kernel would ignore the control message and send the run as one datagram.
	_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	g.available = err == nil && os.Getenv(disableGSO) == ""
}

// segments returns how many datagrams one system call may send to an address.
func (g *gso) segments(to netip.Addr) int {
	if !g.available {
		return 1
	}
	if g.some.Load() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if _, ok := g.refused[to]; ok {
			return 1
		}
	}
	return maxSegments
}

// refusesGSO reports whether err may be a refusal of segmentation offload. It is one if the same datagrams
// can be sent individually.
func refusesGSO(err error) bool {
	return err == unix.EIO || err == unix.EINVAL || err == unix.EMSGSIZE
}

// refuse records that segmentation offload must not be used for an address.
func (g *gso) refuse(to netip.Addr, err error) {
	g.mu.Lock()
	if g.refused == nil || len(g.refused) >= maxRefused {
		g.refused = make(map[netip.Addr]struct{})
	}
	g.refused[to] = struct{}{}
	g.some.Store(true)
	g.mu.Unlock()
	g.logged.Do(func() {
		g.log.Warn("quic: the system refuses segmentation offload: each datagram takes a system call",
			"remote", to, "err", err)
	})
}

// appendSegmentSize appends the control message that requests segmentation offload.
func appendSegmentSize(b []byte, size int) []byte {
	b = appendCmsg(b, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)
	binary.NativeEndian.PutUint16(cmsgData(b, 2), uint16(size))
	return b
}

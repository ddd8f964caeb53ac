package interop

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// The ends of the network.
const (
	client = 0
	server = 1
)

// An impairment changes what arrives. It reports whether a packet is delivered, and may change it. Packets of both
// ends pass through it, one at a time. since is the time since the start of the network.
type impairment func(from int, since time.Duration, p *udpPacket) bool

// maxRun is how many packets in a row a random impairment affects at most, as in the runner's scenarios.
const maxRun = 3

// randomly returns a function that returns true with a probability, but at most maxRun times in a row in each
// direction.
func randomly(probability float64, seed uint64) func(from int) bool {
	random, run := rand.New(rand.NewPCG(seed, 0)), [2]int{}
	return func(from int) bool {
		if run[from] >= maxRun || random.Float64() >= probability {
			run[from] = 0
			return false
		}
		run[from]++
		return true
	}
}

// dropRate drops packets at random.
func dropRate(probability float64) func(seed uint64) impairment {
	return func(seed uint64) impairment {
		chosen := randomly(probability, seed)
		return func(from int, _ time.Duration, _ *udpPacket) bool { return !chosen(from) }
	}
}

// corruptRate changes at random one of the first bytes of a datagram and delivers it with a valid checksum. As in the
// runner's scenario, Version Negotiation packets are spared.
func corruptRate(probability float64) func(seed uint64) impairment {
	const corruptible = 51
	return func(seed uint64) impairment {
		chosen, random := randomly(probability, seed), rand.New(rand.NewPCG(seed, 1))
		return func(from int, _ time.Duration, p *udpPacket) bool {
			b := p.payload()
			if len(b) < 5 || b[0]&0x80 != 0 && [4]byte(b[1:5]) == [4]byte{} || !chosen(from) {
				return true
			}
			b[random.IntN(min(len(b), corruptible))] ^= byte(1 + random.IntN(255))
			p.update()
			return true
		}
	}
}

// dropToServer drops the packets of the client with the given numbers, which begin with 1.
func dropToServer(numbers ...int) func(seed uint64) impairment {
	return func(uint64) impairment {
		seen, drop := 0, make(map[int]bool)
		for _, n := range numbers {
			drop[n] = true
		}
		return func(from int, _ time.Duration, _ *udpPacket) bool {
			if from == server {
				return true
			}
			seen++
			return !drop[seen]
		}
	}
}

// blackhole delivers everything for a time, then nothing for another, and so on.
func blackhole(on, off time.Duration) func(seed uint64) impairment {
	return func(uint64) impairment {
		return func(_ int, since time.Duration, _ *udpPacket) bool { return since%(on+off) < on }
	}
}

// rebind is a NAT in front of the client, which forgets its bindings after first and then at each interval. What is
// on the way to a forgotten binding is lost. addr means that the NAT's address changes as well as the port.
func rebind(first, interval time.Duration, addr bool) func(seed uint64) impairment {
	return func(uint64) impairment {
		n := nat{first: first, interval: interval, addr: addr}
		return n.pass
	}
}

type nat struct {
	first, interval time.Duration
	addr            bool

	period   int                               // the number of times that bindings were forgotten
	outside  map[netip.AddrPort]netip.AddrPort // of the addresses of the client
	inside   map[netip.AddrPort]netip.AddrPort
	nextPort uint16
}

func (n *nat) pass(from int, since time.Duration, p *udpPacket) bool {
	period := 0
	if since >= n.first {
		period = 1 + int((since-n.first)/n.interval)
	}
	if n.outside == nil || period != n.period {
		n.period = period
		n.outside, n.inside = make(map[netip.AddrPort]netip.AddrPort), make(map[netip.AddrPort]netip.AddrPort)
	}
	if from == server {
		to, ok := n.inside[p.dst]
		if ok {
			p.setDestination(to)
			p.update()
		}
		return ok
	}
	to, ok := n.outside[p.src]
	if !ok {
		to = n.bind(p.src)
		n.outside[p.src], n.inside[to] = to, p.src
	}
	p.setSource(to)
	p.update()
	return true
}

// bind returns a new address for a socket of the client. All addresses of the client's network lead to it.
func (n *nat) bind(src netip.AddrPort) netip.AddrPort {
	const firstPort, firstHost = 20000, 10
	addr := src.Addr()
	if n.addr {
		a := addr.As4()
		a[3] = firstHost + byte(n.period%200)
		addr = netip.AddrFrom4(a)
	}
	n.nextPort++
	return netip.AddrPortFrom(addr, firstPort+n.nextPort)
}

// A path applies an impairment to the packets of a network, and keeps a trace of them.
type path struct {
	began  time.Time
	impair impairment // nil for none

	mu    sync.Mutex
	trace trace // guarded by mu
}

// start begins the impairment and a new trace. whole is that of the trace.
func (h *path) start(impair impairment, whole bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began, h.impair, h.trace = time.Now(), impair, trace{whole: whole}
}

// sent and arrived are the functions of a link.Config.
func (h *path) sent(from int, at time.Time, packet []byte) {
	if p, ok := parseUDP(packet); ok {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.trace.add(from, at, false, &p)
	}
}

func (h *path) arrived(from int, at time.Time, packet []byte) bool {
	p, ok := parseUDP(packet)
	if !ok {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.impair != nil && !h.impair(from, at.Sub(h.began), &p) {
		return false
	}
	h.trace.add(from, at, true, &p)
	return true
}

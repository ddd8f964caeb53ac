// Package link emulates a network link between two network namespaces of Linux, in user space: a TUN device in each
// of them, and two goroutines that carry IP packets from one to the other with the delay, rate, queue and loss that
// a Config describes. It needs CAP_NET_ADMIN and CAP_SYS_ADMIN, but neither the ip command nor netem.
package link

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Config describes a link. Each of its two directions behaves the same.
type Config struct {
	Delay time.Duration // of each packet, one way, in addition to the time in the queue
	Rate  int64         // in bits a second
	Queue int           // bytes that wait for transmission; a packet for which there is no room is dropped
	Loss  float64       // probability with which a packet is lost, from 0 to 1
	MTU   int           // of the devices: the largest IP packet
	Seed  uint64        // selects the packets that are lost

	// Sent, if not nil, is called for each packet that an end sends, before anything happens to it. Arrived, if not nil,
	// is called when a packet arrives at the other end. It may change the packet, and reports whether it is
	// delivered. from is the index of the end that has sent the packet. Both are called by one goroutine for each
	// end.
	Sent    func(from int, at time.Time, packet []byte)
	Arrived func(from int, at time.Time, packet []byte) bool
}

func (c Config) check() error {
	switch {
	case c.Delay < 0:
		return fmt.Errorf("the delay %v is negative", c.Delay)
	case c.Rate <= 0:
		return fmt.Errorf("the rate of %d bits a second is not positive", c.Rate)
	case c.MTU < 576 || c.MTU > 65535: // what every IPv4 host accepts, and the largest IPv4 packet
		return fmt.Errorf("the MTU %d is not between 576 and 65535", c.MTU)
	case c.Queue < c.MTU:
		return fmt.Errorf("the queue of %d bytes has no room for a packet of %d bytes", c.Queue, c.MTU)
	case !(c.Loss >= 0 && c.Loss <= 1):
		return fmt.Errorf("the loss %v is not between 0 and 1", c.Loss)
	}
	return nil
}

// Counts says what happened to the packets of one direction.
type Counts struct {
	Accepted int64 // entered the queue
	Dropped  int64 // found the queue full
	Lost     int64 // were accepted, and lost after transmission
}

// A shaper decides which packets of one direction arrive, and when. It has no clock: its caller passes the time, which
// must not decrease.
type shaper struct {
	Config
	Counts
	direction uint64
	random    *rand.Rand
	idle      time.Time // when everything in the queue is transmitted
	flying    []flight  // accepted and not lost, in the order of their arrival
}

// A flight is a packet and the time of its arrival at the far end.
type flight struct {
	packet []byte
	at     time.Time
}

func newShaper(c Config, direction uint64) *shaper {
	s := &shaper{Config: c, direction: direction}
	s.reseed(c.Seed)
	return s
}

// reseed begins the sequence of random losses that a seed selects.
func (s *shaper) reseed(seed uint64) { s.random = rand.New(rand.NewPCG(seed, s.direction)) }

// add takes a packet, which it keeps, from the near end.
func (s *shaper) add(now time.Time, packet []byte) {
	if s.idle.Before(now) {
		s.idle = now
	}
	done := s.idle.Add(s.transmission(len(packet)))
	if done.Sub(now) > s.transmission(s.Queue) {
		s.Dropped++
		return
	}
	s.idle = done
	s.Accepted++
	if s.random.Float64() < s.Loss {
		s.Lost++
		return
	}
	s.flying = append(s.flying, flight{packet, done.Add(s.Delay)})
}

// transmission returns the time that bytes take at the rate of the link.
func (s *shaper) transmission(bytes int) time.Duration {
	return time.Duration(float64(bytes) * 8 / float64(s.Rate) * float64(time.Second))
}

// next returns the time at which the next packet arrives. It reports false if none is under way.
func (s *shaper) next() (time.Time, bool) {
	if len(s.flying) == 0 {
		return time.Time{}, false
	}
	return s.flying[0].at, true
}

// take returns a packet that has arrived, or nil.
func (s *shaper) take(now time.Time) []byte {
	if len(s.flying) == 0 || s.flying[0].at.After(now) {
		return nil
	}
	packet := s.flying[0].packet
	s.flying[0] = flight{} // lets the packet be collected
	s.flying = s.flying[1:]
	return packet
}

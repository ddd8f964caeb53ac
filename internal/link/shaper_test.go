package link

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// start is a time from which virtual clocks run.
var start = time.Unix(1, 0)

// arrivals returns when each packet arrives after start, in order.
func arrivals(t *testing.T, s *shaper) (at []time.Duration) {
	for {
		when, ok := s.next()
		if !ok {
			return at
		}
		require.Nil(t, s.take(when.Add(-1)))
		require.NotNil(t, s.take(when))
		at = append(at, when.Sub(start))
	}
}

func TestDelayAndRate(t *testing.T) {
	// 1000 bytes take 1 ms.
	s := newShaper(Config{Delay: 15 * time.Millisecond, Rate: 8e6, Queue: 10000}, 0)
	s.add(start, make([]byte, 1000))
	s.add(start, make([]byte, 500))                          // waits for the first
	s.add(start.Add(20*time.Millisecond), make([]byte, 250)) // finds the link idle
	require.Equal(t, []time.Duration{16 * time.Millisecond, 16500 * time.Microsecond, 35250 * time.Microsecond},
		arrivals(t, s))
	require.Equal(t, Counts{Accepted: 3}, s.Counts)
}

// Packets arrive in the order in which they were sent.
func TestKeepsOrder(t *testing.T) {
	s := newShaper(Config{Delay: time.Millisecond, Rate: 8e6, Queue: 10000}, 0)
	for i := range 5 {
		s.add(start, []byte{byte(i)})
	}
	later := start.Add(time.Second)
	for i := range 5 {
		require.Equal(t, []byte{byte(i)}, s.take(later))
	}
	require.Nil(t, s.take(later))
}

func TestFullQueueDrops(t *testing.T) {
	s := newShaper(Config{Delay: time.Second, Rate: 8e6, Queue: 5000}, 0)
	for range 8 {
		s.add(start, make([]byte, 1000))
	}
	require.Equal(t, Counts{Accepted: 5, Dropped: 3}, s.Counts)
	// After 2 ms there is room for two packets: what has left the queue does not fill it, though it is under way.
	for range 3 {
		s.add(start.Add(2*time.Millisecond), make([]byte, 1000))
	}
	require.Equal(t, Counts{Accepted: 7, Dropped: 4}, s.Counts)
	require.Len(t, arrivals(t, s), 7)
}

func TestLossIsSeeded(t *testing.T) {
	const packets = 100000
	now := start
	shaperOf := func(seed, direction uint64) *shaper {
		return newShaper(Config{Rate: 1e9, Queue: 1000, Loss: 0.01, Seed: seed}, direction)
	}
	lost := func(s *shaper) (which []int) {
		s.Counts = Counts{}
		for i := range packets {
			before := s.Lost
			s.add(now, make([]byte, 100))
			if s.Lost > before {
				which = append(which, i)
			}
			now = now.Add(time.Millisecond)
		}
		require.Equal(t, Counts{Accepted: packets, Lost: int64(len(which))}, s.Counts)
		require.Len(t, arrivals(t, s), packets-len(which))
		return which
	}
	s := shaperOf(1, 0)
	first := lost(s)
	require.InDelta(t, 1000, len(first), 150, "1 % of %d packets", packets)
	require.Equal(t, first, lost(shaperOf(1, 0)), "the same seed selects the same packets")
	require.NotEqual(t, first, lost(shaperOf(2, 0)))
	require.NotEqual(t, first, lost(shaperOf(1, 1)), "the directions are independent")
	require.NotEqual(t, first, lost(s), "the sequence continues")
	s.reseed(1)
	require.Equal(t, first, lost(s), "a seed begins the sequence again")
}

// A lost packet has used the link: loss does not make it faster.
func TestLostPacketUsesTheLink(t *testing.T) {
	s := newShaper(Config{Rate: 8e6, Queue: 3000, Loss: 1}, 0)
	for range 4 {
		s.add(start, make([]byte, 1000))
	}
	require.Equal(t, Counts{Accepted: 3, Dropped: 1, Lost: 3}, s.Counts)
	_, ok := s.next()
	require.False(t, ok)
}

func TestChecksConfig(t *testing.T) {
	good := Config{Delay: time.Millisecond, Rate: 1e6, Queue: 15000, Loss: 0.5, MTU: 1500}
	require.NoError(t, good.check())
	for want, change := range map[string]func(*Config){
		"the delay -1ns is negative":                                     func(c *Config) { c.Delay = -1 },
		"the rate of 0 bits a second is not positive":                    func(c *Config) { c.Rate = 0 },
		"the queue of 1499 bytes has no room for a packet of 1500 bytes": func(c *Config) { c.Queue = 1499 },
		"the loss 1.5 is not between 0 and 1":                            func(c *Config) { c.Loss = 1.5 },
		"the MTU 70000 is not between 576 and 65535":                     func(c *Config) { c.MTU = 70000 },
	} {
		c := good
		change(&c)
		require.EqualError(t, c.check(), want)
	}
}

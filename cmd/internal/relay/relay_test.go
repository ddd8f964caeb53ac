package relay

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// echo answers every datagram until its socket is closed.
func echo(t *testing.T) string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(buf[:n], from)
		}
	}()
	return c.LocalAddr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	c, err := net.Dial("udp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	return c
}

func start(t *testing.T, up, down Link) *Relay {
	r, err := New(echo(t), up, down, 1)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

func TestRelayDelays(t *testing.T) {
	r := start(t, Link{Delay: 20 * time.Millisecond}, Link{Delay: 30 * time.Millisecond})
	c := dial(t, r.Addr())
	begun := time.Now()
	_, err := c.Write([]byte("ping"))
	require.NoError(t, err)
	buf := make([]byte, 16)
	n, err := c.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "ping", string(buf[:n]))
	require.GreaterOrEqual(t, time.Since(begun), 50*time.Millisecond, "a path is never faster than its delay")
}

func TestRelayKeepsOrderAndClientsApart(t *testing.T) {
	r := start(t, Link{Jitter: 3 * time.Millisecond}, Link{Jitter: 3 * time.Millisecond})
	for range 2 {
		c := dial(t, r.Addr())
		for i := range 50 {
			_, err := c.Write([]byte{byte(i)})
			require.NoError(t, err)
		}
		buf := make([]byte, 16)
		for i := range 50 {
			_, err := c.Read(buf)
			require.NoError(t, err)
			require.Equal(t, byte(i), buf[0])
		}
	}
	up, down := r.Dropped()
	require.Zero(t, up+down)
}

func TestRelayReorders(t *testing.T) {
	r := start(t, Link{Reorder: 0.2, ReorderBy: 50 * time.Millisecond}, Link{})
	c := dial(t, r.Addr())
	for i := range 50 {
		_, err := c.Write([]byte{byte(i)})
		require.NoError(t, err)
	}
	late, last := 0, -1
	buf := make([]byte, 16)
	for range 50 {
		_, err := c.Read(buf)
		require.NoError(t, err)
		if int(buf[0]) < last {
			late++
		}
		last = max(last, int(buf[0]))
	}
	require.Greater(t, late, 0)
	require.Less(t, late, 30)
}

func TestRelayLoses(t *testing.T) {
	r := start(t, Link{Loss: 0.5}, Link{})
	c := dial(t, r.Addr())
	const sent = 200 // fits into the socket's buffer, so that the buffer loses none
	got := make(chan int)
	go func() {
		n, buf := 0, make([]byte, 16)
		for {
			if _, err := c.Read(buf); err != nil || buf[0] == 'q' {
				break
			}
			n++
		}
		got <- n
	}()
	for i := range sent {
		_, err := c.Write([]byte{'x', byte(i)})
		require.NoError(t, err)
	}
	for range 40 { // one of them arrives
		_, err := c.Write([]byte("q"))
		require.NoError(t, err)
	}
	n := <-got
	require.InDelta(t, sent/2, n, sent/6)
	up, _ := r.Dropped()
	require.Positive(t, up)
}

func TestRelayBottleneckDropsWhatItsQueueCannotHold(t *testing.T) {
	r := start(t, Link{Rate: 10_000, Queue: 5_000}, Link{})
	c := dial(t, r.Addr())
	for range 20 {
		_, err := c.Write(make([]byte, 1000))
		require.NoError(t, err)
	}
	buf := make([]byte, 2000)
	require.Eventually(t, func() bool {
		up, _ := r.Dropped()
		return up >= 14
	}, 10*time.Second, time.Millisecond)
	for range 5 {
		n, err := c.Read(buf)
		require.NoError(t, err)
		require.Equal(t, 1000, n)
	}
}

func TestRelayCloseEndsEverything(t *testing.T) {
	r, err := New(echo(t), Link{Delay: time.Hour}, Link{}, 1)
	require.NoError(t, err)
	c := dial(t, r.Addr())
	_, err = c.Write([]byte("never arrives"))
	require.NoError(t, err)
	r.Close() // returns only when no goroutine is left
}

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/cmd/internal/capturetest"
	"github.com/pqquic/pqquic/cmd/internal/inspect"
)

// Reading gigabytes from standard input uses a constant amount of memory and no disk space.
func TestStreamIsBounded(t *testing.T) {
	r := capturetest.Record(t, capturetest.Setup{})
	const size = 2 << 30
	c := command("--json", "--require-pq", "-")
	in, err := c.StdinPipe()
	require.NoError(t, err)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	lines := make(chan int, 1)
	go func() {
		n := 0
		for s := bufio.NewReader(out); ; n++ {
			if _, err := s.ReadSlice('\n'); err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				lines <- n
				return
			}
		}
	}()
	handshakes, err := generate(in, r, size)
	require.NoError(t, err)
	require.NoError(t, in.Close())
	n := <-lines
	require.NoError(t, c.Wait(), errs.String())
	require.Greater(t, handshakes, 10_000)
	require.GreaterOrEqual(t, n, handshakes+1)
	peak := c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	require.Less(t, peak, int64(300<<20), "bytes of memory")
	t.Logf("%d MB, %d handshakes, peak %d MB, %v of CPU", size>>20, handshakes, peak>>20, c.ProcessState.UserTime()+c.ProcessState.SystemTime())
}

// generate writes a capture of at least size bytes: the recording repeatedly, each time from another
// client, with bulk traffic between. It returns the number of handshakes.
func generate(w io.Writer, r *capturetest.Recording, size int64) (handshakes int, err error) {
	b := bufio.NewWriterSize(w, 1<<20)
	p := pcapgo.NewWriterNanos(b)
	if err := p.WriteFileHeader(65535, layers.LinkTypeRaw); err != nil {
		return 0, err
	}
	written := int64(0)
	write := func(data []byte) error {
		written += int64(len(data)) + 16
		return p.WritePacket(gopacket.CaptureInfo{Timestamp: r.Packets[0].At, CaptureLength: len(data), Length: len(data)}, data)
	}
	bulk, err := capture.UDPPacket(netip.MustParseAddrPort("10.0.0.1:443"), netip.MustParseAddrPort("10.0.0.2:5000"), bytes.Repeat([]byte{0x41}, 1400))
	if err != nil {
		return 0, err
	}
	port := binary.BigEndian.Uint16(r.Packets[0].Data[20:])
	var address [4]byte
	for ; written < size; handshakes++ {
		binary.BigEndian.PutUint32(address[:], 0x0b000000+uint32(handshakes))
		for _, k := range r.Packets {
			data := bytes.Clone(k.Data)
			if binary.BigEndian.Uint16(data[20:]) == port {
				copy(data[12:16], address[:])
			} else {
				copy(data[16:20], address[:])
			}
			if err := write(data); err != nil {
				return 0, err
			}
		}
		for range 100 {
			if err := write(bulk); err != nil {
				return 0, err
			}
		}
	}
	return handshakes, b.Flush()
}

// A live capture sees the machine's traffic. Without the permission, the error explains what to do.
func TestListen(t *testing.T) {
	c := command("--listen", "lo", "--json")
	errs, err := c.StderrPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	first, err := bufio.NewReader(errs).ReadString('\n')
	require.NoError(t, err)
	if s, err := capture.Listen("lo"); err != nil {
		require.ErrorContains(t, err, "CAP_NET_RAW")
		require.Contains(t, first, "CAP_NET_RAW")
		require.Error(t, c.Wait())
		return
	} else {
		require.NoError(t, s.Close())
	}
	require.Contains(t, first, "capturing on lo")
	reported := make(chan inspect.Connection, 1000)
	lines := bufio.NewReader(out)
	go func() {
		defer close(reported)
		for {
			line, err := lines.ReadBytes('\n')
			var c inspect.Connection
			if err != nil || json.Unmarshal(line, &c) != nil {
				return
			}
			reported <- c
		}
	}()
	// Other programs may use loopback as well, and a kernel under load drops frames of a capture: then
	// another handshake is recorded.
	var got inspect.Connection
	for again := true; again; {
		r := capturetest.Record(t, capturetest.Setup{})
		want := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), binary.BigEndian.Uint16(r.Packets[0].Data[20:]))
		for patience := time.After(5 * time.Second); got.Client != want; {
			var open bool
			select {
			case got, open = <-reported:
				require.True(t, open, "the capture ended")
				continue
			case <-patience:
			}
			break
		}
		again = got.Client != want
	}
	require.Equal(t, inspect.PostQuantum, got.Verdict.Result)
	require.Equal(t, 1200, got.ClientInitials.Bytes[0])
	require.NoError(t, c.Process.Signal(os.Interrupt))
	for range reported { // until the end of its output
	}
	require.NoError(t, c.Wait(), "an interrupt is the normal end")
}

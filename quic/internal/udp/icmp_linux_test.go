package udp

import (
	"encoding/binary"
	"log/slog"
	"testing"

	"github.com/pqquic/pqquic/quic/internal/udp/icmptest"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/pqquic/pqquic/quic/internal/datagram"
)

// extendedError returns the control message of a struct sock_extended_err.
func extendedError(level, typ int32, errno unix.Errno, origin byte, info uint32) []byte {
	b := appendCmsg(make([]byte, 0, oobSize), level, typ, 16)
	data := cmsgData(b, 16)
	binary.NativeEndian.PutUint32(data, uint32(errno))
	data[4] = origin
	binary.NativeEndian.PutUint32(data[8:], info)
	return b
}

func TestParseICMP(t *testing.T) {
	const v4, v6 = unix.SO_EE_ORIGIN_ICMP, unix.SO_EE_ORIGIN_ICMP6
	for _, tt := range []struct {
		name    string
		b       []byte
		err     error
		payload int
	}{
		{"too big, IPv4", extendedError(unix.IPPROTO_IP, unix.IP_RECVERR, unix.EMSGSIZE, v4, 1400), unix.EMSGSIZE, 1372},
		{"too big, IPv6", extendedError(unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.EMSGSIZE, v6, 1400), unix.EMSGSIZE, 1352},
		{"too big, IPv4 on an IPv6 socket", extendedError(unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.EMSGSIZE, v4, 1400), unix.EMSGSIZE, 1372},
		{"too big without a size", extendedError(unix.IPPROTO_IP, unix.IP_RECVERR, unix.EMSGSIZE, v4, 0), unix.EMSGSIZE, 0},
		{"too big with a tiny size", extendedError(unix.IPPROTO_IP, unix.IP_RECVERR, unix.EMSGSIZE, v4, 27), unix.EMSGSIZE, 0},
		{"too big with a huge size", extendedError(unix.IPPROTO_IP, unix.IP_RECVERR, unix.EMSGSIZE, v4, 1<<32-1), unix.EMSGSIZE, maxRun},
		{"another error", extendedError(unix.IPPROTO_IP, unix.IP_RECVERR, unix.ECONNREFUSED, v4, 1400), unix.ECONNREFUSED, 0},
		{"not from ICMP", extendedError(unix.IPPROTO_IP, unix.IP_RECVERR, unix.EMSGSIZE, unix.SO_EE_ORIGIN_LOCAL, 1400), nil, 0},
		{"another message", extendedError(unix.IPPROTO_IP, unix.IP_TOS, unix.EMSGSIZE, v4, 1400), nil, 0},
		{"none", nil, nil, 0},
		{"truncated", extendedError(unix.IPPROTO_IP, unix.IP_RECVERR, unix.EMSGSIZE, v4, 1400)[:20], nil, 0},
		{"short", appendCmsg(make([]byte, 0, oobSize), unix.IPPROTO_IP, unix.IP_RECVERR, 8), nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, ok := parseICMP(tt.b)
			require.Equal(t, tt.err != nil, ok)
			if ok {
				require.Equal(t, tt.err, e.Err)
			}
			require.Equal(t, tt.payload, e.Payload)
		})
	}
}

// The kernel's report of an ICMP message has the size, the destination and the beginning of the datagram. The
// datagram that is sent next is not lost.
func TestPacketTooBig(t *testing.T) {
	server, client := listen(t, "udp4", icmptest.Destination+":0"), listen(t, "udp4", "127.0.0.1:0")
	noted := 0
	client.ReportErrors(func() { noted++ })
	quoted := []byte("the beginning of a datagram")
	icmptest.SendTooBig(t, client.LocalAddr(), server.LocalAddr(), 1400, quoted)
	for n := 0; noted == 0; n++ {
		require.Less(t, n, 100_000, "no message")
		tx := datagram.Transmit{Data: []byte("next"), Path: datagram.Path{Remote: server.LocalAddr()}}
		require.NoError(t, client.Write(&tx))
		got, _ := readDatagrams(t, server, 1)
		require.Equal(t, [][]byte{[]byte("next")}, got)
	}
	e, ok := client.NextError(make([]byte, 64))
	require.True(t, ok)
	require.Equal(t, unix.EMSGSIZE, e.Err)
	require.Equal(t, 1372, e.Payload)
	require.Equal(t, server.LocalAddr(), e.Remote)
	require.Equal(t, quoted, e.Quoted[:len(quoted)])
	_, ok = client.NextError(make([]byte, 64))
	require.False(t, ok)

	client.ReportErrors(nil)
	icmptest.SendTooBig(t, client.LocalAddr(), server.LocalAddr(), 1400, quoted)
	tx := datagram.Transmit{Data: []byte("next"), Path: datagram.Path{Remote: server.LocalAddr()}}
	require.NoError(t, client.Write(&tx))
	require.Equal(t, 1, noted)
	_, ok = client.NextError(make([]byte, 64))
	require.False(t, ok)
}

// While ICMP messages are reported, an error is taken for one if it does not occur again.
func TestReportedErrorsLoseNothing(t *testing.T) {
	for _, reported := range []error{unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.EMSGSIZE} {
		t.Run(reported.Error(), func(t *testing.T) {
			server, client := offloadPair(t, slog.DiscardHandler)
			noted := 0
			client.ReportErrors(func() { noted++ })
			pending := 1
			c := calls{fail: func([]byte, bool) error {
				if pending > 0 {
					pending--
					return reported
				}
				return nil
			}}
			c.intercept(client)
			for _, n := range []int{70, 1} {
				pending, noted = 1, 0
				c.reset()
				tx := transmitTo(server, "127.0.0.1", n)
				want := datagramsOf(tx)
				require.NoError(t, client.Write(&tx))
				require.Empty(t, tx.Data)
				got, _ := readDatagrams(t, server, n)
				require.Equal(t, want, got)
				require.Equal(t, 1, noted)
				if n > 1 {
					require.Equal(t, 3, c.runs, "64 datagrams, again, and 6")
				}
			}
			pending = 1000
			tx := transmitTo(server, "127.0.0.1", 3)
			require.ErrorIs(t, client.Write(&tx), reported)
			require.Empty(t, tx.Data)
			require.Equal(t, 1000-2-3*2, pending, "each is tried twice")
			pending = 0
			tx = transmitTo(server, "127.0.0.1", 3)
			c.reset()
			require.NoError(t, client.Write(&tx))
			require.Equal(t, 1, c.runs, "segmentation offload is still used")
		})
	}
}

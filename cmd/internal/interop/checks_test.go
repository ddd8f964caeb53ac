package interop

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/inspect"
)

// long returns a packet with a long header as it is on the wire.
func long(kind byte, version byte, dcid, scid, token, payload string) string {
	b := string([]byte{0xc0 | kind<<4, 0, 0, 0, version}) + string(rune(len(dcid))) + dcid + string(rune(len(scid))) + scid
	if kind == typeRetry {
		return b + token + strings.Repeat("t", 16)
	}
	if kind == typeInitial {
		b += string(rune(len(token))) + token
	}
	return b + string([]byte{0x40 | byte(len(payload)>>8), byte(len(payload))}) + payload
}

// traceOf returns a trace of datagrams that were sent by the client (c) or the server (s), or arrived there from the
// client (a).
func traceOf(t *testing.T, datagrams ...string) *trace {
	tr := &trace{whole: true}
	for _, d := range datagrams {
		src, dst, from := clientAddr, serverAddr, client
		if d[0] == 's' {
			src, dst, from = serverAddr, clientAddr, server
		}
		tr.add(from, time.Time{}, d[0] == 'a', parsed(t, src, dst, []byte(d[1:])))
	}
	return tr
}

func TestSplitDatagram(t *testing.T) {
	b := long(typeInitial, 1, "dest", "source", "token", "initial") + long(typeHandshake, 1, "dest", "source", "", "handshake") + "\x40short"
	packets, short := splitDatagram([]byte(b))
	require.Len(t, packets, 2)
	require.Equal(t, 6, short)
	require.Equal(t, []any{typeInitial, "dest", "source", "token", 7}, []any{packets[0].kind, packets[0].dcid, packets[0].scid, packets[0].token, packets[0].length})
	require.Equal(t, typeHandshake, packets[1].kind)
	for n := range b { // whatever is cut off is left out
		packets, _ := splitDatagram([]byte(b[:n]))
		require.LessOrEqual(t, len(packets), 2)
	}
	retry, _ := splitDatagram([]byte(long(typeRetry, 1, "d", "s", "token", "")))
	require.Equal(t, "token", retry[0].token)
	version2, _, ok := parseLong([]byte("\xd0\x6b\x33\x43\xcf\x01d\x01s\x00\x01x"))
	require.True(t, ok)
	require.Equal(t, typeInitial, version2.kind)
}

func TestCryptoSpans(t *testing.T) {
	payload := "\x00\x01" + "\x02\x05\x00\x01\x00\x00\x00" + "\x03\x05\x00\x00\x00\x01\x02\x03" + "\x06\x0a\x03abc" + "\x06\x00\x02de" + "\x06\x00\x09cut"
	require.Equal(t, []span{{10, 13}, {0, 2}}, cryptoSpans([]byte(payload)))
}

// Every type of frame is skipped or read, and none is read beyond the packet.
func TestShortPacket(t *testing.T) {
	payload := "\x00\x01\x1e" + // PADDING, PING, HANDSHAKE_DONE
		"\x02\x05\x00\x01\x00\x00\x00" + "\x03\x05\x00\x00\x00\x01\x02\x03" + // ACK
		"\x04\x00\x01\x02" + "\x05\x00\x01" + "\x06\x0a\x03abc" + "\x07\x05token" +
		"\x0a\x00\x04data" + "\x0e\x00\x04\x04data" + // STREAM
		"\x10\x01\x11\x01\x02\x12\x01\x13\x01\x14\x01\x15\x01\x02\x16\x01\x17\x01" +
		"\x18\x01\x00\x0212" + strings.Repeat("r", 16) + "\x19\x00" +
		"\x1achalleng" + "\x1bresponse" + "\x24\x00\x01\x02\x01" + "\x40\xaf\x01\x02\x03\x04" + "\x31\x02dg" +
		"\x1c\x00\x00\x02no" + "\x1d\x00\x02no"
	var p shortPacket
	require.True(t, p.parse([]byte(payload)))
	require.Equal(t, shortPacket{reportsECN: true, challenges: []string{"challeng"}, responses: []string{"response"}}, p)
	for n := range payload { // packets that are cut off
		require.NotPanics(t, func() { new(shortPacket).parse([]byte(payload[:n])) })
	}
	for _, rest := range []string{"\x08\x00data", "\x0c\x00\x04data", "\x30datagram"} { // without a length
		require.True(t, new(shortPacket).parse([]byte(rest)))
	}
	for _, bad := range []string{"\x20", "\x0a\x00\x05data", "\x02\x05\x00\x7f\xff\x00", "\x1a1234567"} {
		require.False(t, new(shortPacket).parse([]byte(bad)), "%q", bad)
	}
}

// openedTrace returns a trace of datagrams whose only packets are opened 1-RTT packets.
func openedTrace(t *testing.T, from int, packets ...shortPacket) *trace {
	tr := traceOf(t)
	addOpened(t, tr, from, serverAddr, clientAddr, packets...)
	return tr
}

func addOpened(t *testing.T, tr *trace, from int, serverAddr, clientAddr string, packets ...shortPacket) {
	src, dst := clientAddr, serverAddr
	if from == server {
		src, dst = dst, src
	}
	for i := range packets {
		tr.add(from, time.Time{}, false, parsed(t, src, dst, []byte("\x40x")))
		tr.records[len(tr.records)-1].opened = &packets[i]
	}
}

// Checks accept a run that is right and refuse those that are not.
func TestChecks(t *testing.T) {
	initial := "s" + long(typeInitial, 1, "", "server-1", "", "payload")
	second := "s" + long(typeInitial, 1, "", "server-2", "", "payload")
	updated := openedTrace(t, client, shortPacket{}, shortPacket{keyPhase: true})
	addOpened(t, updated, server, serverAddr, clientAddr, shortPacket{keyPhase: true})
	once := Case{handshakes: 1}
	hello := func(suites ...uint16) *evidence {
		h := new(inspect.ClientHello)
		for _, s := range suites {
			h.Suites = append(h.Suites, inspect.Named{ID: s})
		}
		return &evidence{connections: []*inspect.Connection{{Hello: h}}}
	}
	limit := func(value string) *evidence {
		p := []inspect.Parameter{{Name: "initial_max_streams_bidi", Value: value}}
		return &evidence{connections: []*inspect.Connection{{Handshake: &inspect.Handshake{ServerParameters: p}}}}
	}
	chain := []*inspect.Connection{{Handshake: &inspect.Handshake{Certificate: &inspect.Certificate{ChainBytes: 8000}}}}
	arrives := "a" + long(typeInitial, 1, "x", "y", "", strings.Repeat("p", 1000))
	validates := "a" + long(typeHandshake, 1, "x", "y", "", "payload")
	answer := func(n int) string { return "s" + long(typeHandshake, 1, "x", "y", "", strings.Repeat("p", n)) }
	two := func(first byte) string { // an Initial or a Handshake packet of version 2
		token := ""
		if first == 0xd0 {
			token = "\x00"
		}
		return string([]byte{first, 0x6b, 0x33, 0x43, 0xcf, 0, 0}) + token + "\x01p"
	}
	for _, c := range []struct {
		name  string
		check check
		e     *evidence
		want  string // the error; empty if there is none
	}{
		{"version 1", onlyVersion1, &evidence{trace: traceOf(t, initial)}, ""},
		{"version 9", onlyVersion1, &evidence{trace: traceOf(t, "s"+long(typeInitial, 9, "", "x", "", "p"))}, "map[9:true]"},
		{"version 2", upgraded, &evidence{trace: traceOf(t, "c"+long(typeInitial, 1, "", "x", "", "p"), "s"+two(0xd0), "c"+two(0xf0), "s"+two(0xf0))}, ""},
		{"version 2 at once", upgraded, &evidence{trace: traceOf(t, "c"+two(0xd0), "s"+two(0xd0))}, "not begun with version 1"},
		{"no version 2", upgraded, &evidence{trace: traceOf(t, "c"+long(typeInitial, 1, "", "x", "", "p"), initial)}, "no Initial packet of version 2"},
		{"version 2 of the server", upgraded, &evidence{trace: traceOf(t, "c"+long(typeInitial, 1, "", "x", "", "p"), "s"+two(0xd0), "s"+two(0xf0))}, "client's Handshake packets"},
		{"one handshake", completed, &evidence{c: once, trace: traceOf(t, initial, initial)}, ""},
		{"two handshakes", completed, &evidence{c: once, trace: traceOf(t, initial, second)}, "2 handshakes instead of 1"},
		{"no handshake", completed, &evidence{c: once, trace: traceOf(t)}, "0 handshakes instead of 1"},
		{"no Retry", noRetry, &evidence{trace: traceOf(t, initial)}, ""},
		{"Retry", noRetry, &evidence{trace: traceOf(t, "s"+long(typeRetry, 1, "", "x", "token", ""))}, "has sent a Retry"},
		{"no Retry to return", retried, &evidence{trace: traceOf(t, initial)}, "no Retry with a token"},
		{"Retry without return", retried, &evidence{trace: traceOf(t, "s"+long(typeRetry, 1, "", "x", "token", ""))}, "not returned"},
		{"no second ClientHello", helloRepeated, &evidence{trace: traceOf(t, initial)}, "not sent its ClientHello again"},
		{"ChaCha20", onlyChaCha20, hello(0x1303), ""},
		{"ChaCha20 and AES", onlyChaCha20, hello(0x1303, 0x1301), "alone"},
		{"AES", onlyChaCha20, hello(0x1301), "alone"},
		{"no ClientHello", onlyChaCha20, &evidence{}, "no ClientHello"},
		{"1000 streams", streamLimit, limit("1000"), ""},
		{"1001 streams", streamLimit, limit("1001"), "is 1001"},
		{"no parameters", streamLimit, &evidence{}, "not seen"},
		{"resumed", secondResumed, &evidence{connections: []*inspect.Connection{{}, {Resumed: true}}}, ""},
		{"not resumed", secondResumed, &evidence{connections: []*inspect.Connection{{}, {}}}, "second false"},
		{"one connection", secondResumed, &evidence{connections: []*inspect.Connection{{}}}, "1 connections"},
		{"early data", earlyData, &evidence{trace: traceOf(t, "c"+long(typeEarly, 1, "x", "y", "", "payload"))}, ""},
		{"no early data", earlyData, &evidence{trace: traceOf(t, "c\x40payload")}, "0 bytes in 0-RTT"},
		{"late data", earlyData, &evidence{trace: traceOf(t, "c"+long(typeEarly, 1, "x", "y", "", "p"), "c\x40"+strings.Repeat("x", 6000))}, "in 1-RTT packets"},
		{"key update", keysUpdated, &evidence{trace: updated}, ""},
		{"key update of the client", keysUpdated, &evidence{trace: openedTrace(t, client, shortPacket{keyPhase: true})}, "server has sent no packet"},
		{"no marks", marked, &evidence{trace: traceOf(t, initial)}, "0 packets with ECT"},
		{"within the limit", amplification, &evidence{connections: chain, trace: traceOf(t, arrives, answer(2900), validates, answer(9000))}, ""},
		{"above the limit", amplification, &evidence{connections: chain, trace: traceOf(t, arrives, answer(3100), validates)}, "not validated"},
		{"no validation", amplification, &evidence{connections: chain, trace: traceOf(t, arrives)}, "no Handshake packet"},
		{"a short chain", amplification, &evidence{trace: traceOf(t, arrives, validates)}, "7500 bytes"},
		{"IPv4", onlyIPv6, &evidence{trace: traceOf(t, initial)}, "over IPv4"},
		{"one path", rebound, &evidence{trace: traceOf(t, initial)}, "one path only"},
		{"one address", reboundAddr, &evidence{trace: traceOf(t, initial)}, "one IP address only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.check(c.e); c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}

// The server's first packet on a new path must have a challenge, which the client must answer. A later challenge on the
// path that the client has left is not answered.
func TestRebound(t *testing.T) {
	const other = "10.0.0.1:1001"
	path := func(packets ...shortPacket) *evidence {
		tr := openedTrace(t, server, shortPacket{})
		addOpened(t, tr, server, serverAddr, other, packets...)
		addOpened(t, tr, server, serverAddr, clientAddr, shortPacket{challenges: []string{"old"}})
		addOpened(t, tr, client, serverAddr, other, shortPacket{responses: []string{"answered"}})
		return &evidence{trace: tr}
	}
	require.NoError(t, rebound(path(shortPacket{challenges: []string{"answered"}}, shortPacket{challenges: []string{"another"}})))
	require.ErrorContains(t, rebound(path(shortPacket{}, shortPacket{challenges: []string{"answered"}})), "has no PATH_CHALLENGE")
	require.ErrorContains(t, rebound(path(shortPacket{challenges: []string{"ignored"}})), "has not answered")
}

// Each path of a client needs a connection ID of its own.
func TestNewConnID(t *testing.T) {
	e := &evidence{trace: traceOf(t, "s"+long(typeInitial, 1, "", "12345678", "", "p"), "c\x4012345678payload")}
	require.NoError(t, newConnID(e))
	e.trace.add(client, time.Time{}, false, parsed(t, clientAddr, "10.0.0.3:443", []byte("\x4087654321payload")))
	require.NoError(t, newConnID(e))
	e.trace.add(client, time.Time{}, false, parsed(t, clientAddr, "10.0.0.4:443", []byte("\x4087654321payload")))
	require.ErrorContains(t, newConnID(e), netip.MustParseAddrPort("10.0.0.4:443").String())
}

// Both ends must mark packets with ECT, report the marks of the other, and not mark with CE, which only routers do.
func TestMarked(t *testing.T) {
	ack, counts := shortPacket{}, shortPacket{reportsECN: true}
	for _, c := range []struct {
		name string
		ecn  [2][]byte // of the packets of each end
		sent shortPacket
		want string // the error; empty if there is none
	}{
		{"ECT(0) and ECT(1)", [2][]byte{{2}, {1}}, counts, ""},
		{"the server does not mark", [2][]byte{{2}, {0}}, counts, "the server has sent 0 packets with ECT"},
		{"CE", [2][]byte{{2, 3}, {2}}, counts, "the client has sent 1 packets with ECT and 1 with CE"},
		{"no reports", [2][]byte{{2}, {2}}, ack, "acknowledgements with counts: false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &evidence{trace: new(trace)}
			for end, addrs := range [2][2]string{{clientAddr, serverAddr}, {serverAddr, clientAddr}} {
				for _, ecn := range c.ecn[end] {
					p, ok := parseUDP(datagram(t, addrs[0], addrs[1], ecn, []byte("\x40x")))
					require.True(t, ok)
					e.trace.add(end, time.Time{}, false, &p)
					e.trace.records[len(e.trace.records)-1].opened = &c.sent
				}
			}
			if err := marked(e); c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}

func TestSameFiles(t *testing.T) {
	e := &evidence{c: Case{files: []file{{"a", 3}}}, www: t.TempDir(), downloads: t.TempDir()}
	write := func(dir, name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	write(e.www, "a", "abc")
	require.ErrorContains(t, sameFiles(e), "0 files instead of 1")
	write(e.downloads, "a", "abd")
	require.ErrorContains(t, sameFiles(e), "differs")
	write(e.downloads, "a", "abc")
	require.NoError(t, sameFiles(e))
	write(e.downloads, "b", "")
	require.ErrorContains(t, sameFiles(e), "2 files instead of 1")
}

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
	tr := new(trace)
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

func TestReadQlog(t *testing.T) {
	log := "\x1e{\"name\":\"transport:packet_sent\",\"data\":{\"header\":{\"packet_type\":\"1RTT\",\"key_phase_bit\":\"1\"},\"frames\":[{\"frame_type\":\"ack\",\"ect0\":0}]}}\n" +
		"\x1e{\"name\":\"transport:packet_sent\",\"data\":{\"header\":{\"packet_type\":\"1RTT\",\"key_phase_bit\":false},\"frames\":[{\"frame_type\":\"path_challenge\",\"data\":\"00ff\"}]}}\n" +
		"\x1e{\"name\":\"transport:packet_received\",\"data\":{}}\n" +
		"\x1e{\"name\":\"transport:packet_sent\",\"data"
	packets, err := readQlog(strings.NewReader(log))
	require.NoError(t, err)
	require.Len(t, packets, 2)
	require.True(t, packets[0].oneRTT && packets[0].keyPhase && packets[0].frames[0].reportsECN())
	require.False(t, packets[1].keyPhase || packets[1].frames[0].reportsECN())
	require.Equal(t, map[string]bool{"00ff": true}, data(packets, "path_challenge"))
	_, err = readQlog(strings.NewReader("\x1e{\"name\":\"transport:packet_sent\",]\n"))
	require.Error(t, err)
}

// Checks accept a run that is right and refuse those that are not.
func TestChecks(t *testing.T) {
	initial := "s" + long(typeInitial, 1, "", "server-1", "", "payload")
	second := "s" + long(typeInitial, 1, "", "server-2", "", "payload")
	phase := [2][]sentPacket{{{oneRTT: true, keyPhase: true}}, {{oneRTT: true, keyPhase: true}}}
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
		{"key update", keysUpdated, &evidence{qlogs: phase}, ""},
		{"key update of the client", keysUpdated, &evidence{qlogs: [2][]sentPacket{phase[0], nil}}, "server has no packet"},
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

// Paths count only if their challenges were answered, and need new connection IDs.
func TestChecksOfPaths(t *testing.T) {
	e := &evidence{trace: traceOf(t, "s"+long(typeInitial, 1, "", "12345678", "", "p"), "c\x4012345678payload")}
	e.trace.add(server, time.Time{}, false, parsed(t, "10.0.0.3:443", clientAddr, []byte("\x40x")))
	frame := func(kind string) []sentPacket { return []sentPacket{{frames: []qlogFrame{{Type: kind, Data: "01"}}}} }
	require.ErrorContains(t, rebound(e), "0 of its challenges were answered")
	e.qlogs = [2][]sentPacket{frame("path_response"), frame("path_challenge")}
	require.NoError(t, rebound(e))
	require.NoError(t, newConnID(e))
	e.trace.add(client, time.Time{}, false, parsed(t, clientAddr, "10.0.0.3:443", []byte("\x4087654321payload")))
	require.NoError(t, newConnID(e))
	e.trace.add(client, time.Time{}, false, parsed(t, clientAddr, "10.0.0.4:443", []byte("\x4087654321payload")))
	require.ErrorContains(t, newConnID(e), netip.MustParseAddrPort("10.0.0.4:443").String())
}

// Both ends must mark packets with ECT, report the marks of the other, and not mark with CE, which only routers do.
func TestMarked(t *testing.T) {
	ack, zero := qlogFrame{Type: "ack"}, uint64(0)
	counts := ack
	counts.ECT0 = &zero
	for _, c := range []struct {
		name  string
		ecn   [2][]byte // of the packets of each end
		frame qlogFrame
		want  string // the error; empty if there is none
	}{
		{"ECT(0) and ECT(1)", [2][]byte{{2}, {1}}, counts, ""},
		{"the server does not mark", [2][]byte{{2}, {0}}, counts, "the server has sent 0 packets with ECT"},
		{"CE", [2][]byte{{2, 3}, {2}}, counts, "the client has sent 1 packets with ECT and 1 with CE"},
		{"no reports", [2][]byte{{2}, {2}}, ack, "acknowledgements with counts: false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent := []sentPacket{{frames: []qlogFrame{c.frame}}}
			e := &evidence{trace: new(trace), qlogs: [2][]sentPacket{sent, sent}}
			for end, addrs := range [2][2]string{{clientAddr, serverAddr}, {serverAddr, clientAddr}} {
				for _, ecn := range c.ecn[end] {
					p, ok := parseUDP(datagram(t, addrs[0], addrs[1], ecn, []byte("\x40x")))
					require.True(t, ok)
					e.trace.add(end, time.Time{}, false, &p)
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

package debug

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pqquic/pqquic/quic"
)

// view is what the template shows: all endpoints or one connection.
type view struct {
	Endpoints []endpoint
	Details   *conn
}

type endpoint struct {
	Name, Addr       string
	Counters         []row
	Conns            []conn
	Total, NotListed int
	PostQuantum      int // of the connections
}

type conn struct {
	ID, Side, Remote, State       string
	Group, ALPN                   string
	PostQuantum, Established      bool
	RTT, Window, Congestion       string
	Sent, Received, Lost, Streams string
	bytes                         uint64
	Rows                          []row // with all counters, for the page of one connection
}

type row struct{ Name, Value string }

func endpointOf(n *named) endpoint {
	s, t := n.ep.Stats(), n.ep.Traffic()
	e := endpoint{Name: n.name, Addr: n.ep.Addr().String()}
	for _, c := range n.ep.Conns() {
		e.Conns = append(e.Conns, connOf(c))
	}
	e.Total = len(e.Conns)
	for i := range e.Conns {
		if e.Conns[i].PostQuantum {
			e.PostQuantum++
		}
	}
	slices.SortFunc(e.Conns, func(a, b conn) int { return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.ID, b.ID)) })
	if e.Total > maxRows {
		e.Conns, e.NotListed = e.Conns[:maxRows], e.Total-maxRows
	}
	e.Counters = []row{
		{"handshakes completed", fmt.Sprint(s.Handshakes.Completed)},
		{"failed", fmt.Sprint(s.Handshakes.Failed)},
		{"classical although post-quantum was offered", fmt.Sprint(s.Handshakes.Downgraded)},
		{"clients refused", fmt.Sprint(s.Refused)},
		{"sent", size(t.BytesSent)}, {"received", size(t.BytesReceived)},
		{"packets lost", share(t.PacketsLost, t.PacketsSent)},
		{"memory for sending", size(uint64(max(s.SendMemory, 0)))},
		{"memory for receiving", size(uint64(max(s.ReceiveMemory, 0)))},
	}
	return e
}

func connOf(c *quic.Conn) conn {
	st, s := c.ConnectionState(), c.Stats()
	v := conn{
		ID: c.ID(), Side: "client", Remote: c.RemoteAddr().String(), State: "handshake",
		Established: st.TLS.HandshakeDone, PostQuantum: st.TLS.HandshakeDone && st.TLS.Group.PostQuantum(),
		RTT: duration(s.SmoothedRTT), Window: size(uint64(s.CongestionWindow)), Congestion: s.CongestionState,
		Sent: size(s.BytesSent), Received: size(s.BytesReceived), Lost: share(s.PacketsLost, s.PacketsSent),
		Streams: fmt.Sprint(s.Streams.OpenStreams),
		bytes:   s.BytesSent + s.BytesReceived,
	}
	if c.IsServer() {
		v.Side = "server"
	}
	if v.Established {
		v.State, v.Group, v.ALPN = "established", st.TLS.Group.String(), st.TLS.ALPN
	}
	if c.Context().Err() != nil {
		v.State = "closing"
	}
	return v
}

// details returns a connection with all its counters, or nil if it does not exist.
func details(endpoints []*named, id string) *conn {
	for _, n := range endpoints {
		for _, c := range n.ep.Conns() {
			if c.ID() != id {
				continue
			}
			v := connOf(c)
			addRows(&v.Rows, "", reflect.ValueOf(c.Stats()))
			state := c.ConnectionState()
			state.TLS.PeerChain = nil
			addRows(&v.Rows, "", reflect.ValueOf(state))
			return &v
		}
	}
	return nil
}

// addRows adds the exported fields of a struct.
func addRows(rows *[]row, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		f, name := v.Field(i), prefix+v.Type().Field(i).Name
		switch x := f.Interface().(type) {
		case time.Duration:
			*rows = append(*rows, row{name, duration(x)})
		case fmt.Stringer:
			*rows = append(*rows, row{name, x.String()})
		default:
			switch {
			case f.Kind() == reflect.Struct && v.Type().Field(i).Anonymous:
				addRows(rows, prefix, f)
			case f.Kind() == reflect.Struct:
				addRows(rows, name+".", f)
			case f.Kind() != reflect.Slice:
				*rows = append(*rows, row{name, fmt.Sprint(x)})
			}
		}
	}
}

// duration formats a duration with about three digits.
func duration(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

// size formats a number of bytes.
func size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v := float64(n)
	i := 0
	for v >= 1024 && i < len(units)-1 {
		v /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return strings.Replace(fmt.Sprintf("%.1f %s", v, units[i]), ".0 ", " ", 1)
}

// share formats a part of a whole.
func share(part, whole uint64) string {
	if part == 0 || whole == 0 {
		return fmt.Sprint(part)
	}
	return fmt.Sprintf("%d (%.2g %%)", part, 100*float64(part)/float64(whole))
}

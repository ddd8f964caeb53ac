package http3

import (
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic"
)

func TestParsePriority(t *testing.T) {
	for value, want := range map[string]Priority{
		"": {3, false}, "u=0": {0, false}, "i": {3, true}, "u=7, i": {7, true}, "u=5, i=?0": {5, false},
		// "unknown priority parameters, priority parameters with out-of-range values, or values of unexpected types MUST be
		// ignored."
		// https://www.rfc-editor.org/rfc/rfc9218#section-4-7
		"u=8": {3, false}, "u=-1": {3, false}, "u=x": {3, false}, "i=1": {3, false}, "x=1, u=2;y": {2, false}, "u=1.0": {3, false},
		// "Where the Dictionary is successfully parsed": otherwise, it is ignored as a whole.
		"u=1, I": {3, false}, "u=1,": {3, false},
	} {
		p := defaultPriority
		p.parse(value)
		require.Equal(t, want, p, value)
	}
	require.Equal(t, "u=5, i", Priority{5, true}.String())
	require.Equal(t, "u=7", Priority{Urgency: 9}.String())
}

// responseSize is that of the responses of TestPriorities, and window how much of them the client accepts before it reads.
const responseSize, window = 400_000, 50_000

// The responses of two requests wait until the client reads, so that the server's order shows on the wire. first and second are the
// fields Priority of the requests; "" means none. wantFirst is the request whose response arrives as a whole before the other has more
// than what the client's window let through at first; none means that they share.
func TestPriorities(t *testing.T) {
	const none = -1
	for name, tc := range map[string]struct {
		first, second string
		response      string            // the field Priority of the second response
		before, after map[uint64]string // PRIORITY_UPDATE frames, sent before and after the requests
		wantFirst     int
	}{
		"urgency":                         {first: "u=5", second: "u=1", wantFirst: 1},
		"urgency against incremental":     {first: "u=5, i", second: "u=1, i", wantFirst: 1},
		"one after another":               {first: "u=3", second: "u=3", wantFirst: 0},
		"incremental":                     {first: "i", second: "i", wantFirst: none},
		"no field on the connection":      {wantFirst: none},
		"the default after a field":       {first: "u=3", wantFirst: 0},
		"PRIORITY_UPDATE before":          {before: map[uint64]string{0: "u=7", 4: "u=1"}, wantFirst: 1},
		"PRIORITY_UPDATE overrides field": {first: "u=1", second: "u=7", before: map[uint64]string{0: "u=6", 4: "u=0"}, wantFirst: 1},
		"PRIORITY_UPDATE after":           {first: "u=3", second: "u=3", after: map[uint64]string{4: "u=0"}, wantFirst: 1},
		"the response's field":            {first: "u=3", second: "u=3", response: "u=1", wantFirst: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var written sync.WaitGroup
			written.Add(2)
			s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/second" && tc.response != "" {
					w.Header().Set("Priority", tc.response)
				}
				_, err := w.Write(make([]byte, responseSize)) // into the send buffer
				must(err)
				written.Done()
			}), nil)
			c := dialSmall(t, s)
			control := c.uni(frame.StreamControl, settingsFrame())
			update := func(m map[uint64]string) {
				for id, value := range m {
					_, err := control.Write(frameBytes(frame.PriorityUpdateRequest, append(varint.Append(nil, id), value...)))
					require.NoError(t, err)
				}
				s.awaitUpdates(m)
			}
			update(tc.before)
			ask := func(path, priority string) *rawStream {
				kv := get(path)
				if priority != "" {
					kv = append(kv, "priority", priority)
				}
				return c.open(c.headers(kv...)).end()
			}
			streams := [2]*rawStream{ask("/first", tc.first)}
			_, err := streams[0].Peek(1)
			require.NoError(t, err)
			streams[1] = ask("/second", tc.second)
			written.Wait()
			update(tc.after)

			atEnd := readInOrder(t, streams, max(tc.wantFirst, 0))
			switch tc.wantFirst {
			case none:
				require.Greater(t, min(atEnd[0], atEnd[1]), int64(responseSize/2))
			default:
				require.LessOrEqual(t, atEnd[tc.wantFirst], int64(2*window), "the other response should have waited")
			}
		})
	}
}

// readInOrder reads two streams to their ends on one goroutine: what has arrived of the stream first, and then of the other. It returns
// how much of the other was read at the end of each.
func readInOrder(t *testing.T, streams [2]*rawStream, first int) (atEnd [2]int64) {
	t.Helper()
	var received [2]int64
	for left := 2; left > 0; runtime.Gosched() {
		for _, i := range []int{first, 1 - first} {
			for streams[i] != nil {
				b, err := streams[i].Peek(0)
				if err == io.EOF && len(b) == 0 {
					atEnd[i], streams[i], left = received[1-i], nil, left-1
					break
				}
				require.NoError(t, err)
				if len(b) == 0 {
					break
				}
				n, err := streams[i].Discard(len(b))
				require.NoError(t, err)
				received[i] += int64(n)
			}
		}
	}
	return atEnd
}

// dialSmall is dialBare with a small window for the connection.
func dialSmall(t testing.TB, s *testServer) *rawClient {
	t.Helper()
	return dialWith(t, s, func(c *quic.Config) { c.ConnWindow, c.MaxConnWindow = window, window }) // the streams have more
}

// awaitUpdates waits until the server has counted PRIORITY_UPDATE frames. (It counts anew after each request.)
func (s *testServer) awaitUpdates(m map[uint64]string) {
	for isDone := len(m) == 0; !isDone; runtime.Gosched() {
		s.mu.Lock()
		for sc := range s.conns {
			isDone = isDone || sc.junk.Load() == int64(len(m))
		}
		s.mu.Unlock()
	}
}

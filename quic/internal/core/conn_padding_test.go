package core

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A frame without a length takes the rest of its packet, so padding behind it would become part of it. Such a frame fills
// the datagram, and datagrams are padded only if they may have MinInitialSize: at every limit, with every amount of data,
// the frames of a padded datagram say what was written.
//
// "If this bit is set to 0, the Length field is absent and the Stream Data field extends to the end of the packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.8-3.2
// "[...] if this bit is set to 0, the Length field is absent and the Datagram Data field extends to the end of the packet".
// https://www.rfc-editor.org/rfc/rfc9221#section-4-1
func TestPaddingIsNotPartOfAFrame(t *testing.T) {
	pattern := func(n int) []byte { return bytes.Repeat([]byte{0xa5}, n) }
	var limited, padded, filled int
	check := func(sent []sentOn) {
		for _, d := range sent {
			for _, f := range d.frames {
				var data []byte
				toEnd := false
				switch f := f.(type) {
				case wire.Stream:
					data, toEnd = f.Data, f.ToEnd
				case wire.Datagram:
					data, toEnd = f.Data, f.ToEnd
				case wire.PathResponse:
					padded++
				}
				require.Equal(t, len(data), bytes.Count(data, []byte{0xa5}), "in a datagram of %d bytes", d.size)
				if toEnd {
					filled++
				}
			}
		}
	}
	// size is that of the client's datagrams from an address that is not validated: the server may send three times as
	// much there. A size of 0 means the validated address.
	for size := 0; size <= MinInitialSize; size += 13 {
		for _, n := range []int{1, 7, 300, 1100, 1130, 1140, 1150, 1160, 1170, 5000} {
			o := withDatagrams()
			o.client = func(c *Config) { c.MaxDatagramFrame = 65535 }
			r := connected(t, o)
			from := clientAddr
			if size > 0 {
				from = otherPort
			}
			id, err := r.server.OpenStream(r.now, true)
			require.NoError(t, err)
			_, err = r.server.Write(r.now, id, pattern(n))
			require.NoError(t, err)
			if n <= r.server.MaxDatagram() {
				require.NoError(t, r.server.SendDatagram(r.now, pattern(n)))
			}
			frames := wire.PathChallenge{Data: [8]byte{1}}.Append(wire.Ping{}.Append(nil))
			for i := range 3 {
				frames := append(bytes.Clone(frames), make([]byte, max(0, size-60))...)
				frames[2] = byte(i)
				sent := r.giveFrom(from, r.packet(tlsprovider.Server, recovery.SpaceApp, frames, nil))
				check(sent)
				if size > 0 && bytesTo(from, sent) > 0 {
					limited++
				}
			}
			require.NoError(t, errOf(r.server))
		}
	}
	require.Positive(t, limited)
	require.Positive(t, padded)
	require.Positive(t, filled)
}

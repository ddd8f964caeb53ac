package tlstest

import (
	"bytes"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// initialAfterRetry checks Initial keys whose first packet number is not 0. After a Retry, a client has new Initial
// keys and does not reset its packet numbers.
//
// "A client MUST NOT reset the packet number for any packet number space after processing a Retry
// packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.3-4
func (su *Suite) initialAfterRetry(t *testing.T) {
	for first := uint64(0); first < 64; first++ {
		for _, dcid := range [][]byte{rfcDCID, bytes.Repeat([]byte{byte(first)}, 20)} {
			ck, err := su.Client.InitialKeys(version1, dcid, tlsprovider.Client)
			require.NoError(t, err)
			sk, err := su.Server.InitialKeys(version1, dcid, tlsprovider.Server)
			require.NoError(t, err)
			for _, dir := range []struct {
				s tlsprovider.Sealer
				o tlsprovider.Opener
			}{{ck.Sealer, sk.Opener}, {sk.Sealer, ck.Opener}} {
				var tr train
				for i := range uint64(6) {
					tr.addLong(first+i*i, bytes.Repeat([]byte{byte(i)}, 1100))
				}
				tr.sealAll(t, dir.s)
				require.Equal(t, 6, dir.o.Open(tr.slab, tr.open, int64(first)-1))
				for i := range tr.open {
					tr.requireOpen(t, i, tlsprovider.OpenOK)
				}
			}
			ck.Close()
			sk.Close()
		}
	}
}

// addLong adds a packet with a long header.
func (tr *train) addLong(pn uint64, payload []byte) {
	off := len(tr.slab)
	tr.add(pn, 4, 0, payload)
	tr.slab[off] |= 0xc0
}

// retryTags checks that both providers compute the same tags, for tokens of each length that fits in a datagram.
func (su *Suite) retryTags(t *testing.T) {
	long := bytes.Repeat([]byte{0xf7}, 65535)
	for _, n := range []int{0, 1, 100, 1200, 2047, 2048, 2049, 9000, 65535} {
		for _, version := range su.versions() {
			for _, dcid := range [][]byte{nil, rfcDCID, long[:20]} {
				a, err := su.Client.RetryTag(version, dcid, long[:n])
				require.NoError(t, err, "%d bytes", n)
				b, err := su.Server.RetryTag(version, dcid, long[:n])
				require.NoError(t, err)
				require.Equal(t, a, b)
			}
		}
	}
}

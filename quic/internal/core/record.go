package core

import (
	"github.com/pqquic/pqquic/internal/varint"
)

// A sent packet's record lists the information that the packet carried, so that it can be sent again, in
// its newest form, if the packet is lost. A record is a sequence of entries: a kind, then varints. The
// kinds from recStreams on belong to package streams.
const (
	recAck           byte = iota + 1 // largest acknowledged
	recCrypto                        // offset, length
	recHandshakeDone                 //
	recNewConnID                     // sequence number
	recRetireConnID                  // sequence number
	recPing                          //
	recDatagrams                     // number of datagrams
	recAckFrequency                  //
	recNewToken                      //

	recStreams byte = 0x40
)

func appendRecord0(rec []byte, kind byte) []byte { return append(rec, kind) }

func appendRecord1(rec []byte, kind byte, v uint64) []byte {
	return varint.Append(append(rec, kind), v)
}

func appendRecord2(rec []byte, kind byte, v, w uint64) []byte {
	return varint.Append(varint.Append(append(rec, kind), v), w)
}

// consumeRecordVarint reads a number that this package wrote.
func consumeRecordVarint(rec []byte) (uint64, []byte) {
	v, n := varint.Consume(rec)
	if n < 0 {
		panic("BUG: broken sent packet record")
	}
	return v, rec[n:]
}

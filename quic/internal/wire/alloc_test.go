package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Functions that run for every packet do not allocate.
func TestHotPathDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 2048)
	data := make([]byte, 1100)
	ranges := []PNRange{{0, 9}, {55, 56}, {57, 65}}
	ecn := &ECNCounts{1, 2, 3}
	dst := connID("8394c8f03e515708")
	stream := Stream{ID: 4, Offset: 1 << 20, Data: data, Fin: true}
	long := AppendLongHeader(nil, PacketInitial, Version1, dst, dst, []byte("token"), 0, 4)
	hdr := len(long)
	long = append(long, data...)
	PatchLength(long, hdr, len(data))
	short := AppendShortHeader(nil, dst, false, false, 7, 2)

	encoded := stream.Append(nil)
	crypto := Crypto{Offset: 5, Data: data}.Append(nil)
	ack := AppendAck(nil, ranges, 1000, ecn, 1200)
	maxData := MaxData{1 << 30}.Append(nil)
	params := allParameters()
	params.AvailableVersions, params.HasVersionInfo = "", false // the list of versions is copied, once for each connection
	encodedParams := params.Append(nil)

	var sum PacketNumber
	for name, f := range map[string]func(){
		"ConsumeFrameType": func() { ConsumeFrameType(encoded) },
		"ConsumeStream":    func() { ConsumeStream(encoded) },
		"ConsumeCrypto":    func() { ConsumeCrypto(crypto) },
		"ConsumeMaxData":   func() { ConsumeMaxData(maxData) },
		"ConsumeAck": func() {
			f, _ := ConsumeAck(ack)
			for r := range f.Ranges {
				sum += r.End - r.Start
			}
		},
		"ParseLongHeader":   func() { ParseLongHeader(long) },
		"ParseInvariant":    func() { ParseInvariant(short, 8) },
		"MakeConnID":        func() { MakeConnID(short[1:9]) },
		"Stream.Append":     func() { stream.Append(buf) },
		"Crypto.Append":     func() { Crypto{Offset: 1 << 20, Data: data}.Append(buf) },
		"MaxData.Append":    func() { MaxData{1 << 20}.Append(buf) },
		"AppendAck":         func() { AppendAck(buf, ranges, 1000, ecn, 1200) },
		"AppendLongHeader":  func() { AppendLongHeader(buf, PacketInitial, Version1, dst, dst, nil, 1, 4) },
		"AppendShortHeader": func() { AppendShortHeader(buf, dst, true, true, 1, 4) },
		"ParseTransportParameters": func() {
			ParseTransportParameters(encodedParams, true)
		},
	} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
	require.Positive(t, sum)
}

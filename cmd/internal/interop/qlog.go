package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// A sentPacket is a packet that an endpoint has sent, as its qlog describes it.
type sentPacket struct {
	oneRTT   bool
	keyPhase bool
	frames   []qlogFrame
}

type qlogFrame struct {
	Type string `json:"frame_type"`
	Data string `json:"data"` // of PATH_CHALLENGE and PATH_RESPONSE
	ECT0 *uint64
	ECT1 *uint64
}

// reportsECN reports whether a frame is an ACK with counts of ECN marks.
func (f *qlogFrame) reportsECN() bool { return f.Type == "ack" && (f.ECT0 != nil || f.ECT1 != nil) }

// readQlogs returns the packets that an endpoint has sent, from all qlogs in a directory. The names of events and
// fields are those that quic-go and package quic write.
func readQlogs(dir string) (packets []sentPacket, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.sqlog"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		more, err := readQlog(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		packets = append(packets, more...)
	}
	return packets, nil
}

// readQlog reads a qlog in the format JSON-SEQ. An endpoint that was killed may have cut off its last record.
func readQlog(r io.Reader) (packets []sentPacket, err error) {
	lines := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return packets, nil
		} else if err != nil {
			return nil, err
		}
		if !bytes.Contains(line, []byte(`:packet_sent"`)) {
			continue
		}
		var event struct {
			Name string `json:"name"`
			Data struct {
				Header struct {
					Type     string          `json:"packet_type"`
					KeyPhase json.RawMessage `json:"key_phase_bit"`
				} `json:"header"`
				Frames []qlogFrame `json:"frames"`
			} `json:"data"`
		}
		if err := json.Unmarshal(bytes.TrimPrefix(line, []byte{0x1e}), &event); err != nil {
			return nil, err
		}
		phase := string(event.Data.Header.KeyPhase)
		packets = append(packets, sentPacket{
			oneRTT: event.Data.Header.Type == "1RTT", frames: event.Data.Frames,
			keyPhase: phase == "true" || phase == `"1"`,
		})
	}
}

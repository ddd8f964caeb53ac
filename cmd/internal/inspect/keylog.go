package inspect

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"strings"
)

// maxLogged bounds the connections of a KeyLog.
const maxLogged = 1 << 20

// A KeyLog holds the handshake secrets and the first application secrets of connections, read from lines in the format
// of SSLKEYLOGFILE (draft-ietf-tls-keylogfile).
type KeyLog struct {
	secrets map[[32]byte]*secrets // by client random
}

// secrets are the secrets of a connection, of the client and of the server.
type secrets struct{ handshake, application [2][]byte }

// Read adds the lines of r. Lines with other secrets are ignored.
func (k *KeyLog) Read(r io.Reader) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), 1<<20)
	for s.Scan() {
		k.line(s.Text())
	}
	return s.Err()
}

// Add adds lines.
func (k *KeyLog) Add(lines []byte) {
	_ = k.Read(bytes.NewReader(lines)) // reading a buffer does not fail, and an overlong line is not a secret
}

// Len returns the number of connections.
func (k *KeyLog) Len() int { return len(k.secrets) }

func (k *KeyLog) line(line string) {
	f := strings.Fields(line)
	if len(f) != 3 {
		return
	}
	dir, application := fromClient, false
	switch f[0] {
	case "CLIENT_HANDSHAKE_TRAFFIC_SECRET":
	case "SERVER_HANDSHAKE_TRAFFIC_SECRET":
		dir = fromServer
	case "CLIENT_TRAFFIC_SECRET_0":
		application = true
	case "SERVER_TRAFFIC_SECRET_0":
		dir, application = fromServer, true
	default:
		return
	}
	random, err1 := hex.DecodeString(f[1])
	secret, err2 := hex.DecodeString(f[2])
	if err1 != nil || err2 != nil || len(random) != 32 || len(secret) > 64 {
		return
	}
	id := [32]byte(random)
	if k.secrets == nil {
		k.secrets = make(map[[32]byte]*secrets)
	}
	all := k.secrets[id]
	if all == nil {
		if len(k.secrets) >= maxLogged {
			return
		}
		all = new(secrets)
		k.secrets[id] = all
	}
	if application {
		all.application[dir] = secret
	} else {
		all.handshake[dir] = secret
	}
}

// find returns the handshake secrets of a connection, or nil.
func (k *KeyLog) find(random [32]byte) *[2][]byte {
	if all := k.secrets[random]; all != nil {
		return &all.handshake
	}
	return nil
}

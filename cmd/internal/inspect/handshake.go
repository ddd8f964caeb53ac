package inspect

import (
	"crypto/x509"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// maxCertificates bounds what is kept of one side's encrypted flight.
	maxCertificates = 256 << 10
	// maxEarly bounds the Handshake packets that wait for the ServerHello.
	maxEarly = 32
)

// handshakeReader follows the encrypted part of a handshake with the secrets of a key log.
type handshakeReader struct {
	log     *KeyLog
	openers [2]*opener
	streams [2]stream
	parsed  [2]int
	seen    [2]bool // Finished
	failed  bool
	early   []earlyPacket
}

// earlyPacket is a packet that arrived before the ServerHello that determines its keys.
type earlyPacket struct {
	dir, pnOffset int
	version       uint32
	data          []byte
}

func (r *handshakeReader) size() (n int) {
	for _, p := range r.early {
		n += len(p.data)
	}
	return n + r.streams[0].size() + r.streams[1].size()
}

// done reports whether both sides have finished, or cannot be followed.
func (r *handshakeReader) done() bool { return r.failed || r.seen[0] && r.seen[1] }

// ready looks up the secrets once the ServerHello is known, and reads the packets that waited for them.
func (r *handshakeReader) ready(c *conn) {
	if c.report.Hello == nil || c.report.ServerHello == nil || c.report.Handshake != nil || r.failed {
		return
	}
	pair := r.log.find(c.report.Hello.random)
	if pair == nil || pair[0] == nil || pair[1] == nil {
		r.failed, r.early = true, nil
		return
	}
	c.report.Handshake = &Handshake{}
	early := r.early
	r.early = nil
	for _, p := range early {
		r.open(c, p)
	}
}

// packet reads a Handshake packet.
func (r *handshakeReader) packet(c *conn, dir int, h *longHeader) {
	p := earlyPacket{dir, h.pnOffset, h.version, slices.Clone(h.packet)}
	switch {
	case r.failed:
	case c.report.Handshake == nil:
		if len(r.early) < maxEarly {
			r.early = append(r.early, p)
		}
	default:
		r.open(c, p)
	}
}

func (r *handshakeReader) open(c *conn, p earlyPacket) {
	if r.openers[p.dir] == nil {
		// The version of the Handshake packets counts: it may differ from that of the first Initial packet.
		o, err := newOpener(p.version, c.report.Suite.ID, r.log.find(c.report.Hello.random)[p.dir])
		if err != nil {
			r.failed = true
			c.report.problem("key log: " + err.Error())
			return
		}
		r.openers[p.dir] = o
	}
	payload, ok := r.openers[p.dir].open(p.data, p.pnOffset)
	if !ok {
		c.report.problem("a Handshake packet cannot be decrypted with the key log's secret")
		return
	}
	closed, _ := walkFrames(payload, func(off uint64, data []byte) error {
		return c.note(r.crypto(c, p.dir, off, data))
	})
	if closed != nil && c.report.Close == "" {
		c.report.Close = closed.String()
	}
}

func (r *handshakeReader) crypto(c *conn, dir int, off uint64, data []byte) error {
	s := &r.streams[dir]
	s.limit = maxCertificates
	if err := s.add(off, data); err != nil {
		return err
	}
	for {
		msg, ok := s.message(r.parsed[dir])
		if !ok {
			return nil
		}
		r.parsed[dir] += len(msg)
		if msg[0] == typeFinished {
			r.seen[dir] = true
		}
		if !c.report.Handshake.message(dir, msg) {
			return fmt.Errorf("an encrypted handshake message of type %d is malformed", msg[0])
		}
	}
}

// message reads one message of the encrypted flights.
func (h *Handshake) message(dir int, msg []byte) bool {
	body := cryptobyte.String(msg[4:])
	switch msg[0] {
	case typeEncryptedExtensions:
		return extensions(body, h.encryptedExtension) == nil
	case typeCertificateRequest:
		h.ClientCertAsked = true
	case typeCertificate:
		return h.certificate(dir, body)
	case typeCompressedCert:
		h.CompressedCert = true
	case typeCertificateVerify:
		var scheme uint16
		if !body.ReadUint16(&scheme) {
			return false
		}
		s := schemeOf(scheme)
		if dir == fromServer {
			h.Signature = &s
		} else {
			h.ClientSignature = &s
		}
	}
	return true
}

func (h *Handshake) encryptedExtension(id uint16, body cryptobyte.String) error {
	ok := true
	switch id {
	case extALPN:
		var names []string
		if names, ok = protocolNames(body); ok && len(names) > 0 {
			h.ALPN = names[0]
		}
	case extSupportedGroups:
		var list cryptobyte.String
		ok = body.ReadUint16LengthPrefixed(&list)
		h.ServerGroups = groupList(list)
	case extTransportParams:
		h.ServerParameters, ok = parseParameters(body)
	}
	if !ok {
		return errHello
	}
	return nil
}

// certificate reads a Certificate message (RFC 8446, 4.4.2).
func (h *Handshake) certificate(dir int, s cryptobyte.String) bool {
	out := &Certificate{ChainBytes: len(s) + 4}
	var context, list cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&context) || !s.ReadUint24LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var der, ext cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&der) || !list.ReadUint16LengthPrefixed(&ext) {
			return false
		}
		if out.Chain++; out.Chain == 1 {
			out.describe(der)
		}
	}
	if out.Chain == 0 {
		return true
	}
	if dir == fromServer {
		h.Certificate = out
	} else {
		h.ClientCertificate = out
	}
	return true
}

func (c *Certificate) describe(der []byte) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		c.Subject = "unreadable: " + err.Error()
		return
	}
	c.Subject, c.Issuer = leaf.Subject.String(), leaf.Issuer.String()
	c.DNSNames = leaf.DNSNames[:min(len(leaf.DNSNames), maxListed)]
	c.NotAfter = leaf.NotAfter
	c.PublicKey, c.SignatureAlgorithm, c.PostQuantum = Algorithms(leaf)
}

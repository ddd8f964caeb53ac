package pkcs11key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A Key is a private key in a token. It implements crypto.Signer. Its methods may be called concurrently.
type Key struct {
	token  *Token
	label  string
	id     []byte
	public crypto.PublicKey
}

// Key finds a private key by its label (CKA_LABEL) or ID (CKA_ID), or both. An empty argument matches every key. The public
// key is that of the token's public key object with the same ID, or of its certificate.
func (t *Token) Key(label string, id []byte) (*Key, error) {
	if label == "" && len(id) == 0 {
		return nil, errors.New("pkcs11key: Token.Key needs a label or an ID")
	}
	k := &Key{token: t, label: label, id: id}
	return k, t.use(func(ctx *pkcs11.Ctx, s *session) error {
		handle, err := k.find(ctx, s)
		if err != nil {
			return err
		}
		k.public, err = k.readPublic(ctx, s.handle, handle)
		return err
	})
}

// Public implements crypto.Signer.
func (k *Key) Public() crypto.PublicKey { return k.public }

// String returns a description of the key, for logs.
func (k *Key) String() string {
	kind := "RSA key"
	if pub, ok := k.public.(*ecdsa.PublicKey); ok {
		kind = "ECDSA key on " + pub.Curve.Params().Name
	}
	return fmt.Sprintf("%s %s in %s", kind, k.name(), k.token.cfg.name())
}

func (k *Key) name() string {
	switch {
	case k.label != "" && len(k.id) > 0:
		return fmt.Sprintf("%q (ID %x)", k.label, k.id)
	case k.label != "":
		return fmt.Sprintf("%q", k.label)
	}
	return fmt.Sprintf("with the ID %x", k.id)
}

// Certificate returns the chain of a PEM file, leaf first, with k as its private key.
func (k *Key) Certificate(file string) (tlsprovider.Certificate, error) {
	var c tlsprovider.Certificate
	text, err := os.ReadFile(file)
	if err != nil {
		return c, fmt.Errorf("pkcs11key: %w", err)
	}
	for b, rest := pem.Decode(text); b != nil; b, rest = pem.Decode(rest) {
		if b.Type == "CERTIFICATE" {
			c.Chain = append(c.Chain, b.Bytes)
		}
	}
	if len(c.Chain) == 0 {
		return c, fmt.Errorf("pkcs11key: %s has no CERTIFICATE block", file)
	}
	leaf, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		return c, fmt.Errorf("pkcs11key: %s: %w", file, err)
	}
	if pub, ok := k.public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(leaf.PublicKey) {
		return c, fmt.Errorf("pkcs11key: the first certificate of %s does not belong to the %s", file, k)
	}
	c.Signer = k
	return c, nil
}

// find returns the handle of the private key in a session.
func (k *Key) find(ctx *pkcs11.Ctx, s *session) (pkcs11.ObjectHandle, error) {
	if handle, ok := s.keys[k]; ok {
		return handle, nil
	}
	handles, err := findObjects(ctx, s.handle, k.template(pkcs11.CKO_PRIVATE_KEY))
	switch {
	case err != nil:
		return 0, err
	case len(handles) == 0:
		return 0, fmt.Errorf("there is no private key %s: %s", k.name(), listKeys(ctx, s.handle))
	case len(handles) > 1:
		return 0, fmt.Errorf("%d or more private keys are %s: use label and ID together: %s", len(handles), k.name(), listKeys(ctx, s.handle))
	}
	s.keys[k] = handles[0]
	return handles[0], nil
}

// template returns the attributes of an object of the key.
func (k *Key) template(class uint) []*pkcs11.Attribute {
	a := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)}
	if k.label != "" {
		a = append(a, pkcs11.NewAttribute(pkcs11.CKA_LABEL, k.label))
	}
	if len(k.id) > 0 {
		a = append(a, pkcs11.NewAttribute(pkcs11.CKA_ID, k.id))
	}
	return a
}

// maxListed is the number of keys that an error lists.
const maxListed = 10

// findObjects returns the first objects with these attributes.
func findObjects(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle, template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := ctx.FindObjectsInit(sh, template); err != nil {
		return nil, err
	}
	handles, _, err := ctx.FindObjects(sh, maxListed)
	return handles, errors.Join(err, ctx.FindObjectsFinal(sh))
}

// listKeys names the private keys of a token, for errors.
func listKeys(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle) string {
	handles, err := findObjects(ctx, sh, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY)})
	if err != nil || len(handles) == 0 {
		return "the token has no private key that this user can see"
	}
	var names []string
	for _, h := range handles {
		if a, err := attributes(ctx, sh, h, pkcs11.CKA_LABEL, pkcs11.CKA_ID); err == nil {
			names = append(names, fmt.Sprintf("%q (ID %x)", a[0], a[1]))
		}
	}
	return "the token has " + strings.Join(names, ", ")
}

// attributes returns the values of attributes of an object.
func attributes(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle, h pkcs11.ObjectHandle, types ...uint) ([][]byte, error) {
	template := make([]*pkcs11.Attribute, len(types))
	for i, t := range types {
		template[i] = pkcs11.NewAttribute(t, nil)
	}
	found, err := ctx.GetAttributeValue(sh, h, template)
	if err != nil {
		return nil, err
	}
	if len(found) != len(types) {
		return nil, fmt.Errorf("the token returned %d of %d attributes", len(found), len(types))
	}
	values := make([][]byte, len(found))
	for i, a := range found {
		values[i] = a.Value
	}
	return values, nil
}

// readPublic returns the public key that belongs to a private key.
func (k *Key) readPublic(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle, private pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	own, err := attributes(ctx, sh, private, pkcs11.CKA_ID, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return nil, err
	}
	kind := parseULong(own[1])
	if kind != pkcs11.CKK_RSA && kind != pkcs11.CKK_EC {
		return nil, fmt.Errorf("the private key %s has the type %#x: only RSA (0) and ECDSA (3) keys can be used", k.name(), kind)
	}
	read := rsaKey
	if kind == pkcs11.CKK_EC {
		read = ecdsaKey
	}
	partner := Key{label: k.label, id: own[0]} // the same ID is what pairs them; without one, the label
	if len(partner.id) > 0 {
		partner.label = ""
	}
	handles, err := findObjects(ctx, sh, append(partner.template(pkcs11.CKO_PUBLIC_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, kind)))
	if err != nil {
		return nil, err
	}
	if len(handles) == 1 {
		return read(ctx, sh, handles[0])
	}
	if kind == pkcs11.CKK_RSA { // the private key may show its public part
		if pub, err := rsaKey(ctx, sh, private); err == nil {
			return pub, nil
		}
	}
	if handles, err = findObjects(ctx, sh, partner.template(pkcs11.CKO_CERTIFICATE)); err != nil {
		return nil, err
	}
	if len(handles) == 1 {
		der, err := attributes(ctx, sh, handles[0], pkcs11.CKA_VALUE)
		if err != nil {
			return nil, err
		}
		cert, err := x509.ParseCertificate(der[0])
		if err != nil {
			return nil, fmt.Errorf("the certificate of the key %s: %w", k.name(), err)
		}
		return cert.PublicKey, nil
	}
	return nil, fmt.Errorf("the token has no public key object and no certificate with the ID or label of the private key %s: store one of them", k.name())
}

// parseULong parses a CK_ULONG, which has the byte order of the machine, like the value that NewAttribute makes.
func parseULong(b []byte) uint {
	for _, v := range []uint{pkcs11.CKK_RSA, pkcs11.CKK_DSA, pkcs11.CKK_DH, pkcs11.CKK_EC} {
		if string(pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, v).Value) == string(b) {
			return v
		}
	}
	return 1<<32 - 1
}

func rsaKey(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle, h pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	a, err := attributes(ctx, sh, h, pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT)
	if err != nil {
		return nil, err
	}
	n, e := new(big.Int).SetBytes(a[0]), new(big.Int).SetBytes(a[1])
	if n.Sign() == 0 || e.Sign() == 0 || e.BitLen() > 31 {
		return nil, fmt.Errorf("the token returned an RSA key with a modulus of %d and an exponent of %d bits", n.BitLen(), e.BitLen())
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// curves are the curves with a signature scheme in TLS 1.3, by their object identifiers.
var curves = map[string]elliptic.Curve{
	"1.2.840.10045.3.1.7": elliptic.P256(), "1.3.132.0.34": elliptic.P384(), "1.3.132.0.35": elliptic.P521(),
}

func ecdsaKey(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle, h pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	a, err := attributes(ctx, sh, h, pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	return parseECDSA(a[0], a[1])
}

// parseECDSA parses the attributes CKA_EC_PARAMS and CKA_EC_POINT.
func parseECDSA(params, point []byte) (*ecdsa.PublicKey, error) {
	var oid asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(params, &oid); err != nil || len(rest) > 0 {
		return nil, errors.New("the token does not name the curve of the key by an object identifier")
	}
	curve := curves[oid.String()]
	if curve == nil {
		return nil, fmt.Errorf("the key is on the curve %v: use P-256, P-384 or P-521", oid)
	}
	var octets []byte // some tokens return the point without the OCTET STRING around it
	if rest, err := asn1.Unmarshal(point, &octets); err == nil && len(rest) == 0 {
		point = octets
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, fmt.Errorf("the token returned a public key that is not on the curve: %w", err)
	}
	return pub, nil
}

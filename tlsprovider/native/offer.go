package native

import (
	"context"
	"crypto/fips140"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

// An offer lists what a ClientHello offers.
type offer struct {
	groups  []tlsprovider.Group
	suites  []tlsprovider.CipherSuite
	schemes []tlsprovider.SignatureScheme
}

// offerOf returns what crypto/tls offers if it is configured with a list of groups, or with nil for its
// default. It parses a ClientHello that crypto/tls builds in memory.
func offerOf(groups []tls.CurveID) (*offer, error) { return offerWith(groups, nil) }

// offerWith is offerOf for a client with a list of configurations for an encrypted ClientHello. What it returns is then the
// offer of the outer ClientHello, which crypto/tls gives the same groups and key shares as the inner one.
func offerWith(groups []tls.CurveID, ech []byte) (*offer, error) {
	q := tls.QUICClient(&tls.QUICConfig{TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: "offer.invalid", NextProtos: []string{"offer"},
		CurvePreferences: groups, EncryptedClientHelloConfigList: ech,
	}})
	q.SetTransportParameters(nil)
	defer q.Close()
	if err := q.Start(context.Background()); err != nil {
		return nil, fmt.Errorf("native: crypto/tls cannot build a ClientHello: %w", err)
	}
	for ev := q.NextEvent(); ev.Kind != tls.QUICNoEvent; ev = q.NextEvent() {
		if ev.Kind != tls.QUICWriteData {
			continue
		}
		_, body, _, _, ok := hello.Next(ev.Data)
		if !ok {
			break
		}
		ch, err := hello.ParseClientHello(body)
		if err != nil {
			return nil, fmt.Errorf("native: parsing the ClientHello of crypto/tls: %w", err)
		}
		return &offer{groups: ch.Groups, suites: ch.CipherSuites, schemes: ch.SignatureSchemes}, nil
	}
	return nil, errors.New("native: crypto/tls built no ClientHello")
}

// defaultGroups is the value of Groups if it is nil. It does not include P-521, which costs ten times as much
// as P-256 and which no server requires.
var defaultGroups = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.SecP256r1MLKEM768,
	tlsprovider.SecP384r1MLKEM1024, tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384}

// chooseGroups converts wanted for crypto/tls and checks that crypto/tls offers all of them. Nil means those of
// defaultGroups that crypto/tls offers; the first of them is required.
func chooseGroups(wanted []tlsprovider.Group) ([]tls.CurveID, error) {
	names := wanted
	required := wanted
	if wanted == nil {
		names = defaultGroups
		required = defaultGroups[:1]
	}
	if len(names) == 0 {
		return nil, errors.New("native: Groups is empty: leave it nil for the default")
	}
	ids := make([]tls.CurveID, len(names))
	for i, g := range names {
		ids[i] = curveIDs[g]
		if ids[i] == 0 {
			ids[i] = tls.CurveID(g)
		}
	}
	o, err := offerOf(ids)
	if err != nil {
		// crypto/tls offers none of them.
		if wanted != nil {
			return nil, fmt.Errorf("native: crypto/tls offers none of %s: %s: %w: %w", tlsprovider.GroupList(wanted),
				missingCause(wanted[0]), tlsprovider.ErrUnsupported, err)
		}
		return nil, err
	}
	for _, g := range required {
		if !slices.Contains(o.groups, g) {
			return nil, fmt.Errorf("native: crypto/tls does not offer %v: %s: %w", g, missingCause(g),
				tlsprovider.ErrUnsupported)
		}
	}
	return ids, nil
}

// curveIDs maps groups to crypto/tls's constants. Other groups are passed by code point.
var curveIDs = map[tlsprovider.Group]tls.CurveID{
	tlsprovider.P256: tls.CurveP256, tlsprovider.P384: tls.CurveP384, tlsprovider.P521: tls.CurveP521,
	tlsprovider.X25519:             tls.X25519,
	tlsprovider.X25519MLKEM768:     tls.X25519MLKEM768,
	tlsprovider.SecP256r1MLKEM768:  tls.SecP256r1MLKEM768,
	tlsprovider.SecP384r1MLKEM1024: tls.SecP384r1MLKEM1024,
}

// missingCause returns the likely reason why crypto/tls does not offer a group.
func missingCause(g tlsprovider.Group) string {
	settings := []string{"tlsmlkem"}
	if g == tlsprovider.SecP256r1MLKEM768 || g == tlsprovider.SecP384r1MLKEM1024 {
		settings = append(settings, "tlssecpmlkem")
	}
	for _, s := range settings {
		if where := disabledBy(s); g.PostQuantum() && where != "" {
			return where + " has " + s + "=0, remove it"
		}
	}
	if fips140.Enabled() {
		return "it is not approved in FIPS 140-3 mode"
	}
	return "this release of Go does not support it"
}

// disabledBy returns where a GODEBUG setting is 0, in the environment or in the program's default.
func disabledBy(setting string) string {
	if v, ok := godebug(os.Getenv("GODEBUG"), setting); ok {
		if v == "0" {
			return "the environment's GODEBUG"
		}
		return ""
	}
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	for _, s := range info.Settings {
		if v, _ := godebug(s.Value, setting); s.Key == "DefaultGODEBUG" && v == "0" {
			return "the program's default GODEBUG (a godebug line in go.mod, or //go:debug)"
		}
	}
	return ""
}

// godebug returns the value of a setting in a list, of which the last occurrence counts.
func godebug(list, setting string) (value string, ok bool) {
	for _, kv := range strings.Split(list, ",") {
		if v, found := strings.CutPrefix(kv, setting+"="); found {
			value, ok = v, true
		}
	}
	return value, ok
}

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

// An offer is what a ClientHello says.
type offer struct {
	groups  []tlsprovider.Group
	suites  []tlsprovider.CipherSuite
	schemes []tlsprovider.SignatureScheme
}

// offerOf reads back what crypto/tls makes of a list of groups: one ClientHello is built in memory.
// Nil stands for its default.
func offerOf(groups []tls.CurveID) (*offer, error) {
	q := tls.QUICClient(&tls.QUICConfig{TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: "offer.invalid", NextProtos: []string{"offer"},
		CurvePreferences: groups,
	}})
	q.SetTransportParameters(nil)
	defer q.Close()
	if err := q.Start(context.Background()); err != nil {
		return nil, fmt.Errorf("native: crypto/tls makes no ClientHello: %w", err)
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
			return nil, fmt.Errorf("native: crypto/tls's ClientHello: %w", err)
		}
		return &offer{groups: ch.Groups, suites: ch.CipherSuites, schemes: ch.SignatureSchemes}, nil
	}
	return nil, errors.New("native: crypto/tls makes no ClientHello")
}

// defaultGroups is what Groups nil stands for. P-521 is offered only by name: it costs ten times what
// P-256 does, and no server needs it.
var defaultGroups = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.SecP256r1MLKEM768,
	tlsprovider.SecP384r1MLKEM1024, tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384}

// chooseGroups returns the wanted groups in crypto/tls's terms, and makes sure that it will offer
// them. Nil means defaultGroups, of which the first must be there.
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
		// None of them is left.
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

// curveIDs has the groups for which crypto/tls has a constant. The others are passed by code point.
var curveIDs = map[tlsprovider.Group]tls.CurveID{
	tlsprovider.P256: tls.CurveP256, tlsprovider.P384: tls.CurveP384, tlsprovider.P521: tls.CurveP521,
	tlsprovider.X25519:             tls.X25519,
	tlsprovider.X25519MLKEM768:     tls.X25519MLKEM768,
	tlsprovider.SecP256r1MLKEM768:  tls.SecP256r1MLKEM768,
	tlsprovider.SecP384r1MLKEM1024: tls.SecP384r1MLKEM1024,
}

// missingCause returns a reason for which crypto/tls may have left a group out.
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
	return "this Go has no such group"
}

// disabledBy says where a GODEBUG setting is 0: the environment, or the program's default.
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

// godebug finds a setting in a list; the last one counts.
func godebug(list, setting string) (value string, ok bool) {
	for _, kv := range strings.Split(list, ",") {
		if v, found := strings.CutPrefix(kv, setting+"="); found {
			value, ok = v, true
		}
	}
	return value, ok
}

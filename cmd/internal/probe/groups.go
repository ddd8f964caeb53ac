package probe

import (
	"slices"

	"github.com/pqquic/pqquic/tlsprovider"
)

// Groups that no provider has. Whether a server takes them is found out with a HelloRetryRequest.
const (
	mlkem512 tlsprovider.Group = 0x0200
	mlkem768 tlsprovider.Group = 0x0201
)

// probedGroups are the groups that servers are asked for, hybrids first.
var probedGroups = append(slices.DeleteFunc(tlsprovider.AllGroups(), isClassical),
	mlkem768, mlkem512, tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384, tlsprovider.P521)

// usualGroups are those that an ordinary client offers.
var usualGroups = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.SecP256r1MLKEM768, tlsprovider.SecP384r1MLKEM1024,
	tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384}

func isClassical(g tlsprovider.Group) bool { return !isPQ(g) }

func isPQ(g tlsprovider.Group) bool { return g.PostQuantum() || g == mlkem512 || g == mlkem768 }

func nameOf(g tlsprovider.Group) string {
	switch g {
	case 0:
		return ""
	case mlkem512:
		return "MLKEM512"
	case mlkem768:
		return "MLKEM768"
	}
	return g.String()
}

func reversed(groups []tlsprovider.Group) []tlsprovider.Group {
	out := slices.Clone(groups)
	slices.Reverse(out)
	return out
}

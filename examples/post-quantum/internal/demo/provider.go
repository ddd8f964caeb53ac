package demo

import (
	"errors"
	"fmt"
	"io"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

func newProvider(name string) (tlsprovider.Provider, error) {
	switch name {
	case "s2n":
		return s2n.New()
	case "native":
		return native.New(), nil
	}
	return nil, fmt.Errorf("unknown provider %q: choose s2n or native", name)
}

// pickProvider honours --provider. Without it, s2n is taken when it is linked; what was chosen is
// said aloud.
func (f *Flags) pickProvider(stderr io.Writer) (tlsprovider.Provider, error) {
	if f.Provider != "" {
		return newProvider(f.Provider)
	}
	p, err := newProvider("s2n")
	switch {
	case err == nil:
		fmt.Fprintf(stderr, "%s: using provider s2n (%s)\n", f.Program, p.Capabilities().Library)
		return p, nil
	case errors.Is(err, s2n.ErrNotLinked):
		fmt.Fprintf(stderr, "%s: using provider native (s2n is not linked: run `make build`)\n", f.Program)
		return newProvider("native")
	}
	return nil, err
}

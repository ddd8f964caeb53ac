package demo

import (
	"errors"
	"fmt"
	"io"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

func newProvider(name string, allowClassical bool) (tlsprovider.Provider, error) {
	switch name {
	case "s2n":
		if allowClassical {
			return s2n.New(s2n.AllowClassical())
		}
		p, err := s2n.New()
		if errors.Is(err, s2n.ErrClassical) {
			return nil, fmt.Errorf("%w, as --allow-classical does here", err)
		}
		return p, err
	case "native":
		return native.New(), nil
	}
	return nil, fmt.Errorf("unknown provider %q: use s2n or native", name)
}

// pickProvider returns the provider that --provider names. The default is s2n if it is linked, else native;
// Say then prints the choice.
func (f *Flags) pickProvider() (tlsprovider.Provider, error) {
	if f.Provider != "" {
		return newProvider(f.Provider, f.AllowClassical)
	}
	p, err := newProvider("s2n", f.AllowClassical)
	switch {
	case err == nil:
		f.choice = fmt.Sprintf("using provider s2n (%s)", p.Capabilities().Library)
		return p, nil
	case errors.Is(err, s2n.ErrNotLinked):
		f.choice = "using provider native (s2n is not linked: run `make build`)"
		return newProvider("native", f.AllowClassical)
	}
	return nil, err
}

// Say prints the provider's warning, which provider was chosen if --provider did not name one, and that secrets are written. It is
// called after success, so that a failure prints only one line.
func (f *Flags) Say(stderr io.Writer) {
	if f.warning != "" {
		fmt.Fprintf(stderr, "%s: %s\n", f.Program, f.warning)
	}
	if f.choice != "" {
		fmt.Fprintf(stderr, "%s: %s\n", f.Program, f.choice)
	}
	if f.keyLog != nil {
		f.keyLog.Say()
	}
}

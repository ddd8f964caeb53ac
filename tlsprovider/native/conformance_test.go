package native

import (
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

func TestConformance(t *testing.T) {
	p := New()
	tlstest.Run(t, p, p.Live)
}

package fake_test

import (
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// The fake has no certificates to verify and no cryptography; what it claims to be it must be.
func TestConformance(t *testing.T) {
	p := fake.New(fake.Options{Misuse: func(error) {}})
	tlstest.RunFake(t, p, p.Live)
}

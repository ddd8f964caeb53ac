package fake_test

import (
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// TestConformance runs the conformance suite on the fake, without verification of certificates.
func TestConformance(t *testing.T) {
	p := fake.New(fake.Options{Misuse: func(error) {}})
	tlstest.RunFake(t, p, p.Live)
}

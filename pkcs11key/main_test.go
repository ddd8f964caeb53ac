package pkcs11key

import (
	"testing"

	"github.com/pqquic/pqquic/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

package leaktest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunning(t *testing.T) {
	require.Empty(t, running())
	end := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-end
	}()
	require.Contains(t, running(), "leaktest.TestRunning.func1")
	close(end)
	<-ended
	require.Empty(t, running())
}

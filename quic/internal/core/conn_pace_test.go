package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// NextTimeout includes the pacer's timeout if a waiting frame is subject to pacing.
func TestPacerWakesForEveryFrame(t *testing.T) {
	for name, want := range map[string]func(c *Conn){
		"PATH_RESPONSE":        func(c *Conn) { c.wake(); c.pathResponses = append(c.pathResponses, [8]byte{1}) },
		"PING":                 func(c *Conn) { c.idle.ping = true },
		"HANDSHAKE_DONE":       func(c *Conn) { c.handshakeDone.Set() },
		"NEW_CONNECTION_ID":    func(c *Conn) { c.ids.local[len(c.ids.local)-1].sent.Set() },
		"RETIRE_CONNECTION_ID": func(c *Conn) { c.retire(7) },
	} {
		t.Run(name, func(t *testing.T) {
			r := connected(t, rigOptions{})
			c := r.server
			r.wait(time.Second)
			require.False(t, c.hasPending())
			want(c)
			require.True(t, c.hasPending())
			require.NotEmpty(t, r.heard(c, r.client))
			require.False(t, c.hasPending())
		})
	}
}

package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnanswered(t *testing.T) {
	const (
		receive = `{"receive":{"stream_id":0,"bytes":1}}`
		all     = `{"receive_all":{"stream_id":0}}`
		send    = `{"send":{"stream_id":0,"bytes":1}}`
		finish  = `{"send_finish":{"stream_id":0}}`
		stop    = `{"receive_finish":{"stream_id":0}}`
	)
	for peer, want := range map[string]bool{
		"": false, receive: true, all + "," + stop: true, receive + "," + finish + "," + stop: false,
		finish + "," + receive: true, receive + "," + send + "," + stop: true,
		`{"profile":{"trace_id":0,"operations":[` + receive + `]}},` + finish:         false,
		`{"profile":{"trace_id":0,"operations":[` + finish + `,` + receive + `]}}`:    true,
		`{"scope":{"threads":[[` + receive + `],[` + finish + `]]}}`:                  false,
		`{"iterate":{"value":{"count":{"amount":3}},"operations":[` + receive + `]}}`: true,
	} {
		s, err := Parse([]byte(file(connect0, open0, peer)))
		require.NoError(t, err)
		require.Equal(t, want, s.Unanswered(), peer)
	}
	for _, name := range []string{"request_response", "connect", "ping"} {
		s, err := Load("testdata/" + name + ".json")
		require.NoError(t, err)
		require.False(t, s.Unanswered(), name)
	}
}

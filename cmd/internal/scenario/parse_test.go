package scenario

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// file returns a scenario with one client, whose connection runs ops, and one server, whose script for the
// client's stream 0 is peer.
func file(client, ops, peer string) string {
	return fmt.Sprintf(`{"id":"x","clients":[{"scenario":[%s],"connections":[{"ops":[%s]}]}],`+
		`"servers":[{"connections":[{"peer_streams":[[%s]]}],"private_key":0,"certificate":0,"certificate_authority":0}],`+
		`"certificates":[{"pem":""}]}`, client, ops, peer)
}

const connect0 = `{"connect":{"server_id":0,"server_connection_id":0,"client_connection_id":0}}`
const open0 = `{"open_bidirectional_stream":{"stream_id":0}}`

func TestErrorsSayWhere(t *testing.T) {
	for _, c := range []struct{ client, ops, peer, want string }{
		{connect0, `{"send":{"stream_id":0,"bytes":1}}`, ``, "clients[0].connections[0].ops[0].send: stream 0 is never opened"},
		{connect0, open0 + "," + open0, ``, "ops[1].open_bidirectional_stream: stream 0 is opened more than once"},
		{connect0, `{"open_send_stream":{"stream_id":0}},{"receive_all":{"stream_id":0}}`, ``, "ops[1].receive_all: stream 0 is send-only"},
		{connect0, open0 + `,{"receive":{"stream_id":0,"bytes":0}}`, ``, "clients[0].connections[0].ops[1].receive: the number of bytes is 0"},
		{connect0, ``, `{"receive":{"stream_id":1,"bytes":1}}`, "servers[0].connections[0].peer_streams[0][0].receive: stream 1 is used in the script of stream 0"},
		{connect0, ``, open0, "peer_streams[0][0].open_bidirectional_stream"},
		{connect0, `{"park":{"checkpoint":3}}`, ``, "ops[0].park: no operation unparks checkpoint 3"},
		{`{"park":{"checkpoint":1}}`, ``, `{"unpark":{"checkpoint":1}}`, "clients[0].scenario[0].park"},
		{`{"connect":{"server_id":1,"server_connection_id":0,"client_connection_id":0}}`, ``, ``, "clients[0].scenario[0].connect: server 1 does not exist"},
		{`{"scope":{"threads":[[],[{"connect":{"server_id":0,"server_connection_id":9,"client_connection_id":0}}]]}}`, ``, ``,
			"clients[0].scenario[0].scope.threads[1][0].connect: server 0 has no connection 9"},
		{`{"connect":{"server_id":0,"server_connection_id":0,"client_connection_id":9}}`, ``, ``, "connection 9"},
		{`{"connect":{"server_id":0,"router_id":0,"server_connection_id":0,"client_connection_id":0}}`, ``, ``, "router 0 does not exist"},
		{connect0, `{"jump":{}}`, ``, `clients[0].connections[0].ops[0]: "jump" is not an operation of a connection`},
		{open0, ``, ``, `clients[0].scenario[0]: "open_bidirectional_stream" is not an operation of a client`},
		{connect0, connect0, ``, `"connect" is not an operation of a connection`},
		{connect0, `{"send":{"stream_id":0}}`, ``, `ops[0].send: "bytes" is missing`},
		{connect0, `{"send":{"stream_id":-1,"bytes":1}}`, ``, "ops[0].send.stream_id: -1 is not an integer"},
		{connect0, `{"send":{"stream_id":1.5,"bytes":1}}`, ``, "1.5 is not an integer"},
		{connect0, `{"sleep":{"amount_ms":18446744073709551615}}`, ``, "ms is too long"},
		{connect0, `{"iterate":{"value":{},"operations":[]}}`, ``, "ops[0].iterate.value: give either time or count"},
		{connect0, `{"iterate":{"value":{"time":{"amount_ms":1}},"operations":[]}}`, ``, "ops[0].iterate: there are no operations to repeat"},
		{connect0, `{}`, ``, "ops[0]: an operation must have one member, not 0"},
		{connect0, `7`, ``, "ops[0]: not an object"},
		{connect0, open0 + `,{"send_rate":{"stream_id":0,"bytes":0,"period_ms":5}}`, ``, "ops[1].send_rate: the rate has 0 bytes"},
		{connect0, `{"iterate":{"value":{"count":{"amount":2}},"operations":[` + open0 + `]}}`, ``, "opened more than once"},
		{connect0, strings.Repeat(`{"profile":{"trace_id":0,"operations":[`, 70) + strings.Repeat(`]}}`, 70), ``, "nested more than 64 levels deep"},
	} {
		s, err := Parse([]byte(file(c.client, c.ops, c.peer)))
		if err == nil {
			err = s.Validate()
		}
		require.ErrorContains(t, err, c.want)
	}
	for text, want := range map[string]string{
		``: "not JSON", `{`: "not JSON", `[]`: "the file: not an object", `{}`: `the file: "id" is missing`,
		`{"id":null,"clients":[],"servers":[]}`:                           "id: null is not a string",
		`{"id":"x","clients":[{}],"servers":[]}`:                          `clients[0]: "scenario" is missing`,
		`{"id":"x","clients":[],"servers":[{"connections":[]}]}`:          `servers[0]: "private_key" is missing`,
		`{"id":"x","clients":[],"servers":[],"traces":[1]}`:               "traces[0]: 1 is not a string",
		`{"id":"x","clients":null,"servers":[]}`:                          "clients: not a list",
		`{"id":"x","clients":[],"servers":[],"certificates":[{"pem":1}]}`: "certificates[0].pem",
	} {
		_, err := Parse([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
	s, err := Parse([]byte(`{"id":"x","clients":[],"servers":[]}`))
	require.NoError(t, err)
	require.ErrorContains(t, s.Validate(), "servers: the list is empty")
}

// A file of 2022 has no profiles and no traces.
func TestFile2022(t *testing.T) {
	ops := open0 + `,{"send":{"stream_id":0,"bytes":1}},{"receive":{"stream_id":0,"bytes":1}},{"send_finish":{"stream_id":0}},{"receive_finish":{"stream_id":0}}`
	peer := `{"receive":{"stream_id":0,"bytes":1}},{"send":{"stream_id":0,"bytes":1}},{"send_finish":{"stream_id":0}},{"receive_finish":{"stream_id":0}}`
	s, err := Parse([]byte(file(connect0+","+connect0, ops, peer)))
	require.NoError(t, err)
	require.NoError(t, s.Validate())
	require.Len(t, s.Clients[0].Scenario, 2)
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	text := strings.Replace(file(`{"connect":{"server_id":0,"router_id":null,"server_connection_id":0,"client_connection_id":0,"new":[1]}}`,
		open0, ``), `"id":"x"`, `"id":"x","future":{"a":[]}`, 1)
	s, err := Parse([]byte(text))
	require.NoError(t, err)
	require.NoError(t, s.Validate())
}

// FuzzParse checks that a parsed scenario can be written and parsed again without change.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"request_response", "connect", "ping"} {
		b, err := os.ReadFile("testdata/" + name + ".json")
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add([]byte(file(connect0, open0+`,{"iterate":{"value":{"count":{"amount":2}},"operations":[{"trace":{"trace_id":1}}]}},`+
		`{"scope":{"threads":[[{"sleep":{"amount_ms":1}}],[{"park":{"checkpoint":0}}]]}},{"unpark":{"checkpoint":0}}`,
		`{"send_rate":{"stream_id":0,"bytes":1,"period_ms":1}},{"receive_all":{"stream_id":0}}`)))
	f.Add([]byte(`{"id":"r","clients":[],"servers":[],"routers":[{"name":"n","scenario":[{"rebind_all":{"ports":true,"addresses":false}}],"configuration":{"a":"b"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		_ = s.Validate()
		text := s.Marshal()
		again, err := Parse(text)
		require.NoError(t, err)
		require.Equal(t, string(text), string(again.Marshal()))
	})
}

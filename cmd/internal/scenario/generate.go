package scenario

import "time"

// Options are the parameters of the three scenarios, named as s2n-netbench's flags.
type Options struct {
	Certificate CertificateType

	Connect struct{ Connections uint64 }

	Ping struct {
		Connections, Streams uint64
		Time                 Time
		Size                 ByteList
	}

	RequestResponse RequestResponse
}

// RequestResponse holds the parameters of request_response.
type RequestResponse struct {
	RequestSize, ResponseSize         Bytes
	ResponseDelay                     Time
	Count, Connections, Servers       uint64
	Parallel                          bool
	ClientSendRate, ClientReceiveRate Rate
	ServerSendRate, ServerReceiveRate Rate
	ResponseUnblock                   Bytes
}

// Defaults returns s2n-netbench's defaults.
func Defaults() *Options {
	o := &Options{Certificate: DefaultCertificate}
	o.Connect.Connections = 1000
	o.Ping.Connections, o.Ping.Streams, o.Ping.Time = 1, 1, Time(15*time.Second)
	o.Ping.Size = ByteList{1e3, 10e3, 100e3, 1e6}
	o.RequestResponse = RequestResponse{RequestSize: 1e3, ResponseSize: 10e6, Count: 1, Connections: 1, Servers: 1}
	return o
}

// A Generated is a scenario with the name of its file, without .json.
type Generated struct {
	Name string
	*Scenario
}

// Generate makes the three scenarios.
func Generate(o *Options) (out []Generated, err error) {
	for _, g := range []struct {
		name string
		make func(*Options) *builder
	}{{"connect", makeConnect}, {"ping", makePing}, {"request_response", makeRequestResponse}} {
		s, err := g.make(o).finish(o.Certificate)
		if err != nil {
			return nil, err
		}
		out = append(out, Generated{g.name, s})
	}
	return out, nil
}

func makeConnect(o *Options) *builder {
	b := newBuilder(1)
	client := Connection{Ops: append([]Op{openStream(0), send(0, 1), receive(0, 1)}, ends(0)...)}
	server := Connection{PeerStreams: [][]Op{append([]Op{receive(0, 1), send(0, 1)}, ends(0)...)}}
	for range o.Connect.Connections {
		b.s.Clients[0].Scenario = append(b.s.Clients[0].Scenario, b.connect(0, client, server))
	}
	return b
}

func makePing(o *Options) *builder {
	b := newBuilder(1)
	c := &b.s.Clients[0]
	for _, size := range o.Ping.Size {
		var conns [][]Op
		for range o.Ping.Connections {
			var client, server [][]Op
			for id := range o.Ping.Streams {
				d := time.Duration(o.Ping.Time)
				ping := b.iterateFor(d, "ping "+size.String(), send(id, size), receive(id, size))
				pong := b.iterateFor(d, "pong "+size.String(), receive(id, size), send(id, size))
				client = append(client, append(append([]Op{openStream(id)}, ping...), ends(id)...))
				server = append(server, append(pong, ends(id)...))
			}
			conns = append(conns, []Op{b.connect(0, Connection{Ops: scope(client)}, Connection{PeerStreams: server})})
		}
		c.Scenario = append(c.Scenario, scope(conns)...)
	}
	return b
}

func makeRequestResponse(o *Options) *builder {
	p := &o.RequestResponse
	b := newBuilder(p.Servers)
	var threads [][]Op
	for server := range p.Servers {
		var connects []Op
		for range p.Connections {
			client, peer := p.connection(b)
			connects = append(connects, b.connect(server, client, peer))
		}
		threads = append(threads, connects)
	}
	b.s.Clients[0].Scenario = scope(threads)
	return b
}

// connection returns the two sides of one connection.
func (p *RequestResponse) connection(b *builder) (client, server Connection) {
	var threads [][]Op
	var before uint64 // checkpoint of the previous stream
	if p.Count > 0 {
		b.trace("lbl") // must be the first trace, although the operations inside it are built first here
	}
	for id := range p.Count {
		var ops []Op
		if p.Parallel && p.ResponseUnblock > 0 && id > 0 {
			ops = append(ops, Op{Kind: Park, ID: before})
		}
		ops = append(ops, openStream(id))
		ops = append(ops, b.profile("lbl", append(rates(id, p.ClientSendRate, p.ClientReceiveRate),
			b.profile("request", send(id, p.RequestSize)),
			b.profile("response", p.response(b, id, &before)...))...))
		threads = append(threads, append(ops, ends(id)...))

		body := append(rates(id, p.ServerSendRate, p.ServerReceiveRate), b.profile("request", receive(id, p.RequestSize)))
		if p.ResponseDelay >= Time(time.Millisecond) {
			body = append(body, Op{Kind: Sleep, Period: time.Duration(p.ResponseDelay)})
		}
		body = append(body, b.profile("response", send(id, p.ResponseSize)))
		server.PeerStreams = append(server.PeerStreams, append([]Op{b.profile("lbl", body...)}, ends(id)...))
	}
	if p.Parallel {
		client.Ops = scope(threads)
		return client, server
	}
	for _, t := range threads {
		client.Ops = append(client.Ops, t...)
	}
	return client, server
}

// response receives the response and starts the next stream once enough of it has arrived.
func (p *RequestResponse) response(b *builder, id uint64, checkpoint *uint64) []Op {
	first := min(p.ResponseUnblock, p.ResponseSize)
	if first == 0 {
		return []Op{receive(id, p.ResponseSize)}
	}
	*checkpoint = b.checkpoint()
	ops := []Op{receive(id, first), {Kind: Unpark, ID: *checkpoint}}
	if rest := p.ResponseSize - first; rest > 0 {
		ops = append(ops, receive(id, rest))
	}
	return ops
}

func rates(stream uint64, out, in Rate) (ops []Op) {
	if out.Period > 0 {
		ops = append(ops, Op{Kind: SendRate, StreamID: stream, Bytes: uint64(out.Bytes), Period: out.Period})
	}
	if in.Period > 0 {
		ops = append(ops, Op{Kind: ReceiveRate, StreamID: stream, Bytes: uint64(in.Bytes), Period: in.Period})
	}
	return ops
}

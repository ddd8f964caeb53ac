package core

// eventQueue holds events that the driver has not polled yet. Its size is bounded, because most events
// happen once in a connection and connection IDs are bounded. Package streams queues the stream events.
type eventQueue struct {
	app      []Event
	endpoint []EndpointEvent
}

func (q *eventQueue) add(e Event)                 { q.app = append(q.app, e) }
func (q *eventQueue) addEndpoint(e EndpointEvent) { q.endpoint = append(q.endpoint, e) }

// PollEvent returns the next event for the application.
func (c *Conn) PollEvent() (Event, bool) {
	if e, ok := pop(&c.events.app); ok {
		return e, true
	}
	if e, ok := c.streams.PollEvent(); ok {
		return Event{Kind: EventStream, Stream: e}, true
	}
	if c.ext.datagrams != nil {
		return c.ext.datagrams.pollEvent(c.streams.Flushed())
	}
	return Event{}, false
}

// HasOutput reports whether PollTLS, PollEvent, PollEndpointEvents or PollReturned may return something. If it
// returns false, they return nothing.
func (c *Conn) HasOutput() bool {
	return len(c.events.app) > 0 || len(c.events.endpoint) > 0 || c.streams.HasOutput() || c.wantsTLS() ||
		c.ext.datagrams != nil && c.ext.datagrams.hasEvent()
}

// PollEndpointEvents returns the events for the Endpoint that it has not returned yet, in order. The caller
// owns the slice.
func (c *Conn) PollEndpointEvents() []EndpointEvent {
	evs := c.events.endpoint
	c.events.endpoint = nil
	return evs
}

// pop removes the first element of a queue. It releases the array of a queue that becomes empty.
func pop[T any](queue *[]T) (first T, ok bool) {
	q := *queue
	if len(q) == 0 {
		return first, false
	}
	first, *queue = q[0], q[1:]
	if len(q) == 1 {
		*queue = nil
	}
	return first, true
}

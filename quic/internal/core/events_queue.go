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
	q := &c.events
	if len(q.app) > 0 {
		e := q.app[0]
		q.app = q.app[1:]
		if len(q.app) == 0 {
			q.app = nil
		}
		return e, true
	}
	if e, ok := c.streams.PollEvent(); ok {
		return Event{Kind: EventStream, Stream: e}, true
	}
	return Event{}, false
}

// PollEndpointEvent returns the next event for the Endpoint.
func (c *Conn) PollEndpointEvent() (EndpointEvent, bool) {
	q := &c.events
	if len(q.endpoint) == 0 {
		return EndpointEvent{}, false
	}
	e := q.endpoint[0]
	q.endpoint = q.endpoint[1:]
	if len(q.endpoint) == 0 {
		q.endpoint = nil
	}
	return e, true
}

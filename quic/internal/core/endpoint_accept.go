package core

// SetAccept says whether clients are served from now on. An Endpoint that does not accept only routes.
func (e *Endpoint) SetAccept(accept bool) { e.cfg.Accept = accept }

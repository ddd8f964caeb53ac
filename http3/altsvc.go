package http3

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
)

// SetAltSvc adds a field Alt-Svc (RFC 7838) to the header of a response of HTTP/1.1 or HTTP/2, which tells the client that the same
// host serves HTTP/3. The ports are Server.Port, or those on which the Server listens now.
func (s *Server) SetAltSvc(h http.Header) error {
	ports, err := s.ports()
	if err != nil {
		return err
	}
	for _, port := range ports {
		h.Add("Alt-Svc", fmt.Sprintf(`%s=":%d"; ma=2592000`, NextProto, port))
	}
	return nil
}

func (s *Server) ports() (ports []int, err error) {
	if s.Port != 0 {
		return []int{s.Port}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		if a, ok := l.Addr().(*net.UDPAddr); ok && !slices.Contains(ports, a.Port) {
			ports = append(ports, a.Port)
		}
	}
	if len(ports) == 0 {
		return nil, errors.New("http3: SetAltSvc: the Server does not listen, and Port is 0")
	}
	slices.Sort(ports)
	return ports, nil
}

package capture

import "net"

// Interfaces returns the names of the machine's network interfaces.
func Interfaces() (names []string) {
	list, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range list {
		names = append(names, i.Name)
	}
	return names
}

package capture

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// live is a Source that reads a network interface through AF_PACKET.
type live struct {
	h    *pcapgo.EthernetHandle
	link layers.LinkType
}

// Listen captures from a network interface. It needs the right to open packet sockets (CAP_NET_RAW).
// Another goroutine may call Close, which ends a waiting Next.
func Listen(name string) (Source, error) {
	ifc, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w (available: %s)", name, err, strings.Join(Interfaces(), ", "))
	}
	h, err := pcapgo.NewEthernetHandle(name)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("interface %q: capturing needs CAP_NET_RAW: run as root, or run once "+
			"`sudo setcap cap_net_raw+ep $(command -v pqinspect)`, or pipe: `tcpdump -i %s -U -w - | pqinspect -`",
			name, name)
	}
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	l := &live{h: h, link: layers.LinkTypeEthernet}
	if len(ifc.HardwareAddr) == 0 && ifc.Flags&net.FlagLoopback == 0 {
		l.link = layers.LinkTypeRaw // tunnels carry IP packets without a link header
	}
	return l, nil
}

func (l *live) Next() (Frame, error) {
	data, ci, err := l.h.ZeroCopyReadPacketData()
	if err != nil {
		return Frame{}, err
	}
	return Frame{Time: ci.Timestamp, Link: l.link, Data: data, Length: ci.Length}, nil
}

func (l *live) Secrets() []byte { return nil }
func (l *live) Close() error    { return l.h.Close() }

package udp

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ListenGroup opens sel.Sockets sockets with the same address (SO_REUSEPORT). A datagram with the long header
// of QUIC reaches the socket that the kernel selects by a hash of its addresses and ports, and one with the
// short header the socket that sel selects by the connection ID, which begins with the second byte. If the system refuses the BPF
// program that does this, ListenGroup logs a warning, and short headers are distributed by the hash, too.
//
// The group does not change until a socket is closed. No datagram is received before it is complete, because
// those of one client could reach different sockets.
func ListenGroup(network, addr string, sel Selector, log *slog.Logger) (pcs []net.PacketConn, err error) {
	defer func() {
		if err != nil {
			closeAll(pcs)
			pcs = nil
		}
	}()
	// The first socket does not share its address when it is bound, so an address that is in use is refused,
	// even if its user shares it.
	first, err := listenPaused(network, addr, false)
	if err != nil {
		return nil, err
	}
	pcs = append(pcs, first)
	if err := control(first, reusePort); err != nil {
		return pcs, fmt.Errorf("udp: SO_REUSEPORT: %w", err)
	}
	for len(pcs) < sel.Sockets {
		pc, err := listenPaused(network, first.LocalAddr().String(), true)
		if err != nil {
			return pcs, err
		}
		pcs = append(pcs, pc)
	}
	if err := control(first, func(fd int) error { return attachSelector(fd, sel) }); err != nil {
		log.Warn("quic: the system refuses the BPF program that distributes packets among loops: packets of clients whose address has changed are passed on in user space",
			"err", err)
	}
	for _, pc := range pcs {
		if err := control(pc, resume); err != nil {
			return pcs, fmt.Errorf("udp: SO_DETACH_FILTER: %w", err)
		}
	}
	return pcs, nil
}

// ListenSplit opens two sockets with the same address. The first receives the datagrams with the short header of QUIC, which
// belong to established connections, and the second one all others. Each has a buffer of its own in the kernel.
func ListenSplit(network, addr string) (pcs []net.PacketConn, err error) {
	defer func() {
		if err != nil {
			closeAll(pcs)
			pcs = nil
		}
	}()
	first, err := listenPaused(network, addr, false) // as in ListenGroup
	if err != nil {
		return nil, err
	}
	pcs = append(pcs, first)
	if err := control(first, reusePort); err != nil {
		return pcs, fmt.Errorf("udp: SO_REUSEPORT: %w", err)
	}
	second, err := listenPaused(network, first.LocalAddr().String(), true)
	if err != nil {
		return pcs, err
	}
	pcs = append(pcs, second)
	if err := control(first, func(fd int) error { return attach(fd, unix.SO_ATTACH_REUSEPORT_CBPF, splitProgram) }); err != nil {
		return pcs, fmt.Errorf("udp: the system refuses the BPF program: %w", err)
	}
	for _, pc := range pcs {
		if err := control(pc, resume); err != nil {
			return pcs, fmt.Errorf("udp: SO_DETACH_FILTER: %w", err)
		}
	}
	return pcs, nil
}

// splitProgram returns 0 for short headers and 1 for other datagrams, also for empty ones.
var splitProgram = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},                   // A = length
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0, Jt: 3},     // empty: 1
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 0},             // A = first byte
	{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 0x80, Jt: 1}, // long header: 1
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1},
}

func closeAll(pcs []net.PacketConn) {
	for _, pc := range pcs {
		_ = pc.Close()
	}
}

// listenPaused opens a socket that drops what it receives until resume is called.
func listenPaused(network, addr string, shared bool) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return controlRaw(raw, func(fd int) error {
			// If the system refuses, the first packets of a client may reach different sockets. The client
			// then repeats its handshake.
			_ = pause(fd)
			if shared {
				return reusePort(fd)
			}
			return nil
		})
	}}
	return lc.ListenPacket(context.Background(), network, addr)
}

func reusePort(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }

// pause attaches a filter that accepts no datagram.
func pause(fd int) error {
	return attach(fd, unix.SO_ATTACH_FILTER, []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}})
}

// resume detaches the filter that pause attached, if it did.
func resume(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	if err == unix.ENOENT || err == unix.ENOPROTOOPT {
		return nil
	}
	return err
}

// attachSelector attaches the program of sel to the group of a socket.
func attachSelector(fd int, sel Selector) error {
	if os.Getenv(disableBPF) != "" {
		return fmt.Errorf("udp: %s is set", disableBPF)
	}
	return attach(fd, unix.SO_ATTACH_REUSEPORT_CBPF, sel.program())
}

// program returns a program that implements Select for short headers. It runs on the payload of a datagram. A
// result that is not the number of a socket makes the kernel select by its hash.
func (s Selector) program() []unix.SockFilter {
	const (
		byHash     = 0xffffffff
		longHeader = 0x80
	)
	at := 1 + uint32(s.Offset) // the four bytes that select
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},                                // A = length
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: at + 4, Jf: 7},             // too short: by hash
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 0},                          // A = first byte
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: longHeader, Jt: 5},        // long header: by hash
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at},                         // A = the four bytes
		{Code: unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K, K: s.Key},                     // A *= Key
		{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 16},                        // A >>= 16
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(max(s.Sockets, 1))}, // A %= Sockets
		{Code: unix.BPF_RET | unix.BPF_A},
		{Code: unix.BPF_RET | unix.BPF_K, K: byHash},
	}
}

func attach(fd, option int, program []unix.SockFilter) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, option,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// control runs f on the file descriptor of a socket.
func control(pc net.PacketConn, f func(fd int) error) error {
	raw, err := pc.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	return controlRaw(raw, f)
}

func controlRaw(raw syscall.RawConn, f func(fd int) error) (err error) {
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}

//go:build linux

package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// current names the network namespace of the calling thread.
const current = "/proc/thread-self/ns/net"

// deviceName is the name of the device in each namespace.
const deviceName = "link0"

// deviceQueue is how many packets the kernel keeps for a device whose reader is late. It is so long that packets are
// dropped in the shaper's queue only.
const deviceQueue = 10000

// newNamespace calls f in a new network namespace and returns that.
func newNamespace(f func() error) (namespace *os.File, err error) {
	err = onThread(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() error {
		if namespace, err = os.Open(current); err != nil {
			return err
		}
		return f()
	})
	if err != nil && namespace != nil {
		namespace.Close()
	}
	return namespace, err
}

// onThread calls enter, which changes the thread's network namespace, and f, and returns to the namespace before.
func onThread(enter, f func() error) (err error) {
	runtime.LockOSThread()
	before, err := os.Open(current)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer before.Close()
	if err := enter(); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("entering a network namespace: %w", err)
	}
	err = f()
	if back := unix.Setns(int(before.Fd()), unix.CLONE_NEWNET); back != nil {
		// The thread stays locked, so it ends with this goroutine and runs no other.
		return errors.Join(err, fmt.Errorf("leaving a network namespace: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

// enableLoopback enables the loopback device of this thread's network namespace. Programs take a namespace without the
// address ::1 for one without IPv6.
func enableLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}

// openTUN creates a TUN device with an address in this thread's network namespace. All addresses of the prefix are
// behind the device.
func openTUN(addr netip.Prefix, mtu int) (*os.File, error) {
	const path = "/dev/net/tun"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	if err := configureTUN(fd, addr, mtu); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("a TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// configureTUN attaches fd to a new device, gives it the address and enables it.
func configureTUN(fd int, addr netip.Prefix, mtu int) error {
	device, err := unix.NewIfreq(deviceName)
	if err != nil {
		return err
	}
	device.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, device); err != nil {
		return err
	}
	control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(control)
	host := netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), addr.Bits()).Masked()
	for _, step := range []struct {
		request uint
		set     func(*unix.Ifreq) error
	}{
		{unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(uint32(mtu)); return nil }},
		{unix.SIOCSIFTXQLEN, func(r *unix.Ifreq) error { r.SetUint32(deviceQueue); return nil }},
		{unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(addr.Addr().AsSlice()) }},
		{unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr(host.Addr().AsSlice()) }},
		{unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP); return nil }},
	} {
		r, err := unix.NewIfreq(deviceName)
		if err != nil {
			return err
		}
		if err := step.set(r); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(control, step.request, r); err != nil {
			return err
		}
	}
	return nil
}

// addIPv6 gives the device of this thread's network namespace an IPv6 address. It returns when sockets can use it, a moment
// after the kernel has begun to look for duplicates, of which there are none behind the device.
func addIPv6(addr netip.Prefix) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	device, err := net.InterfaceByName(deviceName)
	if err != nil {
		return err
	}
	request := struct { // in6_ifreq of linux/ipv6.h
		addr   [16]byte
		prefix uint32
		index  int32
	}{addr.Addr().As16(), uint32(addr.Bits()), int32(device.Index)}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	for range 1000 {
		err = unix.Bind(fd, &unix.SockaddrInet6{Addr: addr.Addr().As16()})
		if err != unix.EADDRNOTAVAIL {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return err
}

package interop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// hosts are the names of the server in the runner's containers.
const hosts = `127.0.0.1 localhost
10.0.0.2 server server4
fd00::2 server6
10.0.0.2 server46
fd00::2 server46
`

// A place is the root directory of an endpoint. It has the system's directories, and those of the runner's containers.
type place struct{ root string }

func (p place) dir(name string) string { return filepath.Join(p.root, name) }

// newPlace makes the root directory of an endpoint whose programs are in the directory endpoint. The calling process
// must have called PrivateMounts, so that the mounts end with it, and nothing else sees them.
func newPlace(root, endpoint string) (place, error) {
	p := place{root}
	for _, name := range []string{"www", "downloads", "certs", "logs", "tmp", "endpoint"} {
		if err := os.MkdirAll(p.dir(name), 0o755); err != nil {
			return p, err
		}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64", "usr", "dev", "proc", "etc"} {
		info, err := os.Lstat("/" + name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return p, err
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink("/" + name)
			if err == nil {
				err = os.Symlink(to, p.dir(name))
			}
			if err != nil {
				return p, err
			}
		default:
			if err := bind("/"+name, p.dir(name), true); err != nil {
				return p, err
			}
		}
	}
	if err := bind(endpoint, p.dir("endpoint"), true); err != nil {
		return p, err
	}
	own := root + ".hosts"
	if err := os.WriteFile(own, []byte(hosts), 0o644); err != nil {
		return p, err
	}
	return p, bind(own, p.dir("etc/hosts"), false)
}

// bind shows a directory or a file at another place.
func bind(from, to string, dir bool) error {
	if dir {
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("showing %s at %s: %w", from, to, err)
	}
	return nil
}

// close removes what newPlace has mounted. A process that has just ended may keep a mount busy for a moment, so the
// mounts are detached.
func (p place) close() error {
	var err error
	for _, name := range []string{"etc/hosts", "endpoint", "etc", "proc", "dev", "usr", "lib64", "lib32", "lib", "sbin", "bin"} {
		if e := unix.Unmount(p.dir(name), unix.MNT_DETACH); e != nil && !errors.Is(e, unix.EINVAL) && !errors.Is(e, unix.ENOENT) {
			err = errors.Join(err, fmt.Errorf("unmounting %s: %w", p.dir(name), e))
		}
	}
	return err
}

// PrivateMounts keeps the mounts of this process from the rest of the system. The process must have been started in a
// mount namespace of its own.
func PrivateMounts() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }

//go:build !linux && unix

package collect

import (
	"os/exec"
	"syscall"
)

// setSysProcAttr gives the driver a process group of its own, so that what is typed at a terminal
// reaches it once, through us.
func setSysProcAttr(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

package collect

import (
	"os/exec"
	"syscall"
)

// setSysProcAttr gives the driver its own process group, so that a signal from the terminal reaches it only
// once, forwarded by us. The kernel kills the driver when this process ends.
func setSysProcAttr(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

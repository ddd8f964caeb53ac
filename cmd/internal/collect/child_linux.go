package collect

import (
	"os/exec"
	"syscall"
)

// setSysProcAttr gives the driver a process group of its own, so that what is typed at a terminal
// reaches it once, through us; and has it ended with us, however we end.
func setSysProcAttr(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

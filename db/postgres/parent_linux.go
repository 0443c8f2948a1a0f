package postgres

import (
	"fmt"
	"syscall"
)

// dieWithParent makes the kernel ask for a fast shutdown when we die, however.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// isPostmaster: a postmaster's working directory is its data directory.
func isPostmaster(pid int, data string) bool {
	return sameFile(fmt.Sprintf("/proc/%d/cwd", pid), data)
}

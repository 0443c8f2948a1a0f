package postgres

import (
	"context"
	"fmt"
	"os"
	"syscall"
)

// dieWithParent makes the kernel ask for a fast shutdown when we die, however.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// isPostmaster: a postmaster's working directory is its data directory.
func isPostmaster(_ context.Context, pid int, data string) bool {
	cwd, errCwd := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	dir, errDir := os.Stat(data)
	return errCwd == nil && errDir == nil && os.SameFile(cwd, dir)
}

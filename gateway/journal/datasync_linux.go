package journal

import (
	"errors"
	"os"
	"syscall"
)

// datasync makes a file's bytes, and the size needed to read them, durable.
func datasync(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = syscall.Fdatasync(int(fd))
		for errors.Is(failed, syscall.EINTR) {
			failed = syscall.Fdatasync(int(fd))
		}
	}); err != nil {
		return err
	}
	return os.NewSyscallError("fdatasync", failed)
}

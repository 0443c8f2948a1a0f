//go:build !linux

package journal

import "os"

// datasync makes a file durable; only Linux offers to leave its times out.
func datasync(f *os.File) error { return f.Sync() }

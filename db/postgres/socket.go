package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// A socket's path may be 107 bytes long; a temporary directory of the
	// environment's choosing is often longer, so it is always /tmp.
	socketRoot   = "/tmp"
	socketPrefix = "tb-pg-"
	socketName   = ".s.PGSQL." + port

	// Younger directories may be of a server that is just starting.
	sweepAge = time.Minute
)

func (o owner) makeSocketDir() (string, error) {
	dir, err := os.MkdirTemp(socketRoot, socketPrefix)
	if err != nil {
		return "", fmt.Errorf("postgres: make the socket's directory: %w", err)
	}
	if err := o.give(dir); err != nil {
		return "", errors.Join(err, os.Remove(dir))
	}
	return dir, nil
}

// removeSocketDir leaves anything but the server's own two files alone.
func removeSocketDir(dir string) {
	_ = os.Remove(filepath.Join(dir, socketName))
	_ = os.Remove(filepath.Join(dir, socketName+".lock"))
	_ = os.Remove(dir)
}

// sweepSockets removes what killed servers left behind. Only a socket that
// refuses connections counts as dead: a pid would mean nothing to a server in
// another pid namespace that shares /tmp.
func sweepSockets(ctx context.Context) {
	entries, err := os.ReadDir(socketRoot)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), socketPrefix) || !entry.IsDir() {
			continue
		}
		st, err := entry.Info()
		if err != nil || time.Since(st.ModTime()) < sweepAge {
			continue
		}
		if dir := filepath.Join(socketRoot, entry.Name()); isDead(ctx, dir) {
			removeSocketDir(dir)
		}
	}
}

func isDead(ctx context.Context, dir string) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", filepath.Join(dir, socketName))
	if err == nil {
		_ = conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sharedMemoryBusy is what a server says when children of a killed predecessor
// are still alive; they notice its death and end within moments.
const sharedMemoryBusy = "shared memory block"

// child is one run of the server's process.
type child struct {
	cmd    *exec.Cmd
	log    string
	exited chan struct{} // closed after the process is gone
	err    error         // how it ended; read after exited
}

// serverSettings are the -c options, the caller's last so that they win.
func serverSettings(cfg Config, socket string) []string {
	settings := map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": socket,
		"unix_socket_permissions": "0700",
		"max_connections":         "200",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"log_checkpoints":         "off",
		"log_min_error_statement": "panic", // statements carry tenants' values
	}
	if cfg.Fast {
		maps.Copy(settings, map[string]string{
			"fsync":              "off",
			"synchronous_commit": "off",
			"full_page_writes":   "off",
			"wal_level":          "minimal",
			"max_wal_senders":    "0",
		})
	}
	maps.Copy(settings, cfg.Settings)
	var args []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// launch starts the server and waits until it is ready. It tries again while
// children of a killed predecessor are still leaving.
func launch(ctx context.Context, bin string, place files, socket string, settings []string) (*child, error) {
	deadline := time.Now().Add(previousTimeout)
	for {
		c, err := spawn(ctx, bin, place, settings)
		if err != nil {
			return nil, err
		}
		if err = c.awaitReady(ctx, place, socket); err == nil {
			return c, nil
		}
		_ = c.cmd.Process.Signal(syscall.SIGQUIT)
		<-c.exited
		if ctx.Err() != nil || !strings.Contains(err.Error(), sharedMemoryBusy) || time.Now().After(deadline) {
			return nil, err
		}
	}
}

func spawn(ctx context.Context, bin string, place files, settings []string) (*child, error) {
	log, err := os.OpenFile(place.logFile(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("postgres: open the server's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	// The context bounds the start, not the server.
	cmd := place.owner.command(context.WithoutCancel(ctx), place.dir, bin, "postgres", append([]string{"-D", place.data()}, settings...)...)
	cmd.Stdout, cmd.Stderr = log, log
	c := &child{cmd: cmd, log: place.logFile(), exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel's parent-death signal fires when the thread that forked
		// ends, so that thread waits here for as long as the server runs.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("postgres: start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// awaitReady takes the server's word, which it gives in its pid file, for
// itself only: the file of a predecessor may still lie there.
func (c *child) awaitReady(ctx context.Context, place files, socket string) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		p, ok := place.readPIDFile()
		if ok && p.pid == c.pid() && p.status == "ready" && exists(socket, socketName) {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("postgres: the server did not start: %w", c.failure())
		case <-ctx.Done():
			return fmt.Errorf("postgres: the server did not become ready: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// failure is how an exited server ended, with the last it had to say.
func (c *child) failure() error {
	raw, err := os.ReadFile(c.log)
	if err != nil {
		return errors.Join(c.err, err)
	}
	if c.err == nil {
		return fmt.Errorf("exit status 0: %s", lastLines(string(raw)))
	}
	return fmt.Errorf("%w: %s", c.err, lastLines(string(raw)))
}

// shutdown is fast (SIGINT: roll back, checkpoint, end) and, if that takes too
// long, immediate (SIGQUIT: the next start recovers).
func (c *child) shutdown() error {
	if c.endsAfter(syscall.SIGINT, fastShutdownTimeout) || c.endsAfter(syscall.SIGQUIT, immediateShutdownTimeout) {
		return nil
	}
	_ = c.cmd.Process.Kill()
	<-c.exited
	return fmt.Errorf("postgres: the server (pid %d) had to be killed", c.pid())
}

func (c *child) endsAfter(sig os.Signal, limit time.Duration) bool {
	_ = c.cmd.Process.Signal(sig) // fails only when it has ended already
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.exited:
		return true
	case <-timer.C:
		return false
	}
}

// command prepares one of PostgreSQL's programs to run as the owner, apart from
// this terminal's process group: Ctrl-C must reach Tollbook first, so that it
// can drain before its database goes.
func (o owner) command(ctx context.Context, dir, bin, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Dir = dir // the owner may not be able to enter our working directory
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.cred, Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	return cmd
}

// lastLines keeps an error message readable.
func lastLines(text string) string {
	const most = 6
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	return strings.Join(lines, "\n")
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// Superuser is the role initdb creates and the one every first connection uses.
	Superuser = "tollbook"

	// The socket file's name carries a port even though TCP is off.
	port = "5432"

	fastShutdownTimeout      = 10 * time.Second
	immediateShutdownTimeout = 5 * time.Second
)

// Config says where a server keeps its files and how careful it is with them.
type Config struct {
	Dir      string            // the server's own directory; the cluster is in Dir/data
	Fast     bool              // tests: give up durability for speed
	Settings map[string]string // extra server settings; they win over the defaults
	Log      io.Writer         // progress for a human, a line at a time; nil is silent
	Install  bool              // may obtain PostgreSQL when none is found
}

// Server is a running PostgreSQL server that belongs to this process.
type Server struct {
	files  files
	socket string
	lock   *os.File
	child  *child
	done   chan error

	stopping chan struct{}
	stopOnce sync.Once
	stopErr  error
}

// Start runs a server and returns when it accepts connections. The context
// bounds the start only; a started server runs until Stop or until it dies.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Dir == "" {
		return nil, errors.New("postgres: Config.Dir is empty")
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	bin, err := ObtainBinaries(ctx, cfg.Install, cfg.Log)
	if err != nil {
		return nil, err
	}
	place, err := placeFiles(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if place.moved {
		_, _ = fmt.Fprintf(cfg.Log, "PostgreSQL runs as %s, who cannot enter %s: its files are in %s\n", place.owner.name, cfg.Dir, place.dir)
	}
	bin, err = reachableBinaries(bin, place.owner, cfg.Log)
	if err != nil {
		return nil, err
	}
	lock, err := place.acquire(ctx)
	if err != nil {
		return nil, err
	}
	srv, err := start(ctx, cfg, bin, place, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return srv, nil
}

// start does what must be done under the lock.
func start(ctx context.Context, cfg Config, bin string, place files, lock *os.File) (*Server, error) {
	if err := place.awaitPrevious(ctx, cfg.Log); err != nil {
		return nil, err
	}
	if err := place.initialize(ctx, bin, cfg.Fast, cfg.Log); err != nil {
		return nil, err
	}
	sweepSockets(ctx)
	socket, err := place.owner.makeSocketDir()
	if err != nil {
		return nil, err
	}
	srv := &Server{
		files:    place,
		socket:   socket,
		lock:     lock,
		done:     make(chan error, 1),
		stopping: make(chan struct{}),
	}
	srv.child, err = launch(ctx, bin, place, socket, serverSettings(cfg, socket))
	if err != nil {
		removeSocketDir(socket)
		return nil, err
	}
	go srv.watch()
	return srv, nil
}

// watch tells a death nobody asked for from a stop.
func (s *Server) watch() {
	defer close(s.done)
	<-s.child.exited
	select {
	case <-s.stopping:
	default:
		s.done <- fmt.Errorf("postgres: the server in %s ended by itself: %w", s.files.data(), s.child.failure())
	}
}

// Done receives an error if the server dies by itself and is closed once the
// server is gone for whatever reason.
func (s *Server) Done() <-chan error { return s.done }

// SocketDir is the directory of the server's socket.
func (s *Server) SocketDir() string { return s.socket }

// DataDir is the cluster's directory, wherever it had to be put.
func (s *Server) DataDir() string { return s.files.data() }

// PID is the postmaster's process id.
func (s *Server) PID() int { return s.child.pid() }

// DSN is a keyword/value connection string.
func (s *Server) DSN(database, user string) string {
	return fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable", s.socket, port, quoteDSN(user), quoteDSN(database))
}

// URL is the same as a URL that psql and pgx both read.
func (s *Server) URL(database, user string) string {
	query := url.Values{"host": {s.socket}, "port": {port}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User(user), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// Stop disconnects everybody, shuts the server down and waits for it. It may be
// called more than once and after the server died.
func (s *Server) Stop() error {
	s.stopOnce.Do(func() {
		close(s.stopping)
		s.stopErr = s.child.shutdown()
		removeSocketDir(s.socket)
		s.stopErr = errors.Join(s.stopErr, s.lock.Close())
	})
	return s.stopErr
}

// quoteDSN quotes a value of a keyword/value connection string when it must be.
func quoteDSN(value string) string {
	if value != "" && !strings.ContainsAny(value, ` '\`) {
		return value
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// Files names the directory where Start would keep the files of a server with
// this Config.Dir, so that a caller can remove them to start afresh.
func Files(dir string) (string, error) {
	place, err := locateFiles(dir)
	return place.dir, err
}

// alive says whether a process exists; one that is not ours to signal does.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// isExecutable says whether path is a program.
func isExecutable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0
}

// exists says whether something is at path.
func exists(elem ...string) bool {
	_, err := os.Lstat(filepath.Join(elem...))
	return err == nil
}

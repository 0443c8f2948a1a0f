package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// rolePrefix marks, as the first argument, that this process is a child.
const rolePrefix = "role:"

// The roles.
const (
	roleUpstream = "upstream"
	roleControl  = "control"
	roleGateway  = "gateway"
	roleNginx    = "nginx"
)

func childRole(args []string) (string, bool) {
	if len(args) < 2 {
		return "", false
	}
	return strings.CutPrefix(args[1], rolePrefix)
}

// brief is what a child is told, as the first line of its input: secrets do not
// belong on a command line.
type brief struct {
	Upstream    string // base URL
	Key         string // that clients present
	Credential  string // that the provider expects
	MasterKey   string
	DatabaseURL string
	SystemURL   string
	JournalDir  string
	Dir         string // for files of its own
	Nginx       string // the program
}

// service is what a role serves and how it is asked and ended.
type service struct {
	handler http.Handler
	address string // set by a role that listens by itself
	pending func() int
	release func()
	end     func(context.Context) error
}

const endWithin = 20 * time.Second

// beChild serves in a role and obeys its parent, a line at a time, until the input
// ends: that is the parent's word, or its death.
func beChild(role string, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return errors.New("started without a brief")
	}
	var told brief
	if err := json.Unmarshal(lines.Bytes(), &told); err != nil {
		return fmt.Errorf("read brief: %w", err)
	}
	s, err := serviceOf(role, told)
	if err != nil {
		return err
	}
	server, err := s.serve()
	if err != nil {
		return errors.Join(err, s.finish(server))
	}
	if _, err = fmt.Fprintln(out, "ready", s.address); err == nil {
		err = s.obey(lines, out)
	}
	return errors.Join(err, s.finish(server))
}

func serviceOf(role string, told brief) (*service, error) {
	switch role {
	case roleUpstream:
		return newUpstream(), nil
	case roleControl:
		return newControl(told)
	case roleGateway:
		return newGateway(told)
	case roleNginx:
		return newNginx(told)
	}
	return nil, fmt.Errorf("there is no role %q", role)
}

// serve listens on the loopback as the product's own server does.
func (s *service) serve() (*http.Server, error) {
	if s.handler == nil {
		return nil, nil
	}
	listening := net.ListenConfig{Control: segmentSize}
	l, err := listening.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.address = l.Addr().String()
	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	go func() { _ = server.Serve(l) }() // ends when the child does
	return server, nil
}

// segmentSize keeps the loopback honest: its 64 KB segments fill a default receive
// buffer, and a 100 KB body then waits 200 ms for a window probe.
func segmentSize(_, _ string, raw syscall.RawConn) error {
	const ethernet = 1448
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, ethernet)
	})
	return errors.Join(err, failed)
}

// obey answers every command with one line.
func (s *service) obey(lines *bufio.Scanner, out io.Writer) error {
	var profile *os.File
	for lines.Scan() {
		answer := "ok"
		switch command, argument, _ := strings.Cut(lines.Text(), " "); command {
		case "pending":
			answer = strconv.Itoa(s.pending())
		case "release":
			s.release()
		case "profile":
			var err error
			if profile, err = os.Create(argument); err != nil {
				return err
			}
			if err := pprof.StartCPUProfile(profile); err != nil {
				return err
			}
		case "profiled":
			pprof.StopCPUProfile()
			if err := profile.Close(); err != nil {
				return err
			}
		default:
			return fmt.Errorf("there is no command %q", command)
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (s *service) finish(server *http.Server) error {
	limited, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	if server != nil {
		_ = server.Close() // whoever is still connected has lost its parent too
	}
	if s.end == nil {
		return nil
	}
	return s.end(limited)
}

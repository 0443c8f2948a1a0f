package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// target is what load is sent to.
type target struct {
	name    string
	address string
	doors   []door // that requests take in turns; at least one
	process *child // nil when nothing stands between
	sent    int64  // whole answers, over all of the run
}

// door is where a company's requests come in, and with what.
type door struct {
	path string // before /v1/messages
	key  string
}

// The targets, in the order in which they take turns and are shown.
const (
	nameDirect  = "direct"
	nameNginx   = "nginx"
	nameControl = "control"
	nameOther   = "other build"
	nameGateway = "gateway"
)

// meters tells whether what is sent here must be in the ledger.
func (t *target) meters() bool { return t.name == nameGateway || t.name == nameOther }

func targetNames() []string {
	return []string{nameDirect, nameNginx, nameControl, nameOther, nameGateway}
}

// stage is everything a run needs.
type stage struct {
	o         options
	log       io.Writer
	dir       string
	workloads map[string]workload
	upstream  *child
	house     *house
	books     *books // once filled
	told      brief
	targets   map[string]*target
	ours      int64 // rows of gateways that have ended
	proven    int64 // rows at the last proof
	pace      int   // the rate at which latency is measured, once known
	proxyCore string
	loadCores string
	closers   []func() error
}

func openStage(ctx context.Context, o options, log io.Writer) (*stage, error) {
	s := &stage{o: o, log: log, targets: map[string]*target{}}
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) build(ctx context.Context) error {
	var err error
	if s.workloads, err = makeWorkloads(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "tollbook-bench-"); err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { return os.RemoveAll(s.dir) })
	if _, err := exec.LookPath("taskset"); s.o.pin && err == nil && runtime.NumCPU() > 1 {
		s.proxyCore, s.loadCores = "0", "1"
		if last := runtime.NumCPU() - 1; last > 1 {
			s.loadCores += "-" + strconv.Itoa(last)
		}
	}
	if s.upstream, err = startChild(ctx, "", roleUpstream, brief{}, s.loadCores); err != nil {
		return err
	}
	s.closers = append(s.closers, s.upstream.stop)
	s.say("starting PostgreSQL")
	if s.house, err = openHouse(ctx, "http://"+s.upstream.address, s.log); err != nil {
		return err
	}
	s.closers = append(s.closers, s.house.close)
	if err := s.pin(ctx); err != nil {
		return err
	}
	s.told = brief{
		Upstream: "http://" + s.upstream.address, Key: s.house.doors[0].key, Credential: upstreamCredential, MasterKey: s.house.master.Reveal(),
		DatabaseURL: s.house.url("tollbook_app"), SystemURL: s.house.url("tollbook_system"), JournalDir: s.dir, Dir: s.dir,
	}
	s.targets[nameDirect] = &target{name: nameDirect, address: s.upstream.address, doors: []door{{key: upstreamCredential}}}
	if s.told.Nginx, err = exec.LookPath("nginx"); err != nil {
		s.say("nginx is not installed: its column stays empty")
	}
	for _, name := range targetNames() {
		if name == nameDirect || name == nameNginx && s.told.Nginx == "" || name == nameOther && s.o.against == "" {
			continue
		}
		if s.targets[name], err = s.startTarget(ctx, name); err != nil {
			return err
		}
	}
	s.closers = append(s.closers, s.stopTargets)
	return nil
}

// pin puts the database beside the proxy and this process beside the provider, so
// that load and measured work do not take each other's core.
func (s *stage) pin(ctx context.Context) error {
	if s.proxyCore == "" {
		return nil
	}
	_, members, err := tree(s.house.server.PID())
	if err != nil {
		return err
	}
	cores := map[int]string{os.Getpid(): s.loadCores}
	for _, pid := range members {
		cores[pid] = s.proxyCore
	}
	for pid, list := range cores {
		if out, err := exec.CommandContext(ctx, "taskset", "-a", "-c", "-p", list, strconv.Itoa(pid)).CombinedOutput(); err != nil {
			return fmt.Errorf("taskset: %w: %s", err, out)
		}
	}
	return nil
}

// startTarget starts a proxy in a process of its own.
func (s *stage) startTarget(ctx context.Context, name string) (*target, error) {
	t := &target{name: name}
	program, role := "", name
	if name == nameOther {
		program, role = s.o.against, roleGateway
	}
	told := s.told
	t.doors = []door{{key: told.Key}}
	if t.meters() {
		t.doors = s.house.doors[:1]
	}
	var err error
	if told.Dir, err = os.MkdirTemp(s.dir, role+"-"); err != nil {
		return nil, err
	}
	if t.process, err = startChild(ctx, program, role, told, s.proxyCore); err != nil {
		return nil, err
	}
	t.address = t.process.address
	return t, nil
}

// fresh starts a target anew: what it held before would blur what it holds next.
func (s *stage) fresh(ctx context.Context, name string) error {
	if err := s.stopTarget(name); err != nil {
		return err
	}
	var err error
	s.targets[name], err = s.startTarget(ctx, name)
	return err
}

func (s *stage) stopTarget(name string) error {
	t := s.targets[name]
	if t == nil || t.process == nil {
		return nil
	}
	delete(s.targets, name)
	if t.meters() {
		s.ours += t.sent
	}
	return t.process.stop()
}

func (s *stage) stopTargets() error {
	var errs error
	for _, name := range targetNames() {
		errs = errors.Join(errs, s.stopTarget(name))
	}
	return errs
}

func (s *stage) close() error {
	var errs error
	for _, end := range slices.Backward(s.closers) {
		errs = errors.Join(errs, end())
	}
	return errs
}

func (s *stage) say(what string) { _, _ = fmt.Fprintln(s.log, what) }

const flushedWithin = 30 * time.Second

// settle waits until the gateway's journal holds nothing that is not in the ledger.
func (s *stage) settle(ctx context.Context, t *target) error {
	if !t.meters() {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, flushedWithin)
	defer cancel()
	for {
		answer, err := t.process.ask("pending")
		if err != nil || answer == "0" {
			return err
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("%s requests are not in the ledger after %s", answer, flushedWithin)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// proveRows compares the ledger with what was sent.
func (s *stage) proveRows(ctx context.Context, t *target) error {
	if !t.meters() {
		return nil
	}
	sent := s.ours
	for _, other := range s.targets {
		if other.meters() {
			sent += other.sent
		}
	}
	rows, err := s.house.rows(ctx)
	if err == nil && rows != sent {
		err = fmt.Errorf("the ledger holds %d requests, but %d were sent", rows, sent)
	}
	s.proven = rows
	return err
}

// machine is the line that says what the figures were taken on.
func (s *stage) machine() string {
	where := "no cores reserved"
	if s.proxyCore != "" {
		where = "proxy and database on core " + s.proxyCore + ", load and provider on core " + s.loadCores
	}
	// What cannot be read is left out of the line.
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	version, _ := os.ReadFile(filepath.Join(s.house.server.DataDir(), "PG_VERSION"))
	return fmt.Sprintf("%d cores (%s), %s, Linux %s, PostgreSQL %s with fsync; %d rounds, medians; ratios are medians of each round's own.",
		runtime.NumCPU(), where, runtime.Version(), firstWord(string(release)), firstWord(string(version)), s.o.rounds)
}

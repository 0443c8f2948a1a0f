package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// child is another process of this program, as its parent sees it.
type child struct {
	role    string
	address string
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

// startChild runs this program, or another build of it, in a role, on some cores if
// any are named, and returns when it serves.
func startChild(ctx context.Context, program, role string, told brief, cores string) (*child, error) {
	var err error
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	line := []string{program, rolePrefix + role}
	if cores != "" {
		line = append([]string{"taskset", "-c", cores}, line...)
	}
	c := &child{role: role, command: exec.CommandContext(ctx, line[0], line[1:]...)}
	c.command.Stderr, c.command.WaitDelay = os.Stderr, time.Second
	if c.in, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	if err := c.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	text, err := json.Marshal(told)
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	ready, err := c.ask(string(text))
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	c.address = strings.TrimPrefix(ready, "ready ")
	return c, nil
}

func (c *child) pid() int { return c.command.Process.Pid }

// ask sends one line and waits for the answer; the run's own end bounds the wait,
// for it kills the child.
func (c *child) ask(line string) (string, error) {
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		return "", fmt.Errorf("ask %s: %w", c.role, err)
	}
	if !c.out.Scan() {
		return "", fmt.Errorf("%s ended by itself: %w", c.role, errors.Join(c.out.Err(), io.ErrUnexpectedEOF))
	}
	return c.out.Text(), nil
}

// stop tells the child to end and waits, with a bound.
func (c *child) stop() error {
	_ = c.in.Close() // a child that is gone already has no input
	late := time.AfterFunc(endWithin+5*time.Second, func() { _ = c.command.Process.Kill() })
	defer late.Stop()
	if err := c.command.Wait(); err != nil {
		return fmt.Errorf("end of %s: %w", c.role, err)
	}
	return nil
}

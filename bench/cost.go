package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc's times: USER_HZ, which Linux never changed.
const tick = time.Second / 100

// status is one process as /proc tells it. What the kernel does in interrupts on a
// process's behalf is in its times or not, as the kernel was built.
type status struct {
	pid, parent int
	cpu         time.Duration // its own and of children it has waited for
	resident    int64         // bytes
}

func processes() (map[int]status, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		return nil, errors.Join(errors.New("bench reads /proc, which Linux has"), err)
	}
	all := make(map[int]status, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		if s, ok := parseStatus(string(text)); ok {
			all[s.pid] = s
		}
	}
	return all, nil
}

func parseStatus(text string) (status, bool) {
	open, closing := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')') // a name may hold anything
	if open < 0 || closing < open {
		return status{}, false
	}
	fields := strings.Fields(text[closing+1:])
	if len(fields) < 22 {
		return status{}, false
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i], 10, 64); return n }
	pid, err := strconv.Atoi(strings.TrimSpace(text[:open]))
	ticks := number(11) + number(12) + number(13) + number(14) // utime, stime, cutime, cstime
	return status{pid: pid, parent: int(number(1)), cpu: time.Duration(ticks) * tick, resident: number(21) * int64(os.Getpagesize())}, err == nil
}

// tree is a process and all that descend from it, added up.
func tree(root int) (status, []int, error) {
	all, err := processes()
	if err != nil {
		return status{}, nil, err
	}
	sum, ok := all[root]
	if !ok {
		return status{}, nil, fmt.Errorf("process %d is gone", root)
	}
	members := []int{root}
	for i := 0; i < len(members); i++ {
		for pid, s := range all {
			if s.parent == members[i] && pid != root {
				members = append(members, pid)
				sum.cpu += s.cpu
				sum.resident += s.resident
			}
		}
	}
	return sum, members, nil
}

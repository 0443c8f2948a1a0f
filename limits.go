package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tollbook/gateway"
)

// limits are the bounds an operator may move; everything else that could grow has a
// fixed one.
type limits struct {
	bodyBytes, bodiesBytes, answersBytes, headerBytes, answerHeaderBytes, journalBytes int64
	requests, tenantRequests, lookups, drains                                          int
	drain, body, read, connect, silence, stale, shutdown                               time.Duration
}

// standardLimits are what holds unless a variable says otherwise.
func standardLimits() limits {
	return limits{
		bodyBytes: 32 << 20, bodiesBytes: 1 << 30, answersBytes: 1 << 30, headerBytes: 64 << 10, answerHeaderBytes: 256 << 10, journalBytes: 1 << 30,
		requests: 20_000, tenantRequests: 10_000, lookups: 4096, drains: 500,
		drain: 10 * time.Second, body: 2 * time.Minute, read: 2 * time.Minute, connect: 10 * time.Second, silence: 15 * time.Minute,
		stale: 30 * time.Minute, shutdown: 30 * time.Second,
	}
}

// limits reads the variables of README's table "Limits".
func (e *environment) limits() limits {
	l := standardLimits()
	e.bytes("TOLLBOOK_MAX_BODY_BYTES", &l.bodyBytes, 1<<10, 1<<30)
	e.bytes("TOLLBOOK_MAX_BODIES_BYTES", &l.bodiesBytes, 1<<20, 1<<40)
	e.bytes("TOLLBOOK_MAX_ANSWERS_BYTES", &l.answersBytes, 1<<20, 1<<40)
	e.bytes("TOLLBOOK_MAX_HEADER_BYTES", &l.headerBytes, 4<<10, 1<<20)
	e.bytes("TOLLBOOK_MAX_ANSWER_HEADER_BYTES", &l.answerHeaderBytes, 4<<10, 16<<20)
	e.bytes("TOLLBOOK_JOURNAL_BYTES", &l.journalBytes, 32<<20, 1<<38)
	e.count("TOLLBOOK_MAX_REQUESTS", &l.requests, 1)
	l.tenantRequests = (l.requests + 1) / 2
	e.count("TOLLBOOK_MAX_TENANT_REQUESTS", &l.tenantRequests, 1)
	e.count("TOLLBOOK_MAX_LOOKUPS", &l.lookups, 2)
	e.count("TOLLBOOK_MAX_DRAINS", &l.drains, 1)
	e.duration("TOLLBOOK_DRAIN_TIME", &l.drain, time.Millisecond, 10*time.Minute)
	e.duration("TOLLBOOK_BODY_TIME", &l.body, time.Second, time.Hour)
	e.duration("TOLLBOOK_READ_TIME", &l.read, time.Second, time.Hour)
	e.duration("TOLLBOOK_CONNECT_TIME", &l.connect, 100*time.Millisecond, 5*time.Minute)
	e.duration("TOLLBOOK_SILENCE_TIME", &l.silence, 3*time.Minute, 24*time.Hour)
	e.duration("TOLLBOOK_STALE_AFTER", &l.stale, time.Minute, 7*24*time.Hour)
	e.duration("TOLLBOOK_SHUTDOWN_TIME", &l.shutdown, time.Second, time.Hour)
	if l.bodyBytes > l.bodiesBytes/2 {
		e.fail("TOLLBOOK_MAX_BODIES_BYTES", "should be at least twice TOLLBOOK_MAX_BODY_BYTES")
	}
	return l
}

// apply gives the gateway its part.
func (l limits) apply(c *gateway.Config) {
	c.MaxBodyBytes, c.MaxBodiesBytes, c.MaxAnswerHeaderBytes, c.JournalBytes = l.bodyBytes, l.bodiesBytes, l.answerHeaderBytes, l.journalBytes
	c.MaxAnswersBytes = l.answersBytes
	c.MaxRequests, c.MaxTenantRequests, c.MaxLookups, c.MaxDrains = l.requests, l.tenantRequests, l.lookups, l.drains
	c.DrainFor, c.BodyWithin, c.ReadWithin, c.ConnectWithin = l.drain, l.body, l.read, l.connect
	c.SilenceWithin, c.StaleAfter = l.silence, l.stale
}

// bytes reads a size: a number, perhaps with K, M or G behind it.
func (e *environment) bytes(name string, into *int64, least, most int64) {
	text := e.text(name)
	if text == "" {
		return
	}
	digits, unit := strings.TrimRight(text, "KMG"), int64(1)
	switch strings.TrimPrefix(text, digits) {
	case "K":
		unit = 1 << 10
	case "M":
		unit = 1 << 20
	case "G":
		unit = 1 << 30
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || len(text)-len(digits) > 1 || n > most/unit || n*unit < least {
		e.fail(name, fmt.Sprintf("should be a number of bytes from %d to %d, like %d or 64M", least, most, least))
		return
	}
	*into = n * unit
}

// maxCount bounds what a process is asked to do at once.
const maxCount = 1_000_000

func (e *environment) count(name string, into *int, least int) {
	text := e.text(name)
	if text == "" {
		return
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > maxCount {
		e.fail(name, fmt.Sprintf("should be a number from %d to %d", least, maxCount))
		return
	}
	*into = n
}

func (e *environment) duration(name string, into *time.Duration, least, most time.Duration) {
	text := e.text(name)
	if text == "" {
		return
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		e.fail(name, fmt.Sprintf("should be a time from %s to %s, like 30s or 5m", least, most))
		return
	}
	*into = d
}

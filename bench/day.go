package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"tollbook/app/id"
	"tollbook/app/usage"
)

// day makes the requests of one day: as many fields are set, and as different from
// row to row, as in a request that came through the gateway.
type day struct {
	books  *books
	random *rand.Rand
	number int
	start  time.Time
	made   int64
	open   []session // that go on; each ends at some time and another takes its place
}

type session struct {
	name               string
	key, developer     int
	project, model     int
	context, turnsLeft int
}

const (
	sessionsAtOnce = 200
	lentPercent    = 10 // of sessions work for another center than their developer's
	errorPercent   = 1
)

func newDay(b *books, number int) *day {
	return &day{
		books: b, number: number, start: b.month.Start().AddDate(0, 0, number),
		random: rand.New(rand.NewPCG(20261123, uint64(number))),
		open:   make([]session, sessionsAtOnce),
	}
}

func (d *day) events(n int) []usage.Event {
	list := make([]usage.Event, n)
	for i := range list {
		s := &d.open[d.random.IntN(len(d.open))]
		if s.turnsLeft == 0 {
			*s = d.session()
		}
		s.turnsLeft--
		list[i] = d.event(s)
	}
	return list
}

func (d *day) session() session {
	s := session{
		name: fmt.Sprintf("%08x-%04x-4000-8000-%012x", d.random.Uint32(), d.random.Uint32()>>16, d.random.Uint64()>>16),
		key:  d.random.IntN(monthKeys), project: d.random.IntN(len(d.books.places[0])), model: d.random.IntN(len(monthModels())),
		context: 14_000 + d.random.IntN(20_000), turnsLeft: 4 + d.random.IntN(28),
	}
	s.developer = d.random.IntN(monthDevelopers/monthCenters)*monthCenters + s.key%monthCenters
	if d.random.IntN(100) < lentPercent {
		s.developer = d.random.IntN(monthDevelopers)
	}
	return s
}

func (d *day) event(s *session) usage.Event {
	b, at := d.books, d.start.Add(time.Duration(d.random.Int64N(int64(24*time.Hour))))
	answer, model := &b.places[s.key%monthCenters][s.project], monthModels()[s.model]
	d.made++
	sequence := int64(d.number+1)*1_000_000_000 + d.made
	e := usage.Event{
		ID: id.NewEvent(at), State: usage.StateComplete, HTTPStatus: 200, RequestID: "req_bench" + strconv.FormatInt(sequence, 10), SessionID: s.name, RequestClass: "main",
		Key: b.keys[s.key], Developer: b.developers[s.developer], DeveloperLabel: b.sealed[s.developer], ModelRequested: model,
		Shares: answer.Shares, Rule: string(answer.Rule), Snapshot: b.snapshot, Project: project(s.key%monthCenters, s.project),
		UpstreamStartedAt: at, Replica: b.replica, ReplicaSequence: sequence,
	}
	e.FirstByteAt = at.Add(time.Duration(500+d.random.IntN(1500)) * time.Millisecond)
	e.EndedAt = e.FirstByteAt.Add(time.Duration(1000+d.random.IntN(15_000)) * time.Millisecond)
	if d.random.IntN(100) < errorPercent {
		e.State, e.HTTPStatus = usage.StateError, 529
		return e
	}
	fresh := 1_800 + d.random.IntN(3_600)
	e.MessageID, e.StopReason = "msg_bench"+strconv.FormatInt(sequence, 10), "tool_use"
	e.Counts = usage.Counts{Model: model, Speed: "standard", Geography: "global", Tier: "standard", Tokens: usage.Tokens{
		usage.ClassInput: int64(4 + d.random.IntN(900)), usage.ClassOutput: int64(200 + d.random.IntN(2600)),
		usage.ClassCacheWrite5m: int64(fresh), usage.ClassCacheRead: int64(s.context),
	}}
	s.context += fresh
	return e
}

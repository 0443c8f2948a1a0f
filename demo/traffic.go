package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/simulator"
)

// fact is one request as both sides will hear of it.
type fact struct {
	event   usage.Event
	center  string
	project string
	label   string
}

// generator makes months of plausible Claude Code traffic: working days and hours,
// sessions whose context grows and is read from cache, subagents, a few errors.
type generator struct {
	random *rand.Rand
	from   time.Time
	to     time.Time
	count  int
	made   []fact
}

// Traffic parameters. A realistic mix comes to two to three thousand dollars a month.
const (
	errorPerMille    = 9
	subagentPerCent  = 22
	searchPerMille   = 12
	openingContext   = 14_000 // tokens of system prompt and tools
	growthPerRequest = 3_600
	contextLimit     = 140_000
)

func (g *generator) run() []fact {
	g.made = make([]fact, 0, g.count+64)
	days := g.workload()
	total := 0
	for _, d := range days {
		total += d.weight
	}
	done := 0
	for _, d := range days {
		done += d.weight
		for want := g.count * done / total; len(g.made) < want; {
			g.session(d.start, want)
		}
	}
	slices.SortFunc(g.made, func(a, b fact) int { return a.event.OccurredAt().Compare(b.event.OccurredAt()) })
	for i := range g.made {
		g.made[i].event.RequestID = fmt.Sprintf("req_seed%08d", i+1)
		g.made[i].event.ReplicaSequence = int64(i + 1)
	}
	return g.made
}

type workday struct {
	start  time.Time
	weight int
}

// workload weighs the days: weekends are quiet, use grows over the months.
func (g *generator) workload() []workday {
	var days []workday
	for at := g.from; at.Before(g.to); at = at.AddDate(0, 0, 1) {
		weight := 100 + int(at.Sub(g.from)/(24*time.Hour))/2
		if wd := at.Weekday(); wd == time.Saturday || wd == time.Sunday {
			weight /= 8
		}
		if left := g.to.Sub(at); left < 24*time.Hour {
			weight = int(int64(weight) * int64(left) / int64(24*time.Hour))
		}
		days = append(days, workday{start: at, weight: max(1, weight)})
	}
	return days
}

// session is one developer at work for a while.
func (g *generator) session(day time.Time, want int) {
	c := g.pickCenter()
	list := developers(c)
	label := list[g.random.IntN(len(list))]
	project := ""
	if len(c.projects) > 0 && g.random.IntN(100) < 65 {
		project = c.projects[g.random.IntN(len(c.projects))]
	}
	at := day.Add(time.Duration(8*60+g.random.IntN(9*60)) * time.Minute).Add(time.Duration(g.random.IntN(60_000)) * time.Millisecond)
	limit := day.Add(24 * time.Hour)
	if g.to.Before(limit) {
		limit = g.to
	}
	if !at.Before(limit) {
		at = day.Add(time.Duration(g.random.Int64N(max(1, int64(limit.Sub(day))))))
	}
	model := g.pickModel(c, at)
	session, context := g.uuid(), openingContext+g.random.IntN(20_000)
	for turns := 4 + g.random.IntN(28); turns > 0 && len(g.made) < want && at.Before(limit); turns-- {
		g.made = append(g.made, fact{event: g.request(at, model, session, &context), center: c.code, project: project, label: label})
		if g.random.IntN(100) < subagentPerCent && len(g.made) < want {
			small := openingContext
			sub := g.request(at.Add(time.Duration(900+g.random.IntN(4000))*time.Millisecond), smallModel(at), session, &small)
			sub.AgentID, sub.RequestClass = g.uuid(), "subagent"
			if sub.OccurredAt().Before(limit) {
				g.made = append(g.made, fact{event: sub, center: c.code, project: project, label: label})
			}
		}
		at = at.Add(time.Duration(6_000+g.random.IntN(90_000)) * time.Millisecond)
	}
}

// request measures one turn: what is new is written to the cache, what was there is
// read from it.
func (g *generator) request(at time.Time, model, session string, context *int) usage.Event {
	e := usage.Event{
		ID: id.NewEvent(at), State: usage.StateComplete, HTTPStatus: 200, SessionID: session, RequestClass: "main",
		ModelRequested: model, StopReason: "tool_use", UpstreamStartedAt: at,
	}
	e.FirstByteAt = at.Add(time.Duration(500+g.random.IntN(1500)) * time.Millisecond)
	e.EndedAt = e.FirstByteAt.Add(time.Duration(1000+g.random.IntN(15_000)) * time.Millisecond)
	e.Counts = usage.Counts{Model: model, Speed: "standard", Geography: "global", Tier: "standard"}
	if g.random.IntN(1000) < errorPerMille {
		e.State, e.HTTPStatus, e.StopReason = usage.StateError, []int{429, 529, 500}[g.random.IntN(3)], ""
		e.Counts = usage.Counts{}
		return e
	}
	e.MessageID = "msg_" + g.uuid()[:18]
	fresh := growthPerRequest/2 + g.random.IntN(growthPerRequest)
	e.Counts.Tokens = usage.Tokens{
		usage.ClassInput: int64(4 + g.random.IntN(900)), usage.ClassOutput: int64(200 + g.random.IntN(2600)),
		usage.ClassCacheWrite5m: int64(fresh), usage.ClassCacheRead: int64(*context),
	}
	if g.random.IntN(100) < 8 { // a cold cache: everything is written, part of it for an hour
		e.Counts.Tokens[usage.ClassCacheRead] = 0
		e.Counts.Tokens[usage.ClassCacheWrite1h] = int64(*context / 4)
		e.Counts.Tokens[usage.ClassCacheWrite5m] = int64(*context - *context/4)
	}
	if g.random.IntN(1000) < searchPerMille {
		e.Counts.WebSearches = int64(1 + g.random.IntN(3))
	}
	if *context += fresh; *context > contextLimit {
		*context = openingContext // compacted
	}
	return e
}

func (g *generator) pickCenter() center {
	all := centers()
	at := g.random.IntN(100)
	for _, c := range all {
		if at -= c.weight; at < 0 {
			return c
		}
	}
	return all[0]
}

// pickModel takes what was on sale and usual on that day.
func (g *generator) pickModel(c center, at time.Time) string {
	large, middle := "claude-opus-5", "claude-sonnet-5"
	if !at.Before(time.Date(2026, 9, 22, 0, 0, 0, 0, time.UTC)) {
		large = "claude-opus-5-5"
	}
	if !at.Before(time.Date(2026, 9, 28, 0, 0, 0, 0, time.UTC)) {
		middle = "claude-sonnet-5-5"
	}
	switch n := g.random.IntN(100); {
	case n < c.opus:
		return large
	case n < 90:
		return middle
	}
	return smallModel(at)
}

func smallModel(at time.Time) string {
	if at.Before(time.Date(2026, 10, 7, 0, 0, 0, 0, time.UTC)) {
		return "claude-haiku-4-5-20251001"
	}
	return "claude-haiku-5-5"
}

func (g *generator) uuid() string {
	var raw uuid.UUID
	for i := range raw {
		raw[i] = byte(g.random.UintN(256))
	}
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	return raw.String()
}

// provider is the fact as the provider's own books have it: counts, no price.
func (f *fact) provider() simulator.Fact {
	e := &f.event
	t := e.Counts.Tokens
	model := e.Counts.Model
	if model == "" {
		model = e.ModelRequested
	}
	return simulator.Fact{
		RequestID: e.RequestID, MessageID: e.MessageID, OccurredAt: e.OccurredAt(), KeyHint: simulator.KeyHint(simulatorCredential), SessionID: e.SessionID,
		Model: model, Status: e.HTTPStatus, Complete: true, WebSearchRequests: e.Counts.WebSearches,
		Tokens: simulator.Tokens{
			Input: t[usage.ClassInput], Output: t[usage.ClassOutput], CacheWrite5m: t[usage.ClassCacheWrite5m],
			CacheWrite1h: t[usage.ClassCacheWrite1h], CacheRead: t[usage.ClassCacheRead],
		},
	}
}

package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/pricing"
	"tollbook/app/usage"
	"tollbook/db"
)

// SessionView is a Claude Code session in a list: what of it the reader may see.
type SessionView struct {
	ID                string
	FirstAt, LastAt   time.Time // starts of its first and last request
	Requests          int64
	Agents            int64 // beside the main one
	Errors            int64
	Provisional       int64
	Prompt, CacheRead int64 // tokens; reads are part of the prompt
	Output            int64
	Amount            money.Sum
	Developer         string // label of one of them; empty when undeclared or erased
	DeveloperID       id.Developer
	Developers        int64
	Model             string // one of them
	Models            int64
}

// SessionPage is one page of sessions, by their latest request.
type SessionPage struct {
	Rows []SessionView
	Next string // empty on the last page
}

// Sessions lists Claude Code sessions with a request that the filter keeps, latest
// first. Their figures cover every request of theirs that the actor may see.
func (r *Reports) Sessions(ctx context.Context, who Actor, f RequestFilter) (SessionPage, error) {
	filter, err := r.filter(who, f)
	if err != nil {
		return SessionPage{}, err
	}
	filter.Limit-- // one more is looked for anyway
	own := filter.Developer
	var page SessionPage
	err = r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := r.complete(tx, f, &filter); err != nil {
			return err
		}
		heads, next, err := tx.SessionHeads(filter)
		if err != nil {
			return err
		}
		if next != nil {
			page.Next = cursorAfter(&db.UsageRow{OccurredAt: next.OccurredAt, EventID: next.EventID}, filter.Order)
		}
		page.Rows, err = r.sessionViews(tx, heads, filter.Within, own)
		return err
	})
	return page, err
}

func (r *Reports) sessionViews(tx *db.Tx, heads []db.SessionHead, within []id.Node, own id.Developer) ([]SessionView, error) {
	var ids []string
	for _, h := range heads {
		ids = append(ids, h.SessionID)
	}
	sums, err := tx.SessionSums(ids, within, own)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(sums, func(a, b db.SessionSum) int { return slices.Index(ids, a.SessionID) - slices.Index(ids, b.SessionID) })
	var developers []string
	for _, s := range sums {
		if !s.DeveloperID.IsZero() {
			developers = append(developers, s.DeveloperID.UUID())
		}
	}
	labels := map[id.Developer]string{}
	known, err := tx.Developers(developers)
	if err != nil {
		return nil, err
	}
	for _, d := range known {
		labels[d.DeveloperID] = r.labels.Open(d.DeveloperID, d.LabelSealed)
	}
	views := make([]SessionView, 0, len(sums))
	for _, s := range sums {
		amount, err := money.SumOfPico(s.ChargePico)
		if err != nil {
			return nil, err
		}
		views = append(views, SessionView{
			ID: s.SessionID, FirstAt: s.FirstAt.UTC(), LastAt: s.LastAt.UTC(), Requests: s.Requests, Agents: s.Agents, Errors: s.Errors, Provisional: s.Provisional,
			Prompt: s.PromptTokens, CacheRead: s.CacheReadTokens, Output: s.OutputTokens, Amount: amount, Developer: labels[s.DeveloperID], DeveloperID: s.DeveloperID,
			Developers: s.Developers, Model: s.Model, Models: s.Models,
		})
	}
	return views, nil
}

// MaxTurns bounds what is read of one session.
const MaxTurns = 5000

// Turn is one request of a session.
type Turn struct {
	Request
	Cost     money.Pico // the reader's shares of the charge
	Uncached money.Pico // the same, had the prompt cache not been used
}

// Spend is what some turns come to.
type Spend struct {
	Turns    int64
	Errors   int64
	Tokens   usage.Tokens
	Cost     money.Sum
	Uncached money.Sum
	Classes  [usage.ClassCount]money.Sum // of whole requests, split or not
}

// AgentSpend is one agent of a session, in the order of their tree.
type AgentSpend struct {
	usage.Agent
	Class string // what its requests were for, as Claude Code said
	First time.Time
	Last  time.Time
	Spend Spend
}

// Session is one Claude Code session: what of it the reader may see.
type Session struct {
	ID     string
	Turns  []Turn // in order
	Cut    bool   // there are more than MaxTurns
	Agents []AgentSpend
	Spend  Spend
}

// Session reads a session by Claude Code's id; found is false when there is none, or
// when nothing of it is the actor's to see.
func (r *Reports) Session(ctx context.Context, who Actor, session string) (Session, bool, error) {
	filter, err := r.filter(who, RequestFilter{Session: session})
	if err != nil {
		return Session{}, false, err
	}
	filter.Limit, filter.Order = MaxTurns+1, db.OrderOldest
	out := Session{ID: session}
	err = r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LimitStatements(readLimit); err != nil {
			return err
		}
		rows, err := tx.Usage(filter)
		if err != nil {
			return err
		}
		if out.Cut = len(rows) > MaxTurns; out.Cut {
			rows = rows[:MaxTurns]
		}
		list, err := r.requests(tx, rows, filter.Within)
		if err != nil {
			return err
		}
		for i := range list {
			turn, err := turnOf(&list[i])
			if err != nil {
				return err
			}
			out.Turns = append(out.Turns, turn)
		}
		return nil
	})
	if err != nil || session == "" {
		return Session{}, false, err
	}
	out.sum()
	return out, len(out.Turns) > 0, nil
}

// turnOf takes the reader's part of a request, and of what it would have been.
func turnOf(request *Request) (Turn, error) {
	t := Turn{Request: *request}
	var mine int64
	for _, a := range request.Allocations {
		mine += a.PPM
		t.Cost += a.Amount
	}
	whole, err := pricing.Uncached(request.Rates, request.Tokens, request.DiscountBps)
	if err != nil {
		return t, fmt.Errorf("price %s without cache: %w", request.ID, err)
	}
	// What is charged beside the token classes (server tools, inner steps) stays.
	for _, c := range request.Charges[usage.ClassCount:] {
		if whole, err = whole.Plus(c.Amount); err != nil {
			return t, err
		}
	}
	parts, err := money.Split(whole, []int64{mine, usage.Whole - mine})
	if err != nil {
		return t, err
	}
	t.Uncached = parts[0]
	return t, nil
}

func (s *Spend) add(t *Turn) {
	s.Turns++
	if t.State == string(usage.StateError) {
		s.Errors++
	}
	s.Tokens = s.Tokens.Plus(t.Tokens)
	s.Cost.Add(t.Cost)
	s.Uncached.Add(t.Uncached)
	for class := range usage.ClassCount {
		s.Classes[class].Add(t.Charges[class].Amount)
	}
}

// sum gathers the turns by agent and in all.
func (s *Session) sum() {
	var calls []usage.AgentCall
	for i := range s.Turns {
		calls = append(calls, usage.AgentCall{Agent: s.Turns[i].AgentID, Parent: s.Turns[i].ParentAgentID})
	}
	places := map[string]int{}
	for i, agent := range usage.Agents(calls) {
		places[agent.ID] = i
		s.Agents = append(s.Agents, AgentSpend{Agent: agent})
	}
	for i := range s.Turns {
		t := &s.Turns[i]
		agent := &s.Agents[places[t.AgentID]]
		if agent.First.IsZero() {
			agent.First, agent.Class = t.OccurredAt, t.Class
		}
		agent.Last = t.OccurredAt
		agent.Spend.add(t)
		s.Spend.add(t)
	}
}

package db

import (
	"time"

	"tollbook/app/id"
)

// SessionHead is a Claude Code session by its latest request that a filter keeps.
type SessionHead struct {
	SessionID  string
	OccurredAt time.Time
	EventID    id.Event
}

const (
	headChunk  = 4000 // requests read at once in search of sessions
	headChunks = 50   // times, at most: then the page is short and says where to go on
)

// SessionHeads lists sessions by their latest matching request, latest first. done is
// false when there may be more behind the last head, or behind next when there is none:
// requests of one session follow one another, so few rows are read for each session.
func (t *Tx) SessionHeads(f UsageFilter) (heads []SessionHead, next *SessionHead, err error) {
	want := f.Limit
	first := f
	f.Sessions, f.Limit = true, headChunk
	seen := map[string]bool{}
	for range headChunks {
		var rows []SessionHead
		err := t.walk(f, func(limit int, spans []span) (int, error) {
			part := f
			part.Limit = limit
			s := part.rows(t.Tenant, "u.session_id, u.occurred_at, u.event_id", spans)
			var more []SessionHead
			err := t.scan("list sessions", &more, s.text, s.args...)
			rows = append(rows, more...)
			return len(more), err
		})
		if err != nil || len(rows) == 0 {
			return heads, nil, err
		}
		var fresh []SessionHead
		for _, r := range rows {
			if !seen[r.SessionID] {
				seen[r.SessionID] = true
				fresh = append(fresh, r)
			}
		}
		if fresh, err = t.unlisted(first, fresh); err != nil {
			return nil, nil, err
		}
		heads = append(heads, fresh...)
		if len(heads) > want {
			return heads[:want], &heads[want-1], nil
		}
		last := rows[len(rows)-1]
		if len(rows) < headChunk {
			return heads, nil, nil
		}
		f.BeforeAt, f.BeforeID, next = last.OccurredAt, last.EventID, &last
	}
	return heads, next, nil
}

// unlisted leaves out sessions that a page before has listed: those with a matching
// request at or after the place where this page begins.
func (t *Tx) unlisted(f UsageFilter, heads []SessionHead) ([]SessionHead, error) {
	if f.BeforeID.IsZero() || len(heads) == 0 {
		return heads, nil
	}
	at, event := f.BeforeAt, f.BeforeID
	f.BeforeAt, f.BeforeID = time.Time{}, id.Event{}
	s := &statement{text: `select distinct u.session_id from usage_event u where u.tenant_id = ?`, args: []any{t.Tenant}}
	f.narrow(t.Tenant, s)
	s.and("u.session_id in ?", sessionIDs(heads))
	s.and("(u.occurred_at, u.event_id) >= (?, ?::uuid)", at, event)
	var listed []string
	if err := t.scan("find listed sessions", &listed, s.text, s.args...); err != nil {
		return nil, err
	}
	before := map[string]bool{}
	for _, session := range listed {
		before[session] = true
	}
	rest := heads[:0]
	for _, h := range heads {
		if !before[h.SessionID] {
			rest = append(rest, h)
		}
	}
	return rest, nil
}

func sessionIDs(heads []SessionHead) []string {
	list := make([]string, 0, len(heads))
	for _, h := range heads {
		list = append(list, h.SessionID)
	}
	return list
}

// SessionSum is one session's requests that the reader may see, in all.
type SessionSum struct {
	SessionID       string
	FirstAt, LastAt time.Time
	Requests        int64
	Agents          int64 // beside the main one
	Errors          int64
	Provisional     int64
	PromptTokens    int64
	OutputTokens    int64
	CacheReadTokens int64
	ChargePico      string // a whole number of pico-dollars: of the reader's shares alone
	Developers      int64
	DeveloperID     id.Developer // one of them
	Models          int64
	Model           string // one of them
}

// SessionSums sums sessions over what a reader may see: some subtrees' shares, or one
// developer's requests.
func (t *Tx) SessionSums(sessions []string, within []id.Node, developer id.Developer) ([]SessionSum, error) {
	rows := []SessionSum{}
	if len(sessions) == 0 {
		return rows, nil
	}
	query, args := sessionSumsQuery(t.Tenant, sessions, within, developer)
	err := t.scan("sum sessions", &rows, query, args...)
	return rows, err
}

func sessionSumsQuery(tenant id.Tenant, sessions []string, within []id.Node, developer id.Developer) (string, []any) {
	amount := "coalesce(a.charge_pico, u.charge_pico)"
	s := &statement{}
	if within != nil {
		amount = `case when (case when a.sequence is null then u.split else a.split end) is null then ` + amount + ` else (select coalesce(sum((part->>'amount_pico')::numeric), 0)
			from jsonb_array_elements(case when a.sequence is null then u.split else a.split end) part join placement p
			on p.tenant_id = ? and p.placement_id = right(part->>'placement', 32)::uuid and p.ancestor_ids && string_to_array(?, ',')::uuid[]) end`
		s.args = append(s.args, tenant, nodeList(within))
	}
	s.add(`select u.session_id, min(u.occurred_at) as first_at, max(u.occurred_at) as last_at, count(*) as requests, count(distinct u.agent_id) as agents,
		count(*) filter (where u.state = 'error') as errors, count(*) filter (where coalesce(a.state, u.state) not in ('error', 'complete')) as provisional,
		sum(u.input_tokens + u.cache_write_5m_tokens + u.cache_write_1h_tokens + u.cache_read_tokens)::bigint as prompt_tokens, sum(u.output_tokens)::bigint as output_tokens,
		sum(u.cache_read_tokens)::bigint as cache_read_tokens, sum(`+amount+`)::text as charge_pico,
		count(distinct u.developer_id) as developers, min(u.developer_id::text) as developer_id,
		count(distinct coalesce(u.model_served, u.model_requested)) as models, min(coalesce(u.model_served, u.model_requested)) as model
		from usage_event u `+latestAdjustment+` where u.tenant_id = ?`, tenant)
	s.and("u.session_id in ?", sessions)
	if within != nil {
		s.below(tenant, within)
	}
	if !developer.IsZero() {
		s.and("u.developer_id = ?", developer)
	}
	return s.text + " group by u.session_id", s.args
}

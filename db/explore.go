package db

import (
	"fmt"
	"strings"
	"time"

	"tollbook/app/id"
)

// Grouping is what exploring sums by, as the tables have it.
type Grouping string

// The groupings. A token class is none: every row has all classes side by side.
const (
	GroupNone      Grouping = ""
	GroupPlacement Grouping = "placement"
	GroupKey       Grouping = "key"
	GroupModel     Grouping = "model"
	GroupDeveloper Grouping = "developer"
	GroupTag       Grouping = "tag"
	GroupDay       Grouping = "day"
)

// Source is where sums come from.
type Source string

// The sources, from the cheapest to the dearest.
const (
	SourcePlacements Source = "placements" // the rollup by placement, key and model: no charge by class
	SourceDevelopers Source = "developers" // the rollup by placement and developer: charge, requests and all tokens together
	SourceRequests   Source = "requests"   // every request
)

// Exploring is what to sum and by what. From and To are UTC days; the filter's other
// fields narrow as they do in lists.
type Exploring struct {
	UsageFilter
	Source Source
	By     [2]Grouping
	Tag    string // the key, of GroupTag
	Limit  int    // of groups
}

// Explored is one group's sums; text of a group as the database has it, empty where
// there is none.
type Explored struct {
	A, B               string
	Requests           int64
	Errors             int64
	InputTokens        int64
	OutputTokens       int64
	CacheWrite5mTokens int64 `gorm:"column:cache_write_5m_tokens"`
	CacheWrite1hTokens int64 `gorm:"column:cache_write_1h_tokens"`
	CacheReadTokens    int64
	Tokens             int64 // of all classes
	ChargePico         string
	InputPico          string
	OutputPico         string
	CacheWrite5mPico   string `gorm:"column:cache_write_5m_pico"`
	CacheWrite1hPico   string `gorm:"column:cache_write_1h_pico"`
	CacheReadPico      string
}

// Explore sums what a filter keeps, by up to two groupings.
func (t *Tx) Explore(e Exploring) ([]Explored, error) {
	query, args := exploreQuery(t.Tenant, e)
	var rows []Explored
	err := t.scan("explore", &rows, query, args...)
	return rows, err
}

// ExploreSize counts the requests of some days that exploring them would read.
func (t *Tx) ExploreSize(e Exploring) (int64, error) {
	e.Source, e.By = SourcePlacements, [2]Grouping{}
	e.Developer, e.Undeclared, e.TagKey = id.Developer{}, false, ""
	rows, err := t.Explore(e)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return rows[0].Requests, nil
}

func exploreQuery(tenant id.Tenant, e Exploring) (string, []any) {
	if e.Source == SourceRequests {
		return e.fromRequests(tenant)
	}
	table, counts := "rollup_placement_day", `sum(r.errors)::bigint as errors, sum(r.input_tokens)::bigint as input_tokens, sum(r.output_tokens)::bigint as output_tokens,
		sum(r.cache_write_5m_tokens)::bigint as cache_write_5m_tokens, sum(r.cache_write_1h_tokens)::bigint as cache_write_1h_tokens, sum(r.cache_read_tokens)::bigint as cache_read_tokens,
		sum(r.input_tokens + r.output_tokens + r.cache_write_5m_tokens + r.cache_write_1h_tokens + r.cache_read_tokens)::bigint as tokens`
	if e.Source == SourceDevelopers {
		table, counts = "rollup_developer_day", `sum(r.tokens)::bigint as tokens`
	}
	column := func(g Grouping) string {
		switch g {
		case GroupPlacement:
			return "r.placement_id::text"
		case GroupKey:
			return "r.key_id::text"
		case GroupModel:
			return "r.model"
		case GroupDeveloper:
			return "r.developer_id::text"
		case GroupDay:
			return "r.day::text"
		case GroupNone, GroupTag:
		}
		return "''::text"
	}
	s := &statement{text: `select ` + column(e.By[0]) + ` as a, ` + column(e.By[1]) + ` as b, sum(r.requests)::bigint as requests, ` + counts + `, sum(r.charge_pico)::text as charge_pico
		from ` + table + ` r where r.tenant_id = ?`, args: []any{tenant}}
	s.and("r.day >= ?::date and r.day < ?::date", e.From.UTC().Format(time.DateOnly), e.To.UTC().Format(time.DateOnly))
	if !e.Key.IsZero() {
		s.and("r.key_id = ?", e.Key)
	}
	if e.Model != "" {
		s.and("r.model = ?", e.Model)
	}
	if !e.Developer.IsZero() {
		s.and("r.developer_id = ?", e.Developer)
	}
	for _, nodes := range e.subtrees() {
		s.and(`r.placement_id in (select placement_id from placement where tenant_id = ? and ancestor_ids && string_to_array(?, ',')::uuid[])`, tenant, nodeList(nodes))
	}
	s.add(" group by 1, 2 limit ?", e.Limit)
	return s.text, s.args
}

// placed tells whether a request has to be taken apart into its placements.
func (e *Exploring) placed() bool {
	return e.By[0] == GroupPlacement || e.By[1] == GroupPlacement || len(e.subtrees()) > 0
}

// fromRequests reads every request, and the parts of those that are split on their own.
func (e *Exploring) fromRequests(tenant id.Tenant) (string, []any) {
	inner := &statement{}
	e.part(tenant, inner, false)
	if e.placed() {
		inner.add(" union all ")
		e.part(tenant, inner, true)
	}
	inner.add(" union all ")
	e.adjusted(tenant, inner)
	var sums []string
	for _, class := range exploredClasses() {
		sums = append(sums, fmt.Sprintf("sum(%[1]s_tokens)::bigint as %[1]s_tokens, sum(%[1]s_pico)::text as %[1]s_pico", class))
	}
	text := `select a, b, sum(requests)::bigint as requests, sum(errors)::bigint as errors, ` + strings.Join(sums, ", ") + `, sum(tokens)::bigint as tokens, sum(charge_pico)::text as charge_pico
		from (` + inner.text + `) part group by 1, 2 limit ?`
	return text, append(inner.args, e.Limit)
}

func exploredClasses() []string {
	return []string{"input", "output", "cache_write_5m", "cache_write_1h", "cache_read"}
}

// part adds the reading of whole requests, or of the parts of split ones.
func (e *Exploring) part(tenant id.Tenant, s *statement, split bool) {
	place, count, of, amount := "u.placement_id", "1", func(column string) string { return "u." + column }, "u.charge_pico"
	if split {
		place, count, amount = "s.placement_id", "case when s.place = 1 then 1 else 0 end", "s.pico"
		of = func(column string) string { return "split_share(u." + column + ", u.split, s.place)" }
	}
	s.add("select ")
	for i, g := range e.By {
		e.grouped(s, g, place)
		s.add([]string{" as a, ", " as b, "}[i])
	}
	s.add(count + " as requests, case when u.state = 'error' then " + count + " else 0 end as errors")
	var all []string
	for _, class := range exploredClasses() {
		tokens := of(class + "_tokens")
		all = append(all, tokens)
		s.add(", " + tokens + " as " + class + "_tokens, " + of(class+"_charge_pico") + " as " + class + "_pico")
	}
	s.add(", " + strings.Join(all, " + ") + " as tokens, " + amount + " as charge_pico from usage_event u")
	if split {
		s.add(` cross join lateral (select right(p->>'placement', 32)::uuid as placement_id, (p->>'amount_pico')::numeric as pico, n as place
			from jsonb_array_elements(u.split) with ordinality as parts(p, n)) s`)
	}
	s.add(" where u.tenant_id = ?", tenant)
	f := e.UsageFilter
	f.Node, f.Within = id.Node{}, nil // a part is kept or not, rather than all of a request that has one
	f.narrow(tenant, s)
	for _, nodes := range e.subtrees() {
		s.and(place+` in (select placement_id from placement where tenant_id = ? and ancestor_ids && string_to_array(?, ',')::uuid[])`, tenant, nodeList(nodes))
	}
	switch {
	case split:
		s.and("u.split is not null")
	case e.placed():
		s.and("u.split is null")
	}
}

// adjusted adds what adjustments of the requests moved: what left, below zero, and what
// arrived.
func (e *Exploring) adjusted(tenant id.Tenant, s *statement) {
	s.add("select ")
	for i, g := range e.By {
		e.grouped(s, g, "l.placement_id")
		s.add([]string{" as a, ", " as b, "}[i])
	}
	s.add("l.requests, l.errors")
	var all []string
	for _, class := range exploredClasses() {
		all = append(all, "l."+class+"_tokens")
		s.add(", l." + class + "_tokens, l." + class + "_pico")
	}
	s.add(", "+strings.Join(all, " + ")+`, l.charge_pico from adjustment_line l
		join usage_event u on u.tenant_id = l.tenant_id and u.occurred_at = l.occurred_at and u.event_id = l.event_id where l.tenant_id = ?`, tenant)
	s.and("l.occurred_at >= ? and l.occurred_at < ?", e.From, e.To)
	f := e.UsageFilter
	f.Node, f.Within = id.Node{}, nil
	f.narrow(tenant, s)
	for _, nodes := range e.subtrees() {
		s.and(`l.placement_id in (select placement_id from placement where tenant_id = ? and ancestor_ids && string_to_array(?, ',')::uuid[])`, tenant, nodeList(nodes))
	}
}

func (e *Exploring) grouped(s *statement, g Grouping, place string) {
	switch g {
	case GroupPlacement:
		s.add(place + "::text")
	case GroupKey:
		s.add("u.key_id::text")
	case GroupModel:
		s.add("coalesce(u.model_served, u.model_requested)")
	case GroupDeveloper:
		s.add("coalesce(u.developer_id::text, '')")
	case GroupTag:
		s.add("coalesce(u.tags ->> ?, '')", e.Tag)
	case GroupDay:
		s.add("(u.occurred_at at time zone 'UTC')::date::text")
	case GroupNone:
		s.add("''::text")
	}
}

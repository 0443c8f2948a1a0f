package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

// MaxRetag bounds the requests that one change charges elsewhere.
const MaxRetag = 10_000

// maxNamedRequests is how many requests a change's payload names one by one.
const maxNamedRequests = 100

func (a *Adjustments) govern() {
	a.changes.govern(changeRetag, governed{
		checks: "finance", floor: approval.FloorSecond, revisable: true, lock: (*db.Tx).LockAdjustments, draft: a.draftRetag, apply: a.applyRetag, impact: a.retagImpact,
		months: retagMonths,
	})
	a.changes.govern(changeTrueUp, governed{
		checks: "finance", floor: approval.FloorSecond, lock: lockTrueUp, draft: a.draftTrueUp, apply: a.applyTrueUp, impact: a.trueUpImpact, months: trueUpMonths,
	})
}

// RetagFilter chooses requests as a list of them does; what is empty does not narrow.
type RetagFilter struct {
	From      time.Time `json:"from,omitzero"`
	To        time.Time `json:"to,omitzero"`
	Node      string    `json:"node,omitempty"`
	Key       id.Key    `json:"key,omitzero"`
	Developer string    `json:"developer,omitempty"`
	Model     string    `json:"model,omitempty"`
	Session   string    `json:"session,omitempty"`
	State     string    `json:"state,omitempty"`
	Tag       string    `json:"tag,omitempty"` // name or name=value
	Rule      string    `json:"rule,omitempty"`
	Min       string    `json:"min,omitempty"` // US dollars
	Max       string    `json:"max,omitempty"`
}

// RetagFilterOf is the filter of a list of requests as a proposal says it.
func RetagFilterOf(f RequestFilter) RetagFilter {
	out := RetagFilter{From: f.From, To: f.To, Node: f.NodeCode, Key: f.Key, Developer: f.Developer, Model: f.Model, Session: f.Session, State: f.State, Tag: f.TagKey, Rule: f.Rule}
	if f.TagValue != "" {
		out.Tag += "=" + f.TagValue
	}
	if f.Min != nil {
		out.Min = f.Min.String()
	}
	if f.Max != nil {
		out.Max = f.Max.String()
	}
	return out
}

func (f *RetagFilter) requests() (RequestFilter, error) {
	out := RequestFilter{
		From: f.From.UTC(), To: f.To.UTC(), NodeCode: f.Node, Key: f.Key, Developer: f.Developer, Model: f.Model, Session: f.Session, State: f.State, Rule: f.Rule,
	}
	out.TagKey, out.TagValue, _ = strings.Cut(f.Tag, "=")
	for _, bound := range []struct {
		name, text string
		into       **money.Pico
	}{{"min", f.Min, &out.Min}, {"max", f.Max, &out.Max}} {
		if bound.text == "" {
			continue
		}
		pico, err := money.ParsePico(bound.text)
		if err != nil {
			return out, fault.Invalid(bound.name, "amount_syntax", "A charge is US dollars, such as 0.25; %.40q is not.", bound.text)
		}
		*bound.into = &pico
	}
	return out, nil
}

// Retag is what a maker sends: some requests, a filter that keeps them, or the list of
// another change, and where they are charged from then on.
type Retag struct {
	Requests []id.Event   `json:"requests,omitempty"`
	Filter   *RetagFilter `json:"filter,omitempty"`
	Listed   string       `json:"requests_sha256,omitempty"` // the digest of a list that a change named before
	// Seen is the digest of the requests that the maker looked at, where a filter chose them:
	// if others have come since, nothing is proposed.
	Seen string             `json:"seen_sha256,omitempty"`
	To   []attribution.Part `json:"to"`
}

// AskRetag is the proposal to charge requests elsewhere.
func AskRetag(r *Retag, reason string) Ask { return ask(changeRetag, reason, r) }

// retagPayload is what a change of this kind says: the requests themselves, one by one or by
// the digest of their list.
type retagPayload struct {
	Requests []id.Event `json:"requests,omitempty"`
	Document string     `json:"requests_sha256"`
	Count    int        `json:"count"`
	Charge   string     `json:"charge"` // US dollars, of all of them
	Periods  []string   `json:"periods"`
	First    time.Time  `json:"first"`
	Last     time.Time  `json:"last"`
	// Moves is how often they had been moved before, in all: once that is another number,
	// what was looked at is not what there is.
	Moves int64       `json:"moves"`
	To    []retagPart `json:"to"`
}

// retagMonths are the months that requests lie in which a change charges elsewhere.
func retagMonths(_ *db.Tx, c approval.Change) ([]period.Month, error) {
	var said retagPayload
	if err := stored(c, &said); err != nil {
		return nil, err
	}
	return period.ParseMonths(said.Periods)
}

type retagPart struct {
	Node id.Node `json:"node"`
	Code string  `json:"code"`
	PPM  int64   `json:"ppm"`
}

var (
	errRetagDate = fault.Invalid("effective_from", "retag_dated", "Requests are charged elsewhere when it is decided, from their own time on: leave the date out.")
	errRetagWhat = fault.Invalid("requests", "retag_requests", "Name 1 to %d requests, or a filter that keeps as many.", MaxRetag)
	errRetagMany = fault.Invalid("filter", "retag_many", "More than %d requests match. Narrow the filter, by days for example, and propose the rest as another change.", MaxRetag)
	errRetagSame = fault.Invalid("to", "retag_same", "They are charged there already.")
	errRetagSeen = fault.Invalid("requests", "retag_seen", "Other requests match now than when you looked. Look at them again.")
	errRetagPart = fault.New(fault.KindForbidden, "retag_part", "Some of these requests are charged, in part, to nodes beyond yours. Somebody who sees all of it has to propose this.")
	errRetagOver = fault.New(fault.KindConflict, "requests_moved", "Some of these requests were charged elsewhere since this was proposed. Look at them and propose it again.")
	errSelection = fault.New(fault.KindConflict, "digest_changed", "The requests are not those that were proposed; propose it again.")
)

// draftRetag makes a proposal of what a maker sent.
func (a *Adjustments) draftRetag(tx *db.Tx, who Actor, payload []byte, from time.Time) (draft, error) {
	var asked Retag
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	if !from.IsZero() {
		return draft{}, errRetagDate
	}
	if err := attribution.CheckParts(asked.To); err != nil {
		return draft{}, err
	}
	scope := a.access.Scope(who, "retag", "propose")
	to, err := a.target(tx, asked.To, scope)
	if err != nil {
		return draft{}, err
	}
	chosen, err := a.chosen(tx, who, &asked, scope)
	if err != nil {
		return draft{}, err
	}
	said, document, err := chosen.payload(to)
	if err != nil {
		return draft{}, err
	}
	if asked.Seen != "" && asked.Seen != said.Document {
		return draft{}, errRetagSeen
	}
	list, _, err := chosen.restated(tx, to)
	if err != nil {
		return draft{}, err
	}
	if len(list) == 0 {
		return draft{}, errRetagSame
	}
	return draft{payload: said, store: func(*db.Tx, approval.Change) error { return nil }}, tx.AddRequestSelection(document)
}

// target names the nodes of parts as they are now, as far as a maker may propose for.
func (a *Adjustments) target(tx *db.Tx, parts []attribution.Part, scope []id.Node) ([]retagPart, error) {
	tree, err := treeAt(tx, tx.Now)
	if err != nil {
		return nil, err
	}
	to := make([]retagPart, 0, len(parts))
	for i, p := range parts {
		at := fmt.Sprintf("to[%d]", i)
		v, there := tree.Node(p.Node)
		name := p.Node.String()
		if p.Code != "" {
			v, there = tree.Code(p.Code)
			name = p.Code
		}
		if !there || (scope != nil && !slices.ContainsFunc(scope, func(root id.Node) bool { return tree.Within(v.Node, root) })) {
			return nil, fault.Invalid(at, "node_absent", "No node has the code or id %.60q.", name)
		}
		if slices.ContainsFunc(to, func(q retagPart) bool { return q.Node == v.Node }) {
			return nil, fault.Invalid(at, "parts_twice", "One node is named twice.")
		}
		to = append(to, retagPart{Node: v.Node, Code: v.Code, PPM: p.PPM})
	}
	return to, nil
}

// selection is requests that a change is about, as they lie now.
type selection struct {
	rows   []db.LyingRow
	places map[id.Placement]placed
}

// chosen reads the requests that a maker names, all of which the maker may see.
func (a *Adjustments) chosen(tx *db.Tx, who Actor, asked *Retag, scope []id.Node) (*selection, error) {
	events, err := a.named(tx, who, asked)
	if err != nil {
		return nil, err
	}
	s, err := selected(tx, events)
	if err != nil {
		return nil, err
	}
	within := a.access.Scope(who, "usage", "read")
	for i := range s.rows {
		seen, whole, err := s.lies(&s.rows[i], within, scope)
		switch {
		case err != nil:
			return nil, err
		case !seen:
			return nil, requestAbsent(s.rows[i].EventID)
		case !whole:
			return nil, errRetagPart
		}
	}
	return s, openBooks(tx, s.rows)
}

// named lists the ids of what a maker names, in one of three ways.
func (a *Adjustments) named(tx *db.Tx, who Actor, asked *Retag) ([]id.Event, error) {
	ways := 0
	for _, used := range []bool{len(asked.Requests) > 0, asked.Filter != nil, asked.Listed != ""} {
		if used {
			ways++
		}
	}
	switch {
	case ways != 1, len(asked.Requests) > MaxRetag:
		return nil, errRetagWhat
	case asked.Listed != "":
		return listed(tx, asked.Listed)
	case asked.Filter == nil:
		return asked.Requests, nil
	}
	filter, err := asked.Filter.requests()
	if err != nil {
		return nil, err
	}
	events, err := a.reports.matching(tx, who, filter, MaxRetag+1)
	switch {
	case err != nil:
		return nil, err
	case len(events) > MaxRetag:
		return nil, errRetagMany
	case len(events) == 0:
		return nil, fault.Invalid("filter", "retag_none", "No request matches.")
	}
	return events, nil
}

// listed reads a list of requests by its digest.
func listed(tx *db.Tx, digest string) ([]id.Event, error) {
	named, err := hex.DecodeString(digest)
	if err != nil || len(named) != sha256.Size {
		return nil, errSelection
	}
	document, err := tx.RequestSelection([sha256.Size]byte(named))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(document); !bytes.Equal(sum[:], named) {
		return nil, errSelection
	}
	var events []id.Event
	if err := json.Unmarshal(document, &events); err != nil {
		return nil, fmt.Errorf("read requests %s: %w", digest, err)
	}
	return events, nil
}

func requestAbsent(event id.Event) error {
	return fault.Invalid("requests", "request_absent", "There is no request %s.", event)
}

// selected reads requests as they lie now.
func selected(tx *db.Tx, events []id.Event) (*selection, error) {
	events = slices.Clone(events)
	slices.SortFunc(events, func(a, b id.Event) int { return strings.Compare(a.UUID(), b.UUID()) })
	events = slices.Compact(events)
	rows, err := tx.LyingUsage(events)
	if err != nil {
		return nil, err
	}
	there := make(map[id.Event]bool, len(rows))
	for i := range rows {
		there[rows[i].EventID] = true
	}
	for _, e := range events {
		if !there[e] {
			return nil, requestAbsent(e)
		}
	}
	places, err := placements(tx)
	return &selection{rows: rows, places: places}, err
}

// lies says whether any part of a request lies in what a reader sees, and whether all of it
// lies in what a maker may propose for; nil is everything.
func (s *selection) lies(row *db.LyingRow, within, scope []id.Node) (seen, whole bool, err error) {
	lying, err := row.Lying()
	if err != nil {
		return false, false, err
	}
	whole = true
	for _, share := range lying.Shares {
		at := s.places[share.Placement]
		seen = seen || within == nil || at.below(within)
		whole = whole && (scope == nil || at.below(scope))
	}
	return seen, whole, nil
}

// payload is what a change says of the requests, and the list that its digest stands for.
func (s *selection) payload(to []retagPart) (retagPayload, []byte, error) {
	said := retagPayload{Count: len(s.rows), To: to, First: s.rows[0].OccurredAt.UTC(), Last: s.rows[len(s.rows)-1].OccurredAt.UTC()}
	var charge money.Sum
	events := make([]id.Event, 0, len(s.rows))
	for i := range s.rows {
		r := &s.rows[i]
		events = append(events, r.EventID)
		charge.Add(money.Pico(r.ChargePico))
		said.Moves += r.Moves
		if month := period.MonthOf(r.PostingPeriod).String(); !slices.Contains(said.Periods, month) {
			said.Periods = append(said.Periods, month)
		}
	}
	slices.Sort(said.Periods)
	said.Charge = charge.String()
	document, err := json.Marshal(events)
	if err != nil {
		return said, nil, fmt.Errorf("encode requests: %w", err)
	}
	digest := sha256.Sum256(document)
	said.Document = hex.EncodeToString(digest[:])
	if len(events) <= maxNamedRequests {
		said.Requests = events
	}
	return said, document, nil
}

// restated is what has to be posted so that the requests lie where parts say, at the nodes
// as they were at each request's time, and where that is. What lies there already is left out.
func (s *selection) restated(tx *db.Tx, to []retagPart) ([]db.Adjusted, map[id.Placement]hierarchy.Placement, error) {
	trees, err := forestSince(tx, s.rows[0].OccurredAt.UTC())
	if err != nil {
		return nil, nil, err
	}
	parts := make([]attribution.Part, 0, len(to))
	for _, p := range to {
		parts = append(parts, attribution.Part{Node: p.Node, PPM: p.PPM})
	}
	shares := map[time.Time][]usage.Share{}
	made := map[id.Placement]hierarchy.Placement{}
	var list []db.Adjusted
	for i := range s.rows {
		row := &s.rows[i]
		turned := trees.turned(row.OccurredAt.UTC())
		if shares[turned] == nil {
			tree, err := trees.at(turned)
			if err != nil {
				return nil, nil, err
			}
			for _, p := range to {
				if _, there := tree.Node(p.Node); !there {
					return nil, nil, notYetThere(p.Code, row.OccurredAt)
				}
			}
			placed, places, err := attribution.PlaceParts(tree, parts)
			if err != nil {
				return nil, nil, err
			}
			shares[turned] = placed
			for _, p := range places {
				made[p.ID] = p
			}
		}
		was, err := row.Lying()
		if err != nil {
			return nil, nil, err
		}
		now := attribution.Lying{Measured: was.Measured, Shares: shares[turned]}
		lines, err := attribution.Restate(&was, &now)
		if err != nil {
			return nil, nil, fmt.Errorf("restate %s: %w", row.EventID, err)
		}
		if len(lines) > 0 {
			list = append(list, db.Adjusted{Was: row, Now: now, Lines: lines})
		}
	}
	return list, made, nil
}

func notYetThere(code string, at time.Time) error {
	return fault.Invalid("to", "node_not_then", "%s was not there at %s, when one of these requests began. Choose a node that was, or leave out what is from before it.",
		code, at.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// proposedRetag reads what a change says, and its requests as they lie now.
func proposedRetag(tx *db.Tx, c *approval.Change) (retagPayload, *selection, error) {
	var said retagPayload
	if err := stored(*c, &said); err != nil {
		return said, nil, err
	}
	events, err := listed(tx, said.Document)
	if err != nil {
		return said, nil, err
	}
	s, err := selected(tx, events)
	return said, s, err
}

// applyRetag posts what an approved change moves. Requests that another change moved since
// are not what its approver looked at: it is refused. A price that was settled since goes
// along, as it is then.
func (a *Adjustments) applyRetag(tx *db.Tx, c approval.Change) error {
	said, s, err := proposedRetag(tx, &c)
	if err != nil {
		return err
	}
	if err := openBooks(tx, s.rows); err != nil {
		return err
	}
	if s.moves() != said.Moves {
		return errRetagOver
	}
	list, places, err := s.restated(tx, said.To)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errRetagOver
	}
	if err := internAll(tx, places); err != nil {
		return err
	}
	return a.post(tx, db.AdjustRetag, c.ID, list)
}

func (s *selection) moves() int64 {
	var moves int64
	for i := range s.rows {
		moves += s.rows[i].Moves
	}
	return moves
}

// internAll stores placements, in one order for every writer.
func internAll(tx *db.Tx, places map[id.Placement]hierarchy.Placement) error {
	list := make([]hierarchy.Placement, 0, len(places))
	for _, p := range places {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b hierarchy.Placement) int { return strings.Compare(a.ID.UUID(), b.ID.UUID()) })
	return tx.AddPlacements(list)
}

// retagImpact is what leaves each node and what arrives, of these very requests.
func (a *Adjustments) retagImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	said, s, err := proposedRetag(tx, &c)
	if err != nil {
		return approval.Impact{}, err
	}
	list, made, err := s.restated(tx, said.To)
	if err != nil {
		return approval.Impact{}, err
	}
	out := approval.Impact{Month: said.Periods[len(said.Periods)-1], Exact: true}
	nodes := map[id.Node]*approval.NodeImpact{}
	keys := map[id.Key]bool{}
	for i := range list {
		one := &list[i]
		keys[one.Was.KeyID] = true
		out.Moved.Add(elsewhere(one.Lines))
		for j := range one.Lines {
			s.weigh(&out, nodes, made, &one.Lines[j])
		}
	}
	out.Keys = len(keys)
	for _, n := range nodes {
		out.Touches = append(out.Touches, n.Node)
		if n.Before.Cmp(&n.After) != 0 {
			out.Nodes = append(out.Nodes, *n)
		}
	}
	slices.SortFunc(out.Touches, func(a, b id.Node) int { return strings.Compare(a.UUID(), b.UUID()) })
	slices.SortFunc(out.Nodes, func(a, b approval.NodeImpact) int {
		return strings.Compare(a.Path+"\x00"+a.Node.UUID(), b.Path+"\x00"+b.Node.UUID())
	})
	out.Sentence = said.sentence(len(list), &out.Moved)
	if out.Beside, err = besides(tx, &c); err == nil && out.Beside.Sign() != 0 {
		out.Sentence += fmt.Sprintf(" Other re-tags of the same maker move $%s within %d days, which count with it for a policy.", out.Beside.Display(), besideDays)
	}
	return out, err
}

// elsewhere is how much of a request lands where it was not.
func elsewhere(lines []attribution.Portion) money.Pico {
	var sum money.Pico
	net := map[id.Placement]money.Pico{}
	for i := range lines {
		net[lines[i].Placement] += lines[i].Charge
	}
	for _, charge := range net {
		sum += max(charge, 0)
	}
	return sum
}

// weigh adds what a line moves to its node, and to what is capitalized or expensed.
func (s *selection) weigh(out *approval.Impact, nodes map[id.Node]*approval.NodeImpact, made map[id.Placement]hierarchy.Placement, line *attribution.Portion) {
	at, known := s.places[line.Placement]
	if !known { // it is interned when the change is applied
		p := made[line.Placement]
		at = placed{node: p.Node, code: p.Path[len(p.Path)-1], path: strings.Join(p.Path, hierarchy.PathSeparator), treatment: p.Capitalization}
	}
	n := nodes[at.node]
	if n == nil {
		n = &approval.NodeImpact{Node: at.node, Code: at.code, Path: at.path}
		nodes[at.node] = n
	}
	swing := &out.Expensed
	if at.treatment == hierarchy.Capitalize {
		swing = &out.Capitalized
	}
	if line.Requests < 0 || line.Charge < 0 {
		n.Before.Add(-line.Charge)
		swing.Before.Add(-line.Charge)
		return
	}
	n.After.Add(line.Charge)
	swing.After.Add(line.Charge)
}

func (p *retagPayload) sentence(moving int, moved *money.Sum) string {
	to := make([]string, 0, len(p.To))
	for _, part := range p.To {
		text := part.Code
		if len(p.To) > 1 {
			text += " " + percentOf(part.PPM)
		}
		to = append(to, text)
	}
	noun := "requests"
	if moving == 1 {
		noun = "request"
	}
	text := fmt.Sprintf("%d %s of %s, $%s, to be charged to %s.", moving, noun, strings.Join(p.Periods, ", "), moved.Display(), strings.Join(to, ", "))
	if stay := p.Count - moving; stay > 0 {
		text += fmt.Sprintf(" Another %d are charged there already.", stay)
	}
	return text + " No plan moves along; caps and the requests themselves stay as they are."
}

// percentOf prints parts per million as a percentage, without zeros at its end.
func percentOf(ppm int64) string {
	text := fmt.Sprintf("%d.%04d", ppm/10_000, ppm%10_000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + "%"
}

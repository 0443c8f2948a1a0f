package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/pricing"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
)

// Reports is the area of reading: requests, chargeback.
type Reports struct {
	db     *db.DB
	access *Access
	labels *Labels
}

// NewReports makes the area.
func NewReports(d *db.DB, access *Access, ring *secret.Keyring) *Reports {
	return &Reports{db: d, access: access, labels: NewLabels(ring)}
}

// MaxRows bounds every list.
const MaxRows = 500

// Words a filter knows beside labels and states.
const (
	Undeclared  = "undeclared"  // developer: requests that named none
	Provisional = "provisional" // state: whatever may still change
	Dearest     = "dearest"     // order: the highest charge first; what costs nothing is left out
)

// readLimit ends what a reader asks for without knowing what it takes (DESIGN 10).
const readLimit = 3 * time.Second

// RequestFilter narrows a list of requests; zero fields do not narrow.
type RequestFilter struct {
	From, To  time.Time // half-open, UTC
	NodeCode  string    // and everything below it
	Key       id.Key
	Developer string // a declared label, a developer's id, or Undeclared
	Model     string // as served, or as requested where nothing was served
	Session   string
	RequestID string // the upstream's
	Event     id.Event
	State     string      // one of usage's states, or Provisional
	TagKey    string      // requests with this tag
	TagValue  string      // of TagKey; empty: any
	Rule      string      // as rows name what decided, such as rule:ci
	Min, Max  *money.Pico // of the charge, both included
	Order     string      // newest first, or Dearest
	Cursor    string      // from the page before
	Limit     int         // at most MaxRows; 0 means 100
}

// Allocation is one node's share of a request.
type Allocation struct {
	Node      id.Node
	Code      string
	Path      string
	Placement id.Placement
	PPM       int64
	Amount    money.Pico
}

// ClassAdjustment is the line of a charge that a settled price adds.
const ClassAdjustment = "price_adjustment"

// Adjusted is what changed where a request is charged, or for how much.
type Adjusted struct {
	Times  int    // how often; this is the last
	Kind   string // of db's kinds: retag, move or price
	Change id.Change
	Number int64 // of the change
	At     time.Time
	Reason string // of the change, where it is told
	Delta  money.Pico
}

// ClassCharge is one line of a request's charge.
type ClassCharge struct {
	Class    string
	Quantity int64
	Rate     money.Pico
	Amount   money.Pico
}

// Request is one stored request with its whole story, but never content.
type Request struct {
	ID                id.Event
	RequestID         string
	MessageID         string
	SessionID         string
	AgentID           string
	ParentAgentID     string
	Class             string // what Claude Code said the request is for: main, subagent, auxiliary, compaction
	OccurredAt        time.Time
	RecordedAt        time.Time
	State             string
	HTTPStatus        int
	ModelRequested    string
	ModelServed       string
	Allocations       []Allocation // where it is charged now
	Recorded          []Allocation // where it was recorded, if adjustments changed that; else nil
	Adjusted          *Adjusted    // its latest adjustment; nil: none
	Key               id.Key
	KeyLabel          string
	Developer         string // the label, or empty when undeclared or erased
	DeveloperID       id.Developer
	DeveloperVerified bool
	Tokens            usage.Tokens
	Charges           []ClassCharge
	Rates             pricing.Rates
	DiscountBps       int64
	Batch             id.Batch
	Posting           period.Month
	Amount            money.Pico // as adjusted
	RecordedAmount    money.Pico // as recorded, where it was adjusted
	List              money.Pico
	PriceVersion      int
	Rule              string
	RuleVersion       int64     // of the company's rules that were asked; 0 for none
	Change            id.Change // what put it there; zero where not known
	Snapshot          int64
	Tags              map[string]string
	Flags             []string
}

// RequestPage is one page of requests, newest first.
type RequestPage struct {
	Rows []Request
	Next string // empty on the last page
}

// Requests lists requests the actor may see.
func (r *Reports) Requests(ctx context.Context, who Actor, f RequestFilter) (RequestPage, error) {
	filter, err := r.filter(who, f)
	if err != nil {
		return RequestPage{}, err
	}
	var page RequestPage
	err = r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := r.complete(tx, f, &filter); err != nil {
			return err
		}
		rows, err := tx.Usage(filter)
		if err != nil {
			return err
		}
		if len(rows) == filter.Limit {
			rows = rows[:filter.Limit-1]
			page.Next = cursorAfter(&rows[len(rows)-1], filter.Order)
		}
		page.Rows, err = r.requests(tx, rows, filter.Within)
		return err
	})
	return page, err
}

// matching lists the ids of requests that a filter keeps and the actor may see, newest
// first: at most so many.
func (r *Reports) matching(tx *db.Tx, who Actor, f RequestFilter, limit int) ([]id.Event, error) {
	filter, err := r.filter(who, f)
	if err != nil {
		return nil, err
	}
	if err := r.complete(tx, f, &filter); err != nil {
		return nil, err
	}
	filter.Limit = limit
	return tx.UsageIDs(filter)
}

// complete reads what a filter names: a developer, a node.
func (r *Reports) complete(tx *db.Tx, f RequestFilter, out *db.UsageFilter) error {
	if err := tx.LimitStatements(readLimit); err != nil {
		return err
	}
	if err := r.narrow(tx, f, out); err != nil {
		return err
	}
	var err error
	if f.NodeCode != "" {
		out.Node, err = findNode(tx, f.NodeCode, out.Within)
	}
	return err
}

// requests shapes rows, each with the shares that the reader may see.
func (r *Reports) requests(tx *db.Tx, rows []db.UsageRow, within []id.Node) ([]Request, error) {
	places, err := placements(tx)
	if err != nil {
		return nil, err
	}
	list := make([]Request, 0, len(rows))
	for i := range rows {
		one, err := r.request(&rows[i], places)
		if err != nil {
			return nil, err
		}
		if within != nil {
			// Who sees a request for its share of it does not see whose the rest is.
			hidden := func(a Allocation) bool { return !places[a.Placement].below(within) }
			one.Allocations, one.Recorded = slices.DeleteFunc(one.Allocations, hidden), slices.DeleteFunc(one.Recorded, hidden)
		}
		list = append(list, one)
	}
	return list, nil
}

// below tells whether a placement lies in one of the subtrees.
func (p placed) below(nodes []id.Node) bool {
	return slices.ContainsFunc(p.ancestors, func(n id.Node) bool { return slices.Contains(nodes, n) })
}

// cursorAfter is what the next page begins behind.
func cursorAfter(last *db.UsageRow, order db.Order) string {
	text := last.OccurredAt.UTC().Format(time.RFC3339Nano) + "_" + last.EventID.String()
	if order == db.OrderDearest {
		text = strconv.FormatInt(last.ChargePico, 10) + "_" + text
	}
	return text
}

func readCursor(text string, out *db.UsageFilter) error {
	if text == "" {
		return nil
	}
	var err error
	if out.Order == db.OrderDearest {
		amount, rest, _ := strings.Cut(text, "_")
		if out.BeforePico, err = strconv.ParseInt(amount, 10, 64); err != nil {
			return errCursor
		}
		text = rest
	}
	at, event, ok := strings.Cut(text, "_")
	if out.BeforeAt, err = time.Parse(time.RFC3339Nano, at); err != nil || !ok {
		return errCursor
	}
	if out.BeforeID, err = id.ParseEvent(event); err != nil || out.BeforeID.IsZero() {
		return errCursor
	}
	return nil
}

// findNode accepts a code or an id; "not yours" and "not there" look the same.
func findNode(tx *db.Tx, text string, scope []id.Node) (id.Node, error) {
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return id.Node{}, err
	}
	v, ok := tree.Code(text)
	if node, err := id.ParseNode(text); err == nil && !ok {
		v, ok = tree.Node(node)
	}
	if ok && (scope == nil || visible(tree, v.Node, scope)) {
		return v.Node, nil
	}
	return id.Node{}, fault.Invalid("node", "node_absent", "No node has the code or id %.60q.", text)
}

func (r *Reports) filter(who Actor, f RequestFilter) (db.UsageFilter, error) {
	out := db.UsageFilter{
		From: f.From, To: f.To, Key: f.Key, Session: f.Session, RequestID: f.RequestID, Event: f.Event, Model: f.Model, TagKey: f.TagKey, TagValue: f.TagValue, Rule: f.Rule, Limit: f.Limit,
	}
	switch {
	case r.access.Check(who, "usage", "read") == nil:
		out.Within = r.access.Scope(who, "usage", "read")
	case r.access.Check(who, "usage", "read_own") == nil:
		out.Developer = who.Developer
		if out.Developer.IsZero() {
			out.Within = []id.Node{} // nobody's requests are theirs
		}
	default:
		return out, ErrNotAllowed
	}
	if out.Limit <= 0 {
		out.Limit = 100
	}
	out.Limit = min(out.Limit, MaxRows) + 1 // one more tells whether there is a next page
	states := []string{"complete", "incomplete", "estimated", "unpriced", "error", "open"}
	switch {
	case f.State == Provisional:
		out.States = []string{"incomplete", "estimated", "unpriced", "open"}
	case slices.Contains(states, f.State):
		out.States = []string{f.State}
	case f.State != "":
		return out, fault.Invalid("state", "state_unknown", "A state is complete, incomplete, estimated, unpriced, error or open; provisional is all that may still change.")
	}
	switch f.Order {
	case "":
	case Dearest:
		out.Order = db.OrderDearest
	default:
		return out, fault.Invalid("sort", "order_unknown", "Requests are sorted newest first, or dearest first.")
	}
	for _, bound := range []struct {
		from *money.Pico
		to   **int64
	}{{f.Min, &out.MinPico}, {f.Max, &out.MaxPico}} {
		if bound.from != nil {
			pico := int64(*bound.from)
			*bound.to = &pico
		}
	}
	if out.MinPico != nil && out.MaxPico != nil && *out.MinPico > *out.MaxPico {
		return out, fault.Invalid("max", "range_empty", "The highest charge must not be below the lowest.")
	}
	return out, readCursor(f.Cursor, &out)
}

// narrow takes the developer a filter names: a declared label's id is the tenant's secret.
func (r *Reports) narrow(tx *db.Tx, f RequestFilter, out *db.UsageFilter) error {
	switch f.Developer {
	case "":
		return nil
	case Undeclared:
		out.Undeclared = true
		return nil
	}
	developer, err := id.ParseDeveloper(f.Developer)
	if err != nil {
		known, err := r.labels.pseudonyms(tx)
		if err != nil {
			return err
		}
		developer = known.Developer(f.Developer)
	}
	if !out.Developer.IsZero() && out.Developer != developer {
		return ErrNotAllowed
	}
	out.Developer = developer
	return nil
}

var errCursor = fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")

func (r *Reports) request(row *db.UsageRow, places map[id.Placement]placed) (Request, error) {
	one := Request{
		ID: row.EventID, RequestID: deref(row.RequestID), MessageID: deref(row.MessageID), SessionID: deref(row.SessionID), AgentID: deref(row.AgentID),
		ParentAgentID: deref(row.ParentAgentID), Class: deref(row.RequestClass), DiscountBps: row.DiscountBps, Batch: row.BatchID, Posting: period.MonthOf(row.PostingPeriod),
		OccurredAt: row.OccurredAt.UTC(), RecordedAt: row.RecordedAt.UTC(), State: row.State, HTTPStatus: row.HTTPStatus,
		ModelRequested: row.ModelRequested, ModelServed: deref(row.ModelServed), Key: row.KeyID, KeyLabel: row.KeyLabel,
		DeveloperID: row.DeveloperID, DeveloperVerified: row.DeveloperVerified,
		Tokens: usage.Tokens{row.InputTokens, row.OutputTokens, row.CacheWrite5mTokens, row.CacheWrite1hTokens, row.CacheReadTokens},
		Amount: money.Pico(row.ChargePico), List: money.Pico(row.ListPico), PriceVersion: row.PriceVersion,
		Rule: row.AttributionRule, Change: row.AttributionChangeID, Snapshot: row.AttributionSnapshot,
	}
	if row.RuleVersion != nil {
		one.RuleVersion = *row.RuleVersion
	}
	if len(row.LabelSealed) > 0 {
		one.Developer = r.labels.Open(row.DeveloperID, row.LabelSealed)
	}
	if row.Flags != nil && *row.Flags != "" {
		one.Flags = strings.Split(*row.Flags, "\x1f")
	}
	for class, rate := range [...]int64{row.InputRate, row.OutputRate, row.CacheWrite5mRate, row.CacheWrite1hRate, row.CacheReadRate} {
		one.Rates[class] = money.Pico(rate)
	}
	amounts := [...]int64{row.InputCharge, row.OutputCharge, row.CacheWrite5mCharge, row.CacheWrite1hCharge, row.CacheReadCharge}
	for class := range usage.ClassCount {
		one.Charges = append(one.Charges, ClassCharge{Class: class.String(), Quantity: one.Tokens[class], Rate: one.Rates[class], Amount: money.Pico(amounts[class])})
	}
	if row.Lines != nil {
		var lines []pricing.Line
		if err := json.Unmarshal([]byte(*row.Lines), &lines); err != nil {
			return one, fmt.Errorf("read charge lines of %s: %w", one.ID, err)
		}
		for _, l := range lines {
			one.Charges = append(one.Charges, ClassCharge{Class: l.Class, Quantity: l.Quantity, Rate: l.Rate, Amount: l.Amount})
		}
	}
	if row.Tags != nil {
		if err := json.Unmarshal([]byte(*row.Tags), &one.Tags); err != nil {
			return one, fmt.Errorf("read tags of %s: %w", one.ID, err)
		}
	}
	var err error
	if one.Allocations, err = allocations(row.EventID, row.PlacementID, row.Split, one.Amount, places); err != nil {
		return one, err
	}
	if row.AdjustedSequence == 0 {
		return one, nil
	}
	one.Recorded, one.RecordedAmount = one.Allocations, one.Amount
	one.Amount, one.State = money.Pico(row.AdjustedChargePico), row.AdjustedState
	if one.Amount != one.RecordedAmount { // so that the lines come to the charge
		one.Charges = append(one.Charges, ClassCharge{Class: ClassAdjustment, Amount: one.Amount - one.RecordedAmount})
	}
	one.Adjusted = &Adjusted{Times: row.AdjustedSequence, Kind: row.AdjustedKind, Change: row.AdjustedChangeID, Number: row.AdjustedNumber, At: orZero(row.AdjustedAt)}
	one.Allocations, err = allocations(row.EventID, row.AdjustedPlacementID, row.AdjustedSplit, one.Amount, places)
	return one, err
}

// allocations reads where a request lies: at one placement, or split among several.
func allocations(event id.Event, placement id.Placement, split *string, amount money.Pico, places map[id.Placement]placed) ([]Allocation, error) {
	parts := []db.Part{{Placement: placement, PPM: usage.Whole, Amount: amount}}
	if split != nil {
		parts = nil
		if err := json.Unmarshal([]byte(*split), &parts); err != nil {
			return nil, fmt.Errorf("read split of %s: %w", event, err)
		}
	}
	list := make([]Allocation, 0, len(parts))
	for _, p := range parts {
		at := places[p.Placement]
		list = append(list, Allocation{Node: at.node, Code: at.code, Path: at.path, Placement: p.Placement, PPM: p.PPM, Amount: p.Amount})
	}
	return list, nil
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// placed is a placement as reports need it.
type placed struct {
	node      id.Node
	ancestors []id.Node
	code      string
	path      string
	treatment hierarchy.Capitalization
}

func placements(tx *db.Tx) (map[id.Placement]placed, error) {
	rows, err := tx.Placements()
	if err != nil {
		return nil, err
	}
	places := make(map[id.Placement]placed, len(rows))
	for _, r := range rows {
		p := placed{node: r.NodeID, path: r.Path, treatment: hierarchy.Capitalization(r.Capitalization)}
		codes := strings.Split(r.Path, hierarchy.PathSeparator)
		p.code = codes[len(codes)-1]
		for text := range strings.SplitSeq(r.Ancestors, ",") {
			node, err := id.ParseNode(text)
			if err != nil {
				return nil, fmt.Errorf("read placement %s: %w", r.PlacementID, err)
			}
			p.ancestors = append(p.ancestors, node)
		}
		places[r.PlacementID] = p
	}
	return places, nil
}

// ModelServedOrAsked is the model that is charged: as served, or as requested where
// nothing was served.
func (r *Request) ModelServedOrAsked() string {
	if r.ModelServed != "" {
		return r.ModelServed
	}
	return r.ModelRequested
}

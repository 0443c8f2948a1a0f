package api

import (
	"fmt"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/usage"
)

// Usage is one request, metered and priced; never its content.
type Usage struct {
	ID             string            `json:"id"`
	RequestID      *string           `json:"request_id" doc:"The provider's; null while open."`
	MessageID      *string           `json:"message_id"`
	SessionID      *string           `json:"session_id"`
	AgentID        *string           `json:"agent_id"`
	OccurredAt     Instant           `json:"occurred_at"`
	RecordedAt     Instant           `json:"recorded_at"`
	State          string            `json:"state" enum:"complete,incomplete,estimated,unpriced,error,open"`
	HTTPStatus     int               `json:"http_status"`
	ModelRequested string            `json:"model_requested"`
	ModelServed    *string           `json:"model_served"`
	Node           *UsageNode        `json:"node" doc:"Null when the request is split among several; see allocations."`
	Allocations    []Allocation      `json:"allocations" doc:"Where it is charged, with every adjustment."`
	Recorded       []Allocation      `json:"recorded_allocations" doc:"Where it was recorded, if adjustments changed that; else empty."`
	Adjusted       *UsageAdjusted    `json:"adjusted" doc:"Its latest adjustment; null where there is none."`
	Key            UsageKey          `json:"key"`
	Developer      *Developer        `json:"developer" doc:"Null when none was declared."`
	Tokens         Tokens            `json:"tokens"`
	Charges        []Charge          `json:"charges"`
	Amount         string            `json:"amount" format:"decimal" doc:"US dollars, twelve decimals, after discount."`
	ListAmount     string            `json:"list_amount" format:"decimal" doc:"Before discount."`
	PriceVersion   int               `json:"price_version"`
	Attribution    Attribution       `json:"attribution"`
	Tags           map[string]string `json:"tags"`
	Flags          []string          `json:"flags" doc:"Why a price or a count is not final, and what was odd."`
}

// UsageNode is where a request is charged.
type UsageNode struct {
	Code string `json:"code"`
	Path string `json:"path"`
}

// Allocation is one node's share of a request.
type Allocation struct {
	Node      string `json:"node" doc:"A node's code."`
	Placement string `json:"placement" doc:"The node, its ancestors and its treatment as they were."`
	Share     string `json:"share" format:"decimal" doc:"Six decimals; the shares of a request sum to 1."`
	Amount    string `json:"amount" format:"decimal"`
}

// UsageAdjusted is what changed where a request is charged, or for how much.
type UsageAdjusted struct {
	Kind     string  `json:"kind" enum:"retag,move,price"`
	Change   string  `json:"change" doc:"The change that posted it: /changes/{id}."`
	Times    int     `json:"times" doc:"How often it was adjusted; this is the last."`
	PostedAt Instant `json:"posted_at"`
}

// UsageKey is the virtual key that was presented.
type UsageKey struct {
	ID    string `json:"id"`
	Label string `json:"label"`
}

// Developer is who asked, as far as it is known.
type Developer struct {
	Value    string `json:"value" doc:"The declared label; the opaque id once it was erased."`
	Verified bool   `json:"verified"`
}

// Tokens counts by class.
type Tokens struct {
	Input        int64 `json:"input" doc:"Uncached input only."`
	Output       int64 `json:"output"`
	CacheWrite5m int64 `json:"cache_write_5m"`
	CacheWrite1h int64 `json:"cache_write_1h"`
	CacheRead    int64 `json:"cache_read"`
}

// Charge is one line of what a request costs.
type Charge struct {
	Class    string `json:"class" doc:"A token class, a server tool, a billed step; price_adjustment for what a settled price adds to the rest."`
	Quantity int64  `json:"quantity"`
	RatePico int64  `json:"rate_pico" doc:"Pico-dollars (1e-12 USD) for one."`
	Amount   string `json:"amount" format:"decimal"`
}

// Attribution says what decided.
type Attribution struct {
	Rule     string  `json:"rule" doc:"rule:code of the company's attribution rules; key, project or suspense where none fired."`
	Version  *int64  `json:"version" doc:"Of the rules that were asked; null where there were none."`
	Change   *string `json:"change" doc:"What put it there: it applied the rule, or gave the key its cost center. Null where not known, and where a person chose by signing in."`
	Snapshot int64   `json:"snapshot" doc:"The number of the configuration it was decided on."`
}

// UsageQuery narrows requests.
type UsageQuery struct {
	From      Instant `query:"from" doc:"Inclusive."`
	To        Instant `query:"to" doc:"Exclusive."`
	Node      string  `query:"node" doc:"A node's code or id; everything below it counts."`
	Key       id.Key  `query:"key"`
	Developer string  `query:"developer" doc:"A declared label, a developer's id, or undeclared."`
	Session   string  `query:"session"`
	RequestID string  `query:"request_id"`
	Model     string  `query:"model"`
	State     string  `query:"state" enum:"complete,incomplete,estimated,unpriced,error,open,provisional"`
	Limit     Limit   `query:"limit"`
	Cursor    string  `query:"cursor"`
}

func (a *API) listUsage(c *call, q UsageQuery) (Page[Usage], error) {
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To.Time) {
		return Page[Usage]{}, fault.Invalid("to", "range_empty", "to must be after from; from is inclusive, to exclusive.")
	}
	list, err := a.areas.Reports.Requests(c.Request().Context(), c.who, app.RequestFilter{
		From: q.From.Time, To: q.To.Time, NodeCode: q.Node, Key: q.Key, Developer: q.Developer, Session: q.Session, RequestID: q.RequestID,
		Model: q.Model, State: q.State, Cursor: q.Cursor, Limit: q.Limit.rows(),
	})
	if err != nil {
		return Page[Usage]{}, err
	}
	rows := make([]Usage, 0, len(list.Rows))
	var total money.Sum
	for i := range list.Rows {
		rows = append(rows, usageOf(&list.Rows[i]))
		total.Add(list.Rows[i].Amount)
	}
	c.control("amount_usd", &total)
	return page(rows, list.Next), nil
}

func usageOf(r *app.Request) Usage {
	u := Usage{
		ID: r.ID.String(), RequestID: textOrNil(r.RequestID), MessageID: textOrNil(r.MessageID), SessionID: textOrNil(r.SessionID), AgentID: textOrNil(r.AgentID),
		OccurredAt: Instant{r.OccurredAt}, RecordedAt: Instant{r.RecordedAt}, State: r.State, HTTPStatus: r.HTTPStatus,
		ModelRequested: r.ModelRequested, ModelServed: textOrNil(r.ModelServed), Key: UsageKey{ID: r.Key.String(), Label: r.KeyLabel},
		Tokens: Tokens{
			Input: r.Tokens[usage.ClassInput], Output: r.Tokens[usage.ClassOutput], CacheWrite5m: r.Tokens[usage.ClassCacheWrite5m],
			CacheWrite1h: r.Tokens[usage.ClassCacheWrite1h], CacheRead: r.Tokens[usage.ClassCacheRead],
		},
		Charges: []Charge{}, Amount: r.Amount.String(), ListAmount: r.List.String(), PriceVersion: r.PriceVersion,
		Attribution: Attribution{Rule: r.Rule, Change: textOrNil(r.Change.String()), Snapshot: r.Snapshot}, Tags: r.Tags, Flags: r.Flags, Allocations: []Allocation{}, Recorded: []Allocation{},
	}
	if r.RuleVersion > 0 {
		u.Attribution.Version = &r.RuleVersion
	}
	if u.Tags == nil {
		u.Tags = map[string]string{}
	}
	if u.Flags == nil {
		u.Flags = []string{}
	}
	if !r.DeveloperID.IsZero() {
		u.Developer = &Developer{Value: r.Developer, Verified: r.DeveloperVerified}
		if r.Developer == "" {
			u.Developer.Value = r.DeveloperID.String()
		}
	}
	u.Allocations = append(u.Allocations, allocationsOf(r.Allocations)...)
	if a := r.Adjusted; a != nil {
		u.Recorded = append(u.Recorded, allocationsOf(r.Recorded)...)
		u.Adjusted = &UsageAdjusted{Kind: a.Kind, Change: a.Change.String(), Times: a.Times, PostedAt: Instant{a.At}}
	}
	if len(r.Allocations) == 1 {
		u.Node = &UsageNode{Code: r.Allocations[0].Code, Path: r.Allocations[0].Path}
	}
	for _, l := range r.Charges {
		u.Charges = append(u.Charges, Charge{Class: l.Class, Quantity: l.Quantity, RatePico: int64(l.Rate), Amount: l.Amount.String()})
	}
	return u
}

func allocationsOf(parts []app.Allocation) []Allocation {
	var list []Allocation
	for _, p := range parts {
		list = append(list, Allocation{Node: p.Code, Placement: p.Placement.String(), Share: share(p.PPM), Amount: p.Amount.String()})
	}
	return list
}

// share prints parts per million as a decimal.
func share(ppm int64) string { return fmt.Sprintf("%d.%06d", ppm/usage.Whole, ppm%usage.Whole) }

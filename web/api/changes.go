package api

import (
	"encoding/hex"
	"encoding/json"
	"strconv"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
)

// Change is a proposal and where it stands. Deciding is not done here: only a person in
// a session decides.
type Change struct {
	ID            string          `json:"id"`
	Number        int64           `json:"number" doc:"What people call it: change 214."`
	Kind          string          `json:"kind"`
	State         string          `json:"state" enum:"proposed,approved,rejected,applied"`
	Digest        string          `json:"digest" doc:"SHA-256 over kind, payload, effective date and reason: what a decision is about."`
	Payload       json.RawMessage `json:"payload" doc:"Canonical: sorted members, digests in place of documents."`
	EffectiveFrom Instant         `json:"effective_from"`
	Reason        string          `json:"reason"`
	Maker         string          `json:"maker" doc:"The opaque id of who proposed it; system for Tollbook itself."`
	ProposedAt    Instant         `json:"proposed_at"`
	Decider       *string         `json:"decider" doc:"Null while nobody decided."`
	DecidedAt     *Instant        `json:"decided_at"`
	Basis         *string         `json:"basis" doc:"Whether a second person decided, the only one who may, or the maker took it back."`
	VerdictReason *string         `json:"verdict_reason"`
	Impact        *string         `json:"impact" doc:"What it would do, in a sentence; only in the answer to a proposal."`
}

// ChangesQuery pages through changes.
type ChangesQuery struct {
	State  string `query:"state" enum:"proposed,approved,rejected,applied" doc:"Only those in this state."`
	Limit  Limit  `query:"limit"`
	Cursor string `query:"cursor"`
}

func (a *API) listChanges(c *call, q ChangesQuery) (Page[Change], error) {
	var below int64
	if q.Cursor != "" {
		var err error
		if below, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil || below < 1 {
			return Page[Change]{}, fault.Invalid("cursor", "cursor_syntax", "The cursor is not one this list gave out. Start without it.")
		}
	}
	list, err := a.areas.Approvals.List(c.Request().Context(), c.who, approval.State(q.State), below, q.Limit.rows())
	if err != nil {
		return Page[Change]{}, err
	}
	rows := make([]Change, 0, len(list.Rows))
	for i := range list.Rows {
		rows = append(rows, changeOf(&list.Rows[i]))
	}
	next := ""
	if list.Next > 0 {
		next = strconv.FormatInt(list.Next, 10)
	}
	return page(rows, next), nil
}

func changeOf(v *app.ChangeView) Change {
	out := Change{
		ID: v.ID.String(), Number: v.Number, Kind: v.Kind, State: string(v.State), Digest: hex.EncodeToString(v.Digest[:]), Payload: v.Payload,
		EffectiveFrom: Instant{v.EffectiveFrom}, Reason: v.Reason, Maker: v.Maker, ProposedAt: Instant{v.ProposedAt},
		Decider: textOrNil(v.Decider), Basis: textOrNil(string(v.Basis)), VerdictReason: textOrNil(v.VerdictReason), Impact: textOrNil(v.Impact.Sentence),
	}
	if !v.Open() {
		out.DecidedAt = instantOrNil(v.MovedAt)
	}
	return out
}

// NewChange proposes a change.
type NewChange struct {
	Kind          string          `json:"kind" doc:"prices, node or rules."`
	Payload       json.RawMessage `json:"payload" doc:"Of prices: {\"document\":\"a whole price book\"} or {\"discount_bps\":1234}. Of node: NodesPayload. Of rules: RulesPayload."`
	EffectiveFrom *Instant        `json:"effective_from,omitempty" doc:"A discount's first UTC day. Unless given: of a price book the first difference, of nodes when decided, of rules now; nodes not in the past, rules not before today."`
	Reason        string          `json:"reason" doc:"Recorded with the change."`
}

func (a *API) proposeChange(c *call, _ NoQuery, want NewChange) (Change, error) {
	ask := app.Ask{Kind: want.Kind, Payload: want.Payload, Reason: want.Reason}
	if want.EffectiveFrom != nil {
		ask.EffectiveFrom = want.EffectiveFrom.Time
	}
	made, err := a.areas.Approvals.Propose(c.Request().Context(), c.who, ask, c.Request().Header.Get("Idempotency-Key"))
	if err != nil {
		return Change{}, err
	}
	return changeOf(&made), nil
}

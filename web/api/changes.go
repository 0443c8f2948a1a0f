package api

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strconv"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// Change is a proposal and where it stands. Deciding is not done here: only a person in
// a session decides.
type Change struct {
	ID            string          `json:"id"`
	Number        int64           `json:"number" doc:"What people call it: change 214."`
	Kind          string          `json:"kind"`
	State         string          `json:"state" enum:"proposed,approved,rejected,applied,expired"`
	Digest        string          `json:"digest" doc:"SHA-256 over kind, payload, effective date, reason and attachments: what a decision is about."`
	Payload       json.RawMessage `json:"payload" doc:"Canonical: sorted members, digests in place of documents."`
	EffectiveFrom Instant         `json:"effective_from"`
	Reason        string          `json:"reason"`
	Maker         string          `json:"maker" doc:"The opaque id of who proposed it; system for Tollbook itself."`
	ProposedAt    Instant         `json:"proposed_at"`
	Decider       *string         `json:"decider" doc:"Null while nobody decided."`
	DecidedAt     *Instant        `json:"decided_at"`
	Basis         *string         `json:"basis" doc:"Whether a second person decided, the only one who may, the maker took it back, or nobody did in time."`
	VerdictReason *string         `json:"verdict_reason"`
	Impact        *string         `json:"impact" doc:"What it would do, in a sentence."`
	Revision      int             `json:"revision" doc:"1 for what was proposed, then counting edits; an edit is another digest, and voids approvals."`
	ExpiresAt     *Instant        `json:"expires_at" doc:"When it expires if nobody decides; null for never."`
	Policy        ChangePolicy    `json:"policy"`
	Moved         *ChangeMoved    `json:"moved" doc:"What it moves in dollars, replayed on a month that is over; null where no charge moves."`
}

// ChangePolicy is the policy a change is held to, as it was when it was proposed or edited.
type ChangePolicy struct {
	Code    string `json:"code" doc:"default where no policy of the company's fits."`
	Version *int   `json:"version" doc:"Of the company's policies; null for the default."`
}

// ChangeMoved is what a change moves.
type ChangeMoved struct {
	Month       string      `json:"month" doc:"YYYY-MM: its charges were placed again as if the change had been in effect."`
	Amount      string      `json:"amount" doc:"The charge that lands somewhere else, counted once."`
	Capitalized ChangeSwing `json:"capitalized"`
	Expensed    ChangeSwing `json:"expensed"`
	PlanMoved   string      `json:"plan_moved" doc:"The approved plan of the year that moves along."`
	Keys        int         `json:"keys" doc:"Virtual keys it touches."`
	Rules       int         `json:"rules" doc:"Attribution rules it touches."`
}

// ChangeSwing is a charge before and after.
type ChangeSwing struct {
	Before string `json:"before"`
	After  string `json:"after"`
}

// ChangeNode is one node's own charge before and after.
type ChangeNode struct {
	Code   string `json:"code"`
	Path   string `json:"path"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// ChangeStep is one step of the policy.
type ChangeStep struct {
	Name   string       `json:"name"`
	Quorum int          `json:"quorum" doc:"How many persons."`
	Open   bool         `json:"open" doc:"It needs more approvals."`
	Turn   bool         `json:"turn" doc:"It is decided now."`
	Asked  []string     `json:"asked" doc:"The ids of the members who may decide it and did not yet."`
	Votes  []ChangeVote `json:"votes"`
}

// ChangeVote is one approval.
type ChangeVote struct {
	Decider   string  `json:"decider"`
	For       *string `json:"for" doc:"Whom they stood in for; null for themselves."`
	Reason    string  `json:"reason"`
	Basis     string  `json:"basis"`
	DecidedAt Instant `json:"decided_at"`
}

// ChangeRemark is something said about a change, or done about its waiting.
type ChangeRemark struct {
	Kind       string  `json:"kind" enum:"comment,question,reminder,escalation"`
	By         *string `json:"by" doc:"Null for Tollbook itself."`
	Body       string  `json:"body"`
	RecordedAt Instant `json:"recorded_at"`
}

// ChangeFile is a file that belongs to a change. Its bytes are on the page of the change.
type ChangeFile struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// ChangeCase is one change with all it takes to decide about it.
type ChangeCase struct {
	Change

	ImpactByNode []ChangeNode   `json:"impact_by_node"`
	Steps        []ChangeStep   `json:"steps"`
	VoidVotes    []ChangeVote   `json:"void_votes" doc:"Approvals that do not count: of an earlier content, or of who cannot sign in now."`
	Remarks      []ChangeRemark `json:"remarks"`
	Attachments  []ChangeFile   `json:"attachments"`
}

// ChangePath names a change.
type ChangePath struct {
	ID id.Change `path:"id"`
}

// ChangesQuery pages through changes.
type ChangesQuery struct {
	State  string `query:"state" enum:"proposed,approved,rejected,applied,expired" doc:"Only those in this state."`
	Kind   string `query:"kind" doc:"Only those of this kind."`
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
	list, err := a.areas.Approvals.Find(c.Request().Context(), c.who, app.ChangeQuery{State: approval.State(q.State), Kind: q.Kind, Below: below, Limit: q.Limit.rows()})
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

func (a *API) showChange(c *call, q ChangePath) (ChangeCase, error) {
	shown, err := a.areas.Approvals.Case(c.Request().Context(), c.who, q.ID)
	if err != nil {
		return ChangeCase{}, err
	}
	return caseOf(&shown), nil
}

// listed is one row: the change itself.
func (c ChangeCase) listed() (columns []string, rows int, more bool) {
	return members(reflect.TypeFor[ChangeCase]()), 1, false
}

func caseOf(c *app.CaseView) ChangeCase {
	out := ChangeCase{Change: changeOf(&c.ChangeView), ImpactByNode: []ChangeNode{}, Steps: []ChangeStep{}, VoidVotes: votesOf(c.Void), Remarks: []ChangeRemark{}, Attachments: []ChangeFile{}}
	for i := range c.Impact.Nodes {
		n := &c.Impact.Nodes[i]
		out.ImpactByNode = append(out.ImpactByNode, ChangeNode{Code: n.Code, Path: n.Path, Before: n.Before.String(), After: n.After.String()})
	}
	for i := range c.Steps {
		s := &c.Steps[i]
		step := ChangeStep{Name: s.Name, Quorum: s.Quorum, Open: s.Open, Turn: s.Turn, Asked: []string{}, Votes: votesOf(s.Votes)}
		for _, h := range s.Asked {
			step.Asked = append(step.Asked, h.Member.String())
		}
		out.Steps = append(out.Steps, step)
	}
	for _, r := range c.Remarks {
		out.Remarks = append(out.Remarks, ChangeRemark{Kind: r.Kind, By: memberOrNil(r.Who.Member), Body: r.Body, RecordedAt: Instant{r.RecordedAt}})
	}
	for i := range c.Attachments {
		f := &c.Attachments[i]
		out.Attachments = append(out.Attachments, ChangeFile{ID: f.ID.String(), Name: f.Name, Bytes: f.Bytes, SHA256: f.SHA256})
	}
	return out
}

func votesOf(list []app.VoteView) []ChangeVote {
	votes := make([]ChangeVote, 0, len(list))
	for i := range list {
		v := &list[i]
		votes = append(votes, ChangeVote{Decider: v.Who.Member.String(), For: memberOrNil(v.For.Member), Reason: v.Reason, Basis: string(v.Basis), DecidedAt: Instant{v.DecidedAt}})
	}
	return votes
}

func memberOrNil(m id.Member) *string {
	if m.IsZero() {
		return nil
	}
	return textOrNil(m.String())
}

func changeOf(v *app.ChangeView) Change {
	out := Change{
		ID: v.ID.String(), Number: v.Number, Kind: v.Kind, State: string(v.State), Digest: hex.EncodeToString(v.Digest[:]), Payload: v.Payload,
		EffectiveFrom: Instant{v.EffectiveFrom}, Reason: v.Reason, Maker: v.Maker, ProposedAt: Instant{v.ProposedAt},
		Decider: textOrNil(v.Decider), Basis: textOrNil(string(v.Basis)), VerdictReason: textOrNil(v.VerdictReason), Impact: textOrNil(v.Impact.Sentence),
		Revision: v.Revision, Policy: ChangePolicy{Code: v.Terms.Policy.Code}, Moved: movedOf(&v.Impact),
	}
	if !v.Open() {
		out.DecidedAt = instantOrNil(v.MovedAt)
	}
	if !v.Terms.ExpiresAt.IsZero() {
		out.ExpiresAt = instantOrNil(v.Terms.ExpiresAt)
	}
	if v.Terms.Version > 0 {
		out.Policy.Version = &v.Terms.Version
	}
	return out
}

func movedOf(i *approval.Impact) *ChangeMoved {
	if i.Month == "" {
		return nil
	}
	return &ChangeMoved{
		Month: i.Month, Amount: i.Moved.String(), Capitalized: swingOf(&i.Capitalized), Expensed: swingOf(&i.Expensed), PlanMoved: i.PlanMovedCents.String(), Keys: i.Keys, Rules: i.Rules,
	}
}

func swingOf(s *approval.Swing) ChangeSwing {
	return ChangeSwing{Before: s.Before.String(), After: s.After.String()}
}

// NewChange proposes a change.
type NewChange struct {
	Kind          string          `json:"kind" doc:"Such as prices, node, rules, plan, retag, true_up, books, invoice, allocation, sharing, tolerance, account_mapping, period_close, policies. An unknown one is refused with all there are."`
	Payload       json.RawMessage `json:"payload" doc:"Of prices: {\"document\":\"text\"} or {\"discount_bps\":1234}. Of policies: Policies. Of others the schema with the kind in its name: NodesPayload, PeriodPayload, AccountMappingPayload."`
	EffectiveFrom *Instant        `json:"effective_from,omitempty" doc:"A discount's first UTC day. Unless given: of a price book the first difference, of rules now, of others when decided; none in the past."`
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

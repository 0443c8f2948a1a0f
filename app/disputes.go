package app

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tollbook/app/approval"
	"tollbook/app/attribution"
	"tollbook/app/dispute"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

// Disputes is the area of charges that an owner says are another's.
type Disputes struct {
	db        *db.DB
	access    *Access
	changes   *Changes
	approvals *Approvals
	adjusts   *Adjustments
	members   *Members
}

// NewDisputes makes the area; adjusts reads what a re-tag would move, and approvals takes the
// change that moves it.
func NewDisputes(d *db.DB, access *Access, changes *Changes, approvals *Approvals, adjusts *Adjustments, members *Members) *Disputes {
	return &Disputes{db: d, access: access, changes: changes, approvals: approvals, adjusts: adjusts, members: members}
}

// The refusals.
var (
	ErrDisputeAbsent  = fault.New(fault.KindNotFound, "dispute_absent", "There is no such dispute, or it is not yours to see.")
	errDisputeNode    = fault.Invalid("node", "node_absent", "No node of yours has that code.")
	errDisputeTo      = fault.Invalid("to", "node_absent", "No node that charges could go to has that code.")
	errDisputeOwn     = fault.Invalid("to", "dispute_own", "Both nodes are yours: propose to re-tag the requests instead.")
	errDisputeMonth   = fault.Invalid("requests", "dispute_month", "Some of these requests are in the books of another month. Dispute those there.")
	errDisputeOutside = fault.Invalid("requests", "dispute_outside", "Some of these requests are not charged to that node.")
	errDisputeTwice   = fault.New(fault.KindConflict, "dispute_twice", "These very charges are disputed already.")
	errNotReceiver    = fault.New(fault.KindForbidden, "dispute_not_receiver", "The owner of the proposed node answers, and nobody else.")
)

// NewDispute is charges that somebody disputes: those of a node and all below it in a month,
// narrowed or not, or some of its requests one by one.
type NewDispute struct {
	Month    period.Month
	Node     string // a code
	Key      id.Key
	Model    string
	Tag      string // name or name=value
	Session  string
	Requests []id.Event // instead of all that the rest keeps
	To       string     // the code of the node they should be charged to
	Reason   string
	Seen     string // the digest of the requests that were looked at
}

// narrowed is what is kept of how they were chosen.
func (n *NewDispute) narrowed() RetagFilter {
	return RetagFilter{From: n.Month.Start(), To: n.Month.End(), Node: n.Node, Key: n.Key, Model: n.Model, Tag: n.Tag, Session: n.Session}
}

func (n *NewDispute) retag() Retag {
	if len(n.Requests) > 0 {
		return Retag{Requests: n.Requests}
	}
	filter := n.narrowed()
	return Retag{Filter: &filter}
}

// DisputeLook is charges before they are disputed, as they lie now.
type DisputeLook struct {
	RetagLook

	Moves   int       // of the requests, with a part that is elsewhere than proposed
	Amount  money.Sum // that would move; of all of them before a node is proposed
	Answers string    // who would be asked; empty: finance
}

// chosenCharges is what a dispute is about.
type chosenCharges struct {
	node, to hierarchy.Version
	chosen   *selection
	said     retagPayload
	document []byte
	moves    int
	amount   money.Sum
}

// choose reads the charges that a maker names, all of which have to be the maker's to re-tag.
func (d *Disputes) choose(tx *db.Tx, who Actor, n *NewDispute) (*chosenCharges, error) {
	tree, err := treeAt(tx, tx.Now)
	if err != nil {
		return nil, err
	}
	scope := d.access.Scope(who, "dispute", "propose")
	c := &chosenCharges{}
	var there bool
	if c.node, there = tree.Code(n.Node); !there || (scope != nil && !visible(tree, c.node.Node, scope)) {
		return nil, errDisputeNode
	}
	asked := n.retag()
	if c.chosen, err = d.adjusts.chosen(tx, who, &asked, scope); err != nil {
		return nil, err
	}
	for i := range c.chosen.rows {
		row := &c.chosen.rows[i]
		if period.MonthOf(row.PostingPeriod) != n.Month {
			return nil, errDisputeMonth
		}
		if charged, _, err := c.chosen.lies(row, []id.Node{c.node.Node}, nil); err != nil || !charged {
			if err == nil {
				err = errDisputeOutside
			}
			return nil, err
		}
	}
	if c.said, c.document, err = c.chosen.payload(nil); err != nil || n.To == "" {
		return c, err
	}
	return c, c.propose(tx, tree, n.To, scope)
}

// propose works out what would move to a node.
func (c *chosenCharges) propose(tx *db.Tx, tree *hierarchy.Tree, to string, scope []id.Node) error {
	var there bool
	if c.to, there = tree.Code(to); !there || c.to.Code == hierarchy.SuspenseCode || c.to.Node == c.node.Node {
		return errDisputeTo
	}
	if tree.Within(c.to.Node, c.node.Node) || (scope != nil && visible(tree, c.to.Node, scope)) {
		return errDisputeOwn
	}
	list, _, err := c.chosen.restated(tx, []retagPart{{Node: c.to.Node, Code: c.to.Code, PPM: usage.Whole}})
	if err != nil {
		return err
	}
	for i := range list {
		c.amount.Add(elsewhere(list[i].Lines))
	}
	if c.moves = len(list); c.moves == 0 {
		return errRetagSame
	}
	return nil
}

// Look reads charges that somebody may dispute. It changes nothing.
func (d *Disputes) Look(ctx context.Context, who Actor, n NewDispute) (DisputeLook, error) {
	var look DisputeLook
	if err := d.mayTake(who, changeDispute); err != nil {
		return look, err
	}
	err := d.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error { // holds the month, as raising does
		c, err := d.choose(tx, who, &n)
		if err != nil {
			return err
		}
		look = DisputeLook{RetagLook: RetagLook{Count: c.said.Count, First: c.said.First, Last: c.said.Last, Digest: c.said.Document, Periods: []period.Month{n.Month}}, Moves: c.moves}
		if err := c.chosen.sources(&look.RetagLook); err != nil {
			return err
		}
		look.Amount.AddSum(&look.Charge)
		if n.To == "" {
			return errPreview
		}
		look.Amount = c.amount
		answers, err := d.answerer(tx, c.to.Node)
		if err != nil {
			return err
		}
		if !answers.IsZero() {
			hands, err := d.members.hands(tx, []string{answers.String()})
			if err != nil {
				return err
			}
			look.Answers = hands[answers.String()].Name
		}
		return errPreview // so that nothing of it stays
	})
	return look, previewed(err)
}

func (d *Disputes) answerer(tx *db.Tx, node id.Node) (id.Member, error) {
	owners, err := readAnswerers(tx, d.access, "dispute")
	if err != nil {
		return id.Member{}, err
	}
	return owners.of(owners.tree, node), nil
}

// Raise disputes charges, and asks the owner of the proposed node.
func (d *Disputes) Raise(ctx context.Context, who Actor, n NewDispute) (id.Dispute, error) {
	var made id.Dispute
	if err := d.mayTake(who, changeDispute); err != nil {
		return made, err
	}
	reason := dispute.Text(n.Reason)
	err := d.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		step := &dispute.Step{Kind: dispute.Raised, Person: who.Person, Note: reason, At: tx.Now}
		stands, err := dispute.Raise(step)
		if err != nil {
			return err
		}
		if n.To == "" {
			return errDisputeTo
		}
		if err := tx.LockDisputes(); err != nil {
			return err
		}
		c, err := d.choose(tx, who, &n)
		if err != nil {
			return err
		}
		if n.Seen != "" && n.Seen != c.said.Document {
			return errRetagSeen
		}
		if err := alreadyDisputed(tx, n.Month, c.said.Document); err != nil {
			return err
		}
		made = id.NewDispute(tx.Now)
		return d.raise(tx, who, &n, c, made, &stands, reason)
	})
	return made, err
}

const maxStanding = 1000

// alreadyDisputed refuses to dispute the very same charges twice at once.
func alreadyDisputed(tx *db.Tx, m period.Month, digest string) error {
	rows, err := tx.Disputes(&db.DisputeFilter{Month: m, State: "standing", Limit: maxStanding})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(rows, func(r db.DisputeRow) bool { return hex.EncodeToString(r.RequestsSHA256) == digest }) {
		return errDisputeTwice
	}
	return nil
}

func (d *Disputes) raise(tx *db.Tx, who Actor, n *NewDispute, c *chosenCharges, made id.Dispute, stands *dispute.Standing, reason string) error {
	if err := tx.AddRequestSelection(c.document); err != nil {
		return err
	}
	answerer, err := d.answerer(tx, c.to.Node)
	if err != nil {
		return err
	}
	narrowed, err := json.Marshal(n.narrowed())
	if err != nil {
		return fmt.Errorf("encode how charges were chosen: %w", err)
	}
	if len(n.Requests) > 0 {
		narrowed = []byte(`{}`)
	}
	digest, err := hex.DecodeString(c.said.Document)
	if err != nil {
		return fmt.Errorf("read digest of requests: %w", err)
	}
	row := &db.DisputeRow{
		DisputeID: made, Month: n.Month.Start(), NodeID: c.node.Node, ToNodeID: c.to.Node, Narrowed: string(narrowed), RequestsSHA256: digest, Requests: c.moves, AmountPico: c.amount.Digits(), Reason: reason,
		Actor: who.ID(), PersonID: who.Person, MemberID: who.Member,
	}
	to := []string{}
	if !answerer.IsZero() {
		row.AnswererMemberID = &answerer
		to = append(to, answerer.String())
	}
	if row.Number, err = tx.Counter("dispute"); err != nil {
		return err
	}
	payload := map[string]any{
		"dispute": made.String(), "number": row.Number, "step": string(dispute.Raised), "month": n.Month.String(), "node": c.node.Node.String(), "code": c.node.Code, "proposed_node": c.to.Node.String(),
		"proposed_code": c.to.Code, "requests": c.moves, "requests_sha256": c.said.Document, "amount_pico": c.amount.Digits(), "to": to,
	}
	_, err = d.changes.change(tx, who, proposal{kind: changeDispute, payload: payload, reason: reason}, func(ch approval.Change) error {
		row.ChangeID = ch.ID
		if err := tx.AddDispute(row); err != nil {
			return err
		}
		return tx.AddDisputeStep(made, &db.DisputeStepRow{
			Place: stands.Steps, Kind: string(dispute.Raised), State: string(stands.State), Actor: who.ID(), PersonID: who.Person, Note: reason, AmountPico: row.AmountPico, ChangeID: ch.ID,
		})
	})
	return err
}

// mayTake refuses who may not take a step: it is a person's word.
func (d *Disputes) mayTake(who Actor, kind string) error {
	if err := d.changes.allowed(who, kind); err != nil {
		return err
	}
	if who.Kind != ActorPerson {
		return ErrNoPerson
	}
	return d.access.Check(who, "dispute", "read")
}

// Answer is what the owner of the proposed node says, or who raised the dispute and takes it
// back: accepted, declined or withdrawn, with why.
func (d *Disputes) Answer(ctx context.Context, who Actor, of id.Dispute, kind dispute.Kind, note string) error {
	if err := d.mayTake(who, changeDisputeAnswer); err != nil {
		return err
	}
	if kind != dispute.Accepted && kind != dispute.Declined && kind != dispute.Withdrawn {
		return dispute.ErrStep
	}
	return d.take(ctx, who, of, changeDisputeAnswer, &dispute.Step{Kind: kind, Person: who.Person, Note: dispute.Text(note)}, func(tx *db.Tx, row *db.DisputeRow) (*approval.Change, error) {
		if kind == dispute.Withdrawn {
			return nil, nil //nolint:nilnil // it has no change of its own
		}
		receives, err := d.receives(tx, who, row)
		if err == nil && !receives {
			err = errNotReceiver
		}
		return nil, err
	})
}

// receives tells whether an actor answers for the node that charges would go to.
func (d *Disputes) receives(tx *db.Tx, who Actor, row *db.DisputeRow) (bool, error) {
	if row.AnswererMemberID != nil && *row.AnswererMemberID == who.Member {
		return true, nil
	}
	scope := d.access.Scope(who, "dispute", "propose")
	if scope == nil {
		return false, nil // finance decides, and answers in nobody's place
	}
	tree, err := treeAt(tx, tx.Now)
	return err == nil && visible(tree, row.ToNodeID, scope), err
}

// Decide is what finance says: it proposes the change that moves the charges, which somebody
// else decides about, or it decides that they stay, with why. The proposal needs the right to
// propose re-tags.
func (d *Disputes) Decide(ctx context.Context, who Actor, of id.Dispute, kind dispute.Kind, note string) error {
	if err := d.mayTake(who, changeDisputeReview); err != nil {
		return err
	}
	if kind != dispute.Proposed && kind != dispute.Kept {
		return dispute.ErrStep
	}
	text := dispute.Text(note)
	return d.take(ctx, who, of, changeDisputeReview, &dispute.Step{Kind: kind, Person: who.Person, Note: text}, func(tx *db.Tx, row *db.DisputeRow) (*approval.Change, error) {
		if kind == dispute.Kept {
			return nil, nil //nolint:nilnil // nothing moves
		}
		asked := Retag{Listed: hex.EncodeToString(row.RequestsSHA256), To: []attribution.Part{{Node: row.ToNodeID, PPM: usage.Whole}}}
		made, err := d.approvals.proposeIn(tx, who, AskRetag(&asked, fmt.Sprintf("dispute %d: %s", row.Number, text)))
		if err != nil {
			return nil, err
		}
		row.NowPico = made.Impact.Moved.Digits()
		return &made.Change, nil
	})
}

// take takes a step. What it brings about, if anything, is a change of its own, in the same
// transaction.
func (d *Disputes) take(ctx context.Context, who Actor, of id.Dispute, kind string, step *dispute.Step, bring func(*db.Tx, *db.DisputeRow) (*approval.Change, error)) error {
	return d.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LockDisputes(); err != nil {
			return err
		}
		row, found, err := tx.Dispute(of)
		if err != nil {
			return err
		}
		if seen, err := d.sees(tx, who, &row, found); err != nil || !seen {
			if err == nil {
				err = ErrDisputeAbsent
			}
			return err
		}
		step.At = tx.Now
		stands := standingOfDispute(&row)
		next, err := stands.Take(step)
		if err != nil {
			return err
		}
		moves, err := bring(tx, &row)
		if err != nil {
			return err
		}
		payload := map[string]any{
			"dispute": of.String(), "number": row.Number, "step": string(step.Kind), "month": period.MonthOf(row.Month).String(), "amount_pico": row.NowPico, "to": told(&row, step.Kind, who.Member),
		}
		if moves != nil {
			payload["change"] = moves.ID.String()
			payload["change_digest"] = hex.EncodeToString(moves.Digest[:])
		}
		_, err = d.changes.change(tx, who, proposal{kind: kind, payload: payload, reason: step.Note}, func(ch approval.Change) error {
			one := &db.DisputeStepRow{
				Place: next.Steps, Kind: string(step.Kind), State: string(next.State), BeforeState: string(next.Before), Actor: who.ID(), PersonID: who.Person, Note: step.Note, AmountPico: row.NowPico, ChangeID: ch.ID,
			}
			if moves != nil {
				one.ResolutionChangeID = &moves.ID
			}
			return tx.AddDisputeStep(of, one)
		})
		return err
	})
}

// told are the accounts that a step is told: both parties, but who took it.
func told(row *db.DisputeRow, kind dispute.Kind, by id.Member) []string {
	to := []string{}
	if row.MemberID != by {
		to = append(to, row.MemberID.String())
	}
	if kind != dispute.Accepted && kind != dispute.Declined && row.AnswererMemberID != nil && *row.AnswererMemberID != by {
		to = append(to, row.AnswererMemberID.String())
	}
	return to
}

// standingOfDispute is a row as the noun has it; the query has looked at its change.
func standingOfDispute(row *db.DisputeRow) dispute.Standing {
	return dispute.Standing{State: dispute.State(row.State), Raiser: row.PersonID, Steps: row.Steps, Since: row.Since.UTC()}
}

// sees tells whether an actor may see a dispute: one of its nodes is theirs.
func (d *Disputes) sees(tx *db.Tx, who Actor, row *db.DisputeRow, found bool) (bool, error) {
	if !found {
		return false, nil
	}
	scope := d.access.Scope(who, "dispute", "read")
	if scope == nil {
		return true, nil
	}
	nodes, err := nodesBelow(tx, scope)
	return slices.Contains(nodes, row.NodeID) || slices.Contains(nodes, row.ToNodeID), err
}

// nodesBelow are the nodes of some subtrees, as they are now; nil: everything.
func nodesBelow(tx *db.Tx, scope []id.Node) ([]id.Node, error) {
	if scope == nil {
		return nil, nil
	}
	tree, err := treeAt(tx, tx.Now)
	if err != nil {
		return nil, err
	}
	nodes := []id.Node{}
	for _, v := range tree.All() {
		if visible(tree, v.Node, scope) {
			nodes = append(nodes, v.Node)
		}
	}
	return nodes, nil
}

// ParseRequests reads the ids of requests as somebody types them: one a line, or separated by
// blanks or commas.
func ParseRequests(text string) ([]id.Event, error) {
	var list []id.Event
	for _, one := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \n\r\t", r) }) {
		event, err := id.ParseEvent(one)
		if err != nil {
			return nil, fault.Invalid("requests", "id_syntax", "%.60q is no request's id.", one)
		}
		if list = append(list, event); len(list) > MaxRetag {
			return nil, errRetagWhat
		}
	}
	return list, nil
}

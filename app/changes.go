package app

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/db"
)

// The kinds of changes there are, each with the object a maker needs the right to
// propose for.
const (
	changeTenant   = "tenant"
	changeNode     = "node"
	changeKey      = "key"
	changeKeyEnd   = "key_revocation"
	changeMember   = "member"
	changeToken    = "api_token"
	changeIssuer   = "issuer"
	changeUpstream = "upstream"
	changePrices   = "price_book"
)

func objectOf(kind string) string {
	switch kind {
	case changeNode:
		return "node"
	case changeKey, changeKeyEnd:
		return "key"
	case changeMember:
		return "member"
	case changeToken:
		return "token"
	case changeIssuer:
		return "issuer"
	case changeUpstream:
		return "upstream"
	case changePrices:
		return "price"
	}
	return "tenant"
}

// Changes is the funnel: nothing in the product changes except through it.
type Changes struct{ access *Access }

// NewChanges makes the funnel.
func NewChanges(access *Access) *Changes { return &Changes{access: access} }

// proposal is what a maker asks for.
type proposal struct {
	kind      string
	payload   any
	effective time.Time // zero: now
	reason    string
}

// allowed refuses an actor who may not propose a kind of change. Areas ask before they
// look anything up, so that a refusal tells nothing of what is there.
func (c *Changes) allowed(who Actor, kind string) error {
	return c.access.Check(who, objectOf(kind), "propose")
}

// change takes a proposal through the whole way in the caller's transaction:
// propose, decide, apply, record. Until a tenant has approval policies, "policy:none"
// approves, and the record says so.
func (c *Changes) change(tx *db.Tx, who Actor, p proposal, apply func(approval.Change) error) (approval.Change, error) {
	if err := c.allowed(who, p.kind); err != nil {
		return approval.Change{}, err
	}
	document, err := json.Marshal(p.payload)
	if err != nil {
		return approval.Change{}, fmt.Errorf("encode %s change: %w", p.kind, err)
	}
	if p.effective.IsZero() {
		p.effective = tx.Now
	}
	// The digest covers this instant, so it must be one the database can give back.
	p.effective = p.effective.UTC().Truncate(time.Microsecond)
	number, err := tx.Counter("change")
	if err != nil {
		return approval.Change{}, err
	}
	change, err := approval.Propose(approval.Change{
		ID: id.NewChange(tx.Now), Number: number, Kind: p.kind, Reason: p.reason, EffectiveFrom: p.effective, Maker: who.ID(), ProposedAt: tx.Now,
	}, document)
	if err != nil {
		return approval.Change{}, err
	}
	if err := tx.AddChange(change); err != nil {
		return approval.Change{}, err
	}
	if err := tx.AddChangeMove(change.ID, 0, change.State, who.ID(), change.Digest); err != nil {
		return approval.Change{}, err
	}
	if change, err = c.move(tx, change, approval.StateApproved, 1, approval.RuleNoPolicy); err != nil {
		return approval.Change{}, err
	}
	if err := apply(change); err != nil {
		return approval.Change{}, fmt.Errorf("apply %s change: %w", p.kind, err)
	}
	if change, err = c.move(tx, change, approval.StateApplied, 2, who.ID()); err != nil {
		return approval.Change{}, err
	}
	tx.Notify()
	return change, tx.AppendAudit(auditlog.Record{
		Action: "change.applied", Actor: who.ID(), Subject: change.ID.String(),
		Detail: map[string]any{
			"approved_by": approval.RuleNoPolicy, "digest": hex.EncodeToString(change.Digest[:]), "effective_from": change.EffectiveFrom.Format(time.RFC3339Nano),
			"kind": change.Kind, "number": change.Number, "payload": string(change.Payload), "reason": change.Reason,
		},
	})
}

func (c *Changes) move(tx *db.Tx, change approval.Change, to approval.State, place int, actor string) (approval.Change, error) {
	moved, err := change.Move(to)
	if err != nil {
		return approval.Change{}, err
	}
	return moved, tx.AddChangeMove(change.ID, place, to, actor, change.Digest)
}

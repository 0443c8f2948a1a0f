package app

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/db"
)

// The kinds of changes there are, each with the object a maker needs the right to
// propose for.
const (
	changeTenant       = "tenant"
	changeNode         = "node"
	changeKey          = "key"
	changeKeyEnd       = "key_revocation"
	changeMember       = "member"
	changeToken        = "api_token"
	changeIssuer       = "issuer"
	changeUpstream     = "upstream"
	changePrices       = "prices"
	changeRules        = "rules"
	changeSavedView    = "saved_view"
	changeSavedViewEnd = "saved_view_removal"
	changeTags         = "tag_declaration"
	changePlan         = "plan"
	changeRight        = "charge_right"
	changeRightEnd     = "charge_right_end"
	changeKeySecret    = "key_secret"
	changeKeyMove      = "key_move"
	changeRetag        = "retag"
	changeTrueUp       = "true_up"
	changeBooks        = "books"
	changeReversal     = "journal_reversal"
	changeTolerance    = "tolerance"
	changeElsewhere    = "spend_elsewhere"
	changeVariance     = "variance_step"
	changeReview       = "variance_review"
	changeSignOff      = "day_sign_off"
	changeDayReview    = "day_review"
	changeSource       = "report_source"

	changeCommentary       = "commentary"
	changeCommentaryReview = "commentary_review"
	changeDispute          = "dispute"
	changeDisputeAnswer    = "dispute_answer"
	changeDisputeReview    = "dispute_review"

	changeAccounts     = "account_mapping"
	changeAcknowledged = "export_acknowledgment"
	changeActuals      = "gl_actuals"
	changeInvoice      = "invoice"
	changeAllocation   = "allocation"
	changeSharing      = "sharing"
	changeSoftClose    = "period_soft_close"
	changeClose        = "period_close"
	changeReopen       = "period_reopen"
	changeWaiver       = "close_waiver"
	changeMateriality  = "materiality"
	changeHolidays     = "holidays"

	changeTokenEnd   = "api_token_revocation" //nolint:gosec // a kind of change, no secret
	changeInvitation = "invitation"
	changeInviteEnd  = "invitation_withdrawal"
	changeRoles      = "member_roles"
	changeSuspension = "member_suspension"
	changeResumption = "member_resumption"
	changeLink       = "account_link"
	changeMapping    = "group_mapping"
	changeMappingEnd = "group_mapping_end"
	changeMapped     = "mapped_roles"
	changeIssuerEnd  = "issuer_retirement"

	changeErasure = "erasure"

	changeRetention = "retention"
	changeHold      = "hold"
	changeHoldEnd   = "hold_end"
	changePurge     = "purge"

	changeProfile  = "tenant_profile"
	changeBranding = "branding"

	changePolicies      = "policies"
	changeDelegation    = "delegation"
	changeDelegationEnd = "delegation_end"

	changeChannel    = "notice_channel"
	changeChannelEnd = "notice_channel_end"
	changeMutes      = "notice_mutes"

	changeOffboarding = "offboarding"

	changeRecipient    = "packet_recipient"
	changeRecipientEnd = "packet_recipient_end"

	changeTenantSuspension = "tenant_suspension"
	changeTenantResumption = "tenant_resumption"
)

// objects are what a maker needs the right to propose for, by kind; the rest are the
// tenant's own.
var objects = map[string]string{ //nolint:gochecknoglobals // a table
	changeNode: "node",
	changeKey:  "key", changeKeyEnd: "key", changeKeySecret: "key", changeKeyMove: "key",
	changeRight: "key", changeRightEnd: "key",
	changeMember: "member", changeInvitation: "member", changeInviteEnd: "member", changeRoles: "member",
	changeSuspension: "member", changeResumption: "member", changeLink: "member", changeMapping: "member",
	changeMappingEnd: "member", changeMapped: "member", changeErasure: "member",
	changeToken: "token", changeTokenEnd: "token",
	changeIssuer: "issuer", changeIssuerEnd: "issuer",
	changeUpstream: "upstream",
	changePrices:   "price",
	changePlan:     "plan",
	changeRules:    "rule",
	changeRetag:    "retag",
	changeBooks:    "journal", changeReversal: "journal",
	changeSource:   "source",
	changeAccounts: "export", changeAcknowledged: "export", changeActuals: "export",
	changeInvoice: "invoice", changeAllocation: "invoice", changeSharing: "invoice",
	changeTolerance: "tolerance", changeElsewhere: "elsewhere",
	changeVariance: "reconciliation", changeSignOff: "reconciliation", changeTrueUp: "reconciliation",
	changeReview: "reconciliation_review", changeDayReview: "reconciliation_review",
	changeSoftClose: "period", changeClose: "period", changeReopen: "period", changeWaiver: "period",
	changeMateriality: "materiality", changeHolidays: "holiday",
	changeSavedView: "view", changeSavedViewEnd: "view",
	changeTags:     "tag",
	changeProfile:  "setting",
	changeBranding: "branding",
	changeChannel:  "channel", changeChannelEnd: "channel",
	changeRetention: "retention", changeHold: "retention", changeHoldEnd: "retention", changePurge: "retention",
	changeOffboarding: "offboarding",
	changeMutes:       "mute",
	changePolicies:    "policy",
	changeDelegation:  "delegation", changeDelegationEnd: "delegation",
	changeRecipient: "recipient", changeRecipientEnd: "recipient",
	changeCommentary: "commentary", changeCommentaryReview: "commentary_review",
	changeDispute: "dispute", changeDisputeAnswer: "dispute", changeDisputeReview: "dispute_review",
}

func objectOf(kind string) string {
	if object, ok := objects[kind]; ok {
		return object
	}
	return "tenant"
}

// Changes is the funnel: nothing in the product changes except through it.
type Changes struct {
	access   *Access
	governed map[string]governed
}

// NewChanges makes the funnel.
func NewChanges(access *Access) *Changes {
	return &Changes{access: access, governed: map[string]governed{}}
}

// governed is a kind of change that waits for a person's decision. Its area says what
// proposing, applying and calling it off mean; the funnel does the rest.
type governed struct {
	// checks is the object whose approval a checker needs.
	checks string
	// floor is the least that is asked for this kind, whatever a company's policies say.
	floor approval.Floor
	// dated kinds take effect when their maker says, which may lie back only within months
	// that are open; the others say themselves when they do.
	dated bool
	// revisable kinds keep nothing beside the payload, so that their maker may edit them.
	revisable bool
	// months are those of the books that a change would alter, where it is not dated; nil: none.
	months func(tx *db.Tx, c approval.Change) ([]period.Month, error)
	// lock holds what applying changes; it is taken before the change itself is.
	lock func(tx *db.Tx) error
	// draft makes a proposal of what a maker sent, and says how to store what the
	// payload only names by its digest.
	draft func(tx *db.Tx, who Actor, payload []byte, from time.Time) (draft, error)
	// apply makes an approved change effective.
	apply func(tx *db.Tx, c approval.Change) error
	// impact says what a change would do.
	impact func(tx *db.Tx, c approval.Change) (approval.Impact, error)
	// sealed opens what is kept sealed beside the payload, for who may read the change; nil:
	// nothing is.
	sealed func(tx *db.Tx, c approval.Change) ([]SealedFact, error)
}

// draft is a proposal before it has a number.
type draft struct {
	payload   any
	effective time.Time
	store     func(tx *db.Tx, c approval.Change) error
}

// content is what a digest covers of a draft.
func (d draft) content(tx *db.Tx) (document []byte, effective time.Time, err error) {
	if document, err = json.Marshal(d.payload); err != nil {
		return nil, time.Time{}, fmt.Errorf("encode change: %w", err)
	}
	if effective = d.effective; effective.IsZero() {
		effective = tx.Now
	}
	// The digest covers this instant, so it must be one the database can give back.
	return document, effective.UTC().Truncate(time.Microsecond), nil
}

// govern tells the funnel of a kind; areas do so when they are made.
func (c *Changes) govern(kind string, g governed) { c.governed[kind] = g }

// proposal is what a maker asks for.
type proposal struct {
	kind      string
	payload   any
	effective time.Time // zero: now
	reason    string
	rule      string // approves where nobody decides; empty: approval.RuleNoPolicy
}

// allowed refuses an actor who may not propose a kind of change. Areas ask before they
// look anything up, so that a refusal tells nothing of what is there.
func (c *Changes) allowed(who Actor, kind string) error {
	return c.access.Check(who, objectOf(kind), "propose")
}

// propose fixes a proposal: its canonical bytes, digest and number.
func (c *Changes) propose(tx *db.Tx, who Actor, p proposal) (approval.Change, error) {
	if err := c.allowed(who, p.kind); err != nil {
		return approval.Change{}, err
	}
	if err := notGone(tx, p.kind); err != nil {
		return approval.Change{}, err
	}
	document, effective, err := draft{payload: p.payload, effective: p.effective}.content(tx)
	if err != nil {
		return approval.Change{}, fmt.Errorf("encode %s change: %w", p.kind, err)
	}
	number, err := tx.Counter("change")
	if err != nil {
		return approval.Change{}, err
	}
	change, err := approval.Propose(approval.Change{
		ID: id.NewChange(tx.Now), Number: number, Kind: p.kind, Reason: p.reason, EffectiveFrom: effective, Maker: who.ID(), ProposedAt: tx.Now,
	}, document)
	if err != nil {
		return approval.Change{}, err
	}
	if err := tx.AddChange(change); err != nil {
		return approval.Change{}, err
	}
	return change, tx.AddChangeMove(change.ID, 0, change.State, who.ID(), change.Digest)
}

// change takes a proposal through the whole way in the caller's transaction:
// propose, decide, apply, record. Until a tenant has approval policies, "policy:none"
// approves, and the record says so.
func (c *Changes) change(tx *db.Tx, who Actor, p proposal, apply func(approval.Change) error) (approval.Change, error) {
	if p.rule == "" {
		p.rule = approval.RuleNoPolicy
	}
	if err := c.waits(tx, who, p); err != nil {
		return approval.Change{}, err
	}
	change, err := c.propose(tx, who, p)
	if err != nil {
		return approval.Change{}, err
	}
	if change, err = c.move(tx, change, approval.StateApproved, 1, p.rule); err != nil {
		return approval.Change{}, err
	}
	if err := apply(change); err != nil {
		return approval.Change{}, fmt.Errorf("apply %s change: %w", p.kind, err)
	}
	if change, err = c.move(tx, change, approval.StateApplied, 2, who.ID()); err != nil {
		return approval.Change{}, err
	}
	tx.Notify()
	return change, record(tx, "change.applied", who, change, map[string]any{"approved_by": p.rule})
}

// ErrMustPropose refuses to apply at once what somebody may have to decide about.
var ErrMustPropose = fault.New(fault.KindConflict, "change_must_wait", "Somebody has to decide about this: propose it as a change.")

// waits refuses a person or a token that would have a change applied at once which the
// kind's floor or a company's policy may give to somebody to decide. The command line and
// the product itself answer for what they do; the record names the rule.
func (c *Changes) waits(tx *db.Tx, who Actor, p proposal) error {
	g, ok := c.governed[p.kind]
	if !ok || p.rule != approval.RuleNoPolicy || (who.Kind != ActorPerson && who.Kind != ActorToken) {
		return nil
	}
	if g.floor != approval.FloorNone {
		return ErrMustPropose
	}
	policies, _, err := inForcePolicies(tx)
	if err == nil && policies.Name(p.kind) {
		err = ErrMustPropose
	}
	return err
}

// submit proposes a change of a governed kind and leaves it to a decision; where the
// policy it is held to asks nobody, it is applied at once.
func (c *Changes) submit(tx *db.Tx, who Actor, kind, reason string, d draft) (approval.Change, held, error) {
	g := c.governed[kind]
	change, err := c.propose(tx, who, proposal{kind: kind, payload: d.payload, effective: d.effective, reason: reason})
	if err != nil {
		return approval.Change{}, held{}, err
	}
	if d.store != nil {
		if err := d.store(tx, change); err != nil {
			return approval.Change{}, held{}, fmt.Errorf("propose %s change: %w", kind, err)
		}
	}
	terms, err := c.hold(tx, who, g, change, 1)
	if err != nil {
		return approval.Change{}, held{}, err
	}
	if err := record(tx, "change.proposed", who, change, terms.detail()); err != nil {
		return approval.Change{}, held{}, err
	}
	if len(terms.Policy.Steps) > 0 {
		return change, terms, nil
	}
	rule := "policy:" + terms.Policy.Code
	if terms.Policy.Code == approval.RuleDefault {
		rule = approval.RuleNoPolicy
	}
	if change, err = c.move(tx, change, approval.StateApproved, 1, rule); err != nil {
		return approval.Change{}, held{}, err
	}
	if err := g.apply(tx, change); err != nil {
		return approval.Change{}, held{}, fmt.Errorf("apply %s change: %w", kind, err)
	}
	if change, err = c.move(tx, change, approval.StateApplied, 2, who.ID()); err != nil {
		return approval.Change{}, held{}, err
	}
	tx.Notify()
	return change, terms, record(tx, "change.applied", who, change, map[string]any{"approved_by": rule})
}

// withdraw takes back a proposal that something else has overtaken.
func (c *Changes) withdraw(tx *db.Tx, who Actor, change approval.Change, reason string) error {
	moved, err := change.Move(approval.StateRejected)
	if err != nil {
		return err
	}
	if err := tx.AddDecision(change.ID, 1, moved.State, who.ID(), change.Digest, approval.BasisWithdrawn, reason); err != nil {
		return err
	}
	return record(tx, "change.rejected", who, moved, map[string]any{"basis": string(approval.BasisWithdrawn), "verdict_reason": reason})
}

// record puts a step of a change into the audit log, and asks for it to be told.
func record(tx *db.Tx, action string, who Actor, change approval.Change, more map[string]any) error {
	detail := map[string]any{
		"digest": hex.EncodeToString(change.Digest[:]), "effective_from": change.EffectiveFrom.Format(time.RFC3339Nano),
		"kind": change.Kind, "number": change.Number, "payload": string(change.Payload), "reason": change.Reason,
	}
	maps.Copy(detail, more)
	event := auditlog.Record{ID: id.NewRecord(tx.Now), Action: action, Actor: who.ID(), Subject: change.ID.String(), Detail: detail}
	if err := tx.AppendAudit(event); err != nil {
		return err
	}
	return tell(tx, event.ID, change.Kind, more)
}

func (c *Changes) move(tx *db.Tx, change approval.Change, to approval.State, place int, actor string) (approval.Change, error) {
	moved, err := change.Move(to)
	if err != nil {
		return approval.Change{}, err
	}
	return moved, tx.AddChangeMove(change.ID, place, to, actor, change.Digest)
}

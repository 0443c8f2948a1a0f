package app

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Approvals is the area of changes that wait for a decision: proposing, editing, listing
// and deciding them, whatever their kind.
type Approvals struct {
	db      *db.DB
	access  *Access
	changes *Changes
	members *Members
	ring    *secret.Keyring
	log     *Log // signs decisions; nil: none are signed
}

// SignBy names the log whose key signs decisions that issuers confirm. Without one, or
// where it has no key, those are refused.
func (a *Approvals) SignBy(log *Log) { a.log = log }

// NewApprovals makes the area. Kinds are governed by the areas made before and after.
func NewApprovals(d *db.DB, access *Access, changes *Changes, members *Members, ring *secret.Keyring) *Approvals {
	a := &Approvals{db: d, access: access, changes: changes, members: members, ring: ring}
	changes.govern(changePolicies, governed{
		checks: "finance", floor: approval.FloorSecond, revisable: true, lock: (*db.Tx).LockPolicies, draft: a.draftPolicies, apply: a.applyPolicies, impact: a.policiesImpact,
	})
	return a
}

// ChangeView is a change as lists and pages show it.
type ChangeView struct {
	approval.Change
	Revision      int // 1 for what was proposed, then counting edits
	MovedAt       time.Time
	Decider       string // the actor's id, or a rule; empty while open
	Basis         approval.Basis
	VerdictReason string
	Terms         Terms
	Impact        approval.Impact
	// Made and Ended are whose hands it went through, on lists and pages.
	Made, Ended Hand
}

// Open says whether it waits for a decision.
func (c *ChangeView) Open() bool { return c.State == approval.StateProposed }

func changeView(r *db.ChangeRow) (ChangeView, error) {
	if len(r.Digest) != len(approval.Change{}.Digest) {
		return ChangeView{}, approval.ErrDigest
	}
	attachments, err := digests(r.Attachments)
	if err != nil {
		return ChangeView{}, err
	}
	return ChangeView{
		Change: approval.Change{
			ID: r.ChangeID, Number: r.Number, Kind: r.Kind, Payload: r.Payload, Attachments: attachments, Digest: [32]byte(r.Digest), Reason: r.Reason,
			EffectiveFrom: r.EffectiveFrom.UTC(), Maker: r.Maker, ProposedAt: r.ProposedAt.UTC(), State: approval.State(r.State),
		},
		Revision: r.Revision, MovedAt: r.MovedAt.UTC(), Decider: r.Decider, Basis: approval.Basis(r.Basis), VerdictReason: r.VerdictReason,
	}, nil
}

func digests(text string) ([][32]byte, error) {
	if text == "" {
		return nil, nil
	}
	var list [][32]byte
	for one := range strings.SplitSeq(text, ",") {
		raw, err := hex.DecodeString(one)
		if err != nil || len(raw) != 32 {
			return nil, approval.ErrDigest
		}
		list = append(list, [32]byte(raw))
	}
	return list, nil
}

// changeOf reads a change for moving it: nothing else moves it until commit.
func changeOf(tx *db.Tx, change id.Change) (ChangeView, error) {
	if err := tx.LockChange(change); err != nil {
		return ChangeView{}, err
	}
	row, err := tx.Change(change)
	if err != nil {
		return ChangeView{}, err
	}
	return changeView(&row)
}

// Ask is a proposal as it comes from outside.
type Ask struct {
	Kind          string
	Payload       []byte // JSON
	EffectiveFrom time.Time
	Reason        string
}

// Kinds lists the kinds of changes that can be proposed, with the least that is asked.
func (a *Approvals) Kinds() map[string]approval.Floor {
	list := map[string]approval.Floor{}
	for kind, g := range a.changes.governed {
		list[kind] = g.floor
	}
	return list
}

func (a *Approvals) kind(kind string) (governed, error) {
	g, ok := a.changes.governed[kind]
	if !ok {
		return governed{}, fault.Invalid("kind", "kind_unknown", "A change of kind %.40q cannot be proposed here. Known: %v.", kind, slices.Sorted(maps.Keys(a.changes.governed)))
	}
	return g, nil
}

// Propose makes a change of a governed kind. It waits for whom the policy it is held to
// asks; asks it nobody, the answer is an applied change.
func (a *Approvals) Propose(ctx context.Context, who Actor, ask Ask, once string) (ChangeView, error) {
	if err := a.access.Check(who, "change", "propose"); err != nil {
		return ChangeView{}, err
	}
	if _, err := a.kind(ask.Kind); err != nil {
		return ChangeView{}, err
	}
	if err := a.changes.allowed(who, ask.Kind); err != nil {
		return ChangeView{}, err
	}
	var made ChangeView
	err := a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		made, err = doOnce(tx, a.ring, who, once, "change.propose", a.request(ask), func() (ChangeView, error) { return a.proposeIn(tx, who, ask) })
		return err
	})
	return made, err
}

// proposeIn is Propose in a transaction that does something else besides: both are one commit.
func (a *Approvals) proposeIn(tx *db.Tx, who Actor, ask Ask) (ChangeView, error) {
	if err := a.access.Check(who, "change", "propose"); err != nil {
		return ChangeView{}, err
	}
	kind, err := a.kind(ask.Kind)
	if err != nil {
		return ChangeView{}, err
	}
	if err := a.changes.allowed(who, ask.Kind); err != nil {
		return ChangeView{}, err
	}
	d, err := kind.draft(tx, who, ask.Payload, ask.EffectiveFrom)
	if err != nil {
		return ChangeView{}, err
	}
	change, terms, err := a.changes.submit(tx, who, ask.Kind, ask.Reason, d)
	return ChangeView{Change: change, Revision: 1, MovedAt: tx.Now, Terms: terms.Terms, Impact: terms.impact}, err
}

// request is what tells one proposal from another under one idempotency key. A payload may
// hold a secret, so that only its keyed hash is compared.
func (a *Approvals) request(ask Ask) map[string]any {
	payload := a.ring.Hasher("proposal").Current(string(ask.Payload))
	return map[string]any{"kind": ask.Kind, "payload": hex.EncodeToString(payload[:]), "from": ask.EffectiveFrom, "reason": ask.Reason}
}

// Preview says what a proposal would do and who would decide about it, and proposes nothing.
func (a *Approvals) Preview(ctx context.Context, who Actor, ask Ask) (ChangeView, error) {
	made := ChangeView{}
	kind, err := a.kind(ask.Kind)
	if err != nil {
		return made, err
	}
	if err := a.changes.allowed(who, ask.Kind); err != nil {
		return made, err
	}
	err = a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		d, err := kind.draft(tx, who, ask.Payload, ask.EffectiveFrom)
		if err != nil {
			return err
		}
		if ask.Reason == "" {
			ask.Reason = "preview"
		}
		change, terms, err := a.changes.submit(tx, who, ask.Kind, ask.Reason, d)
		if err != nil {
			return err
		}
		made = ChangeView{Change: change, Revision: 1, MovedAt: tx.Now, Terms: terms.Terms, Impact: terms.impact}
		return errPreview // so that nothing of it stays
	})
	return made, previewed(err)
}

var errPreview = errors.New("nothing was proposed: it was a preview")

// previewed is the answer of what was only looked at.
func previewed(err error) error {
	if errors.Is(err, errPreview) {
		return nil
	}
	return err
}

// Revise replaces what a change proposes while it waits: a new content, about which nobody
// has decided anything yet. Seen is the digest of what its maker edited.
func (a *Approvals) Revise(ctx context.Context, who Actor, change id.Change, seen [32]byte, ask Ask) (ChangeView, error) {
	return a.revise(ctx, who, change, seen, func(tx *db.Tx, view *ChangeView, g governed) (draft, string, error) {
		if !g.revisable {
			return draft{}, "", fault.New(fault.KindConflict, "change_not_revisable", "A change of this kind cannot be edited. Withdraw it and propose another.")
		}
		if err := a.changes.allowed(who, view.Kind); err != nil {
			return draft{}, "", err
		}
		d, err := g.draft(tx, who, ask.Payload, ask.EffectiveFrom)
		return d, ask.Reason, err
	})
}

type edit func(tx *db.Tx, view *ChangeView, g governed) (draft, string, error)

// revise lets a maker, and nobody else, give a change that waits another content.
func (a *Approvals) revise(ctx context.Context, who Actor, change id.Change, seen [32]byte, edited edit) (ChangeView, error) {
	var view ChangeView
	err := a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Change(change)
		if err != nil {
			return err
		}
		g, ok := a.changes.governed[row.Kind]
		if !ok {
			return db.ErrChangeAbsent
		}
		if own, err := a.own(tx, who, row.Maker); err != nil || !own {
			if err == nil {
				err = errNotMaker
			}
			return err
		}
		if err := g.lock(tx); err != nil {
			return err
		}
		if view, err = changeOf(tx, change); err != nil {
			return err
		}
		if view.Digest != seen {
			return approval.ErrDigest
		}
		d, reason, err := edited(tx, &view, g)
		if err != nil {
			return err
		}
		return a.replace(tx, who, &view, g, d, reason)
	})
	return view, err
}

var errNotMaker = fault.New(fault.KindForbidden, "not_maker", "Only who proposed a change edits it. Say what you would change in a comment, or reject it.")

// own says whether an actor is who proposed a change, under whichever account or token.
func (a *Approvals) own(tx *db.Tx, who Actor, maker string) (bool, error) {
	if who.ID() == maker {
		return true, nil
	}
	persons, err := tx.MakerPersons(maker)
	return !who.Person.IsZero() && slices.Contains(persons, who.Person), err
}

// ChangeQuery asks for changes of the governed kinds; whatever is empty asks for all.
type ChangeQuery struct {
	State   approval.State
	Decided bool // only those that do not wait any more
	Kind    string
	Maker   string // the actor's id
	Below   int64  // a number: only those before it
	Limit   int    // at most MaxChanges
}

// List shows changes of the governed kinds the actor may read.
func (a *Approvals) List(ctx context.Context, who Actor, state approval.State, below int64, limit int) (ChangePage, error) {
	return a.Find(ctx, who, ChangeQuery{State: state, Below: below, Limit: limit})
}

// Find shows changes the actor may read that a query asks for, newest first.
func (a *Approvals) Find(ctx context.Context, who Actor, q ChangeQuery) (ChangePage, error) {
	if err := a.access.Check(who, "change", "read"); err != nil {
		return ChangePage{}, err
	}
	if q.State != "" && !slices.Contains(approval.States(), q.State) {
		return ChangePage{}, fault.Invalid("state", "state_unknown", "A change is proposed, approved, rejected, applied or expired; not %.40q.", string(q.State))
	}
	if q.Kind != "" {
		if _, err := a.kind(q.Kind); err != nil {
			return ChangePage{}, err
		}
	}
	limit := min(max(q.Limit, 1), MaxChanges)
	var page ChangePage
	err := a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		room, err := a.room(tx)
		if err != nil {
			return err
		}
		kinds := a.readable(room.eyes(who))
		if q.Kind != "" {
			kinds = slices.DeleteFunc(kinds, func(kind string) bool { return kind != q.Kind })
		}
		rows, err := tx.Changes(db.ChangeFilter{Kinds: kinds, State: string(q.State), Decided: q.Decided, Maker: q.Maker, Below: q.Below, Limit: limit + 1})
		if err != nil {
			return err
		}
		if len(rows) > limit {
			rows = rows[:limit]
			page.Next = rows[limit-1].Number
		}
		views, err := a.views(tx, rows)
		if err != nil {
			return err
		}
		for i := range views {
			if a.sees(room.eyes(who), room.tree, &views[i]) {
				page.Rows = append(page.Rows, views[i])
			}
		}
		return a.nameHands(tx, page.Rows)
	})
	return page, err
}

// nameHands finds who made changes and whose verdicts ended them.
func (a *Approvals) nameHands(tx *db.Tx, views []ChangeView) error {
	var actors []string
	for i := range views {
		actors = append(actors, views[i].Maker, views[i].Decider)
	}
	hands, err := a.members.hands(tx, slices.DeleteFunc(actors, func(s string) bool { return s == "" }))
	if err != nil {
		return err
	}
	for i := range views {
		views[i].Made, views[i].Ended = hands[views[i].Maker], hands[views[i].Decider]
	}
	return nil
}

// ChangePage is one page of changes, newest first.
type ChangePage struct {
	Rows []ChangeView
	Next int64 // the number to go on below; zero on the last page
}

// MaxChanges bounds one page of changes.
const MaxChanges = 500

// readable lists the governed kinds whose objects somebody may read or propose.
func (a *Approvals) readable(eyes []Actor) []string {
	var kinds []string
	for kind := range a.changes.governed {
		if slices.ContainsFunc(eyes, func(who Actor) bool { return a.reads(who, kind) }) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// reads says whether an actor may read changes of a kind: who reads or proposes what it is
// about, and who may decide about it.
func (a *Approvals) reads(who Actor, kind string) bool {
	object := objectOf(kind)
	return a.access.Check(who, object, "read") == nil || a.access.Check(who, object, "propose") == nil ||
		a.access.Check(who, a.changes.governed[kind].checks, "approve") == nil // who may be asked sees what
}

// Reads says whether an actor may read changes of a governed kind for themselves, as far as
// they see what those touch.
func (a *Approvals) Reads(who Actor, kind string) bool {
	_, governed := a.changes.governed[kind]
	return governed && a.access.Check(who, "change", "read") == nil && a.reads(who, kind)
}

// sees says whether a change is in the part of the tenant somebody may read: who has a
// subtree sees what touches it, and their own.
func (a *Approvals) sees(eyes []Actor, tree *hierarchy.Tree, v *ChangeView) bool {
	return slices.ContainsFunc(eyes, func(who Actor) bool {
		if !a.reads(who, v.Kind) {
			return false
		}
		scope := a.access.Scope(who, "change", "read")
		return scope == nil || v.Maker == who.ID() || slices.ContainsFunc(v.Impact.Touches, func(n id.Node) bool { return visible(tree, n, scope) })
	})
}

// views reads rows with the terms they are held to.
func (a *Approvals) views(tx *db.Tx, rows []db.ChangeRow) ([]ChangeView, error) {
	views := make([]ChangeView, 0, len(rows))
	for i := range rows {
		view, err := changeView(&rows[i])
		if err != nil {
			return nil, err
		}
		views = append(views, view)
	}
	return views, a.terms(tx, views)
}

// replace stores another content of a change, with the terms it is held to from now on.
func (a *Approvals) replace(tx *db.Tx, who Actor, view *ChangeView, g governed, d draft, reason string) error {
	attachments, err := tx.Attachments(view.ID)
	if err != nil {
		return err
	}
	var files [][32]byte
	for i := range attachments {
		files = append(files, [32]byte(attachments[i].SHA256))
	}
	document, effective, err := d.content(tx)
	if err != nil {
		return err
	}
	former := view.DigestText()
	revised, err := view.Revise(document, reason, effective, files)
	if err != nil {
		return err
	}
	view.Change, view.Revision = revised, view.Revision+1
	if err := tx.AddRevision(revised, view.Revision, who.ID()); err != nil {
		return err
	}
	terms, err := a.changes.hold(tx, who, g, revised, view.Revision)
	if err != nil {
		return err
	}
	if len(terms.Policy.Steps) == 0 { // it waits already: somebody goes on deciding about it
		return fault.New(fault.KindConflict, "change_needs_nobody", "As edited, nobody has to decide about this. Withdraw it and propose it again.")
	}
	view.Terms, view.Impact = terms.Terms, terms.impact
	detail := terms.detail()
	detail["former_digest"] = former
	return record(tx, "change.revised", who, revised, detail)
}

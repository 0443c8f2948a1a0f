package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/notice"
	"tollbook/app/secret"
	"tollbook/db"
)

// NoticeRules is what the installation says about notices.
type NoticeRules struct {
	Mail        bool // a mail server is configured
	PublicURL   string
	Development bool                     // channels may be plain http on this machine
	Words       func(kind string) string // a kind of change as people call it
}

// Notices is the area of who is told of changes, how, and what became of it.
type Notices struct {
	db        *db.DB
	changes   *Changes
	approvals *Approvals
	members   *Members
	ring      *secret.Keyring
	rules     NoticeRules
	counts    [3][4]atomic.Int64 // by kind of channel and outcome
}

// NewNotices makes the area, and governs the kinds of changes about channels.
func NewNotices(d *db.DB, changes *Changes, approvals *Approvals, members *Members, ring *secret.Keyring, rules NoticeRules) *Notices {
	n := &Notices{db: d, changes: changes, approvals: approvals, members: members, ring: ring, rules: rules}
	n.governChannels()
	return n
}

// MailOn says whether the installation sends mail at all.
func (n *Notices) MailOn() bool { return n.rules.Mail }

// toldKinds are the kinds whose every step is told even where a rule decided.
func toldKinds(kind string) bool {
	switch kind {
	case changeIssuer, changeIssuerEnd, changeDelegation, changeDelegationEnd, changeOffboarding:
		return true
	}
	return false
}

// ownersTold says whether every owner is told of a kind: it changes who can sign in, or ends
// the company here.
func ownersTold(kind string) bool {
	return kind == changeIssuer || kind == changeIssuerEnd || kind == changeOffboarding
}

// tell asks for an event of a change to be told, in the event's own commit. What a rule
// let through asked nobody, and its maker knows.
func tell(tx *db.Tx, event id.Record, kind string, more map[string]any) error {
	if _, byRule := more["approved_by"]; byRule && !toldKinds(kind) && !addresses(kind) {
		return nil
	}
	return tx.Enqueue(job.NotifyChange{Tenant: tx.Tenant.String(), Record: event.String()})
}

// happening is what a record of the audit log says happened to a change.
type happening struct {
	record  id.Record
	action  string
	actor   string
	change  id.Change
	purpose notice.Purpose // what systems are told; empty: nobody is told anything
	detail  struct {
		Basis      string `json:"basis"`
		Payload    string `json:"payload"`
		RemarkKind string `json:"remark_kind"`
		Body       string `json:"body"`
	}
}

func happened(row *db.LogRow) (happening, error) {
	h := happening{record: row.RecordID, action: row.Action, actor: row.Actor}
	var record struct {
		Detail json.RawMessage `json:"detail"`
	}
	if err := json.Unmarshal(row.Canonical, &record); err != nil {
		return h, fmt.Errorf("read record %s: %w", row.RecordID, err)
	}
	if err := json.Unmarshal(record.Detail, &h.detail); err != nil {
		return h, fmt.Errorf("read record %s: %w", row.RecordID, err)
	}
	if row.Action == fallsTold {
		said, err := fallenOf(row)
		h.change, h.purpose = said.Change, notice.Fell
		return h, err
	}
	var err error
	h.change, err = id.ParseChange(row.Subject)
	switch row.Action {
	case "change.proposed":
		h.purpose = notice.Proposed
	case "change.revised":
		h.purpose = notice.Revised
	case "change.step_approved":
		h.purpose = notice.StepApproved
	case "change.escalated":
		h.purpose = notice.Escalated
	case "change.reminded":
		h.purpose = notice.Reminded
	case "change.expired":
		h.purpose = notice.Expired
	case "change.applied":
		h.purpose = notice.Applied
	case "change.rejected":
		h.purpose = notice.Rejected
		if h.detail.Basis == string(approval.BasisWithdrawn) {
			h.purpose = notice.Withdrawn
		}
	case "change.remarked":
		h.purpose = notice.Commented
		if h.detail.RemarkKind == RemarkQuestion {
			h.purpose = notice.Questioned
		}
	}
	return h, err
}

// Prepare works out who is due what because of an event, and asks for each message to be
// delivered. Doing it twice is doing it once.
func (n *Notices) Prepare(ctx context.Context, tenant id.Tenant, event id.Record) error {
	return n.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		row, found, err := tx.LogRecord(event)
		if err != nil || !found {
			return err
		}
		h, err := happened(&row)
		if err != nil || h.purpose == "" {
			return err
		}
		view, err := n.view(tx, h.change)
		if err != nil {
			return err
		}
		if h.purpose == notice.Proposed && len(view.Terms.Policy.Steps) == 0 {
			return nil // it asks nobody, and was applied in the same commit
		}
		if n.rules.Mail {
			if err := n.toPeople(tx, &h, &view); err != nil {
				return err
			}
		}
		if addresses(view.Kind) || h.purpose == notice.Fell {
			return nil // it is between persons
		}
		return n.toChannels(tx, &h, &view)
	})
}

// view reads a change, whatever its kind, with what it is held to.
func (n *Notices) view(tx *db.Tx, change id.Change) (ChangeView, error) {
	row, err := tx.Change(change)
	if err != nil {
		return ChangeView{}, err
	}
	views, err := n.approvals.views(tx, []db.ChangeRow{row})
	if err != nil {
		return ChangeView{}, err
	}
	return views[0], nil
}

// maxTold bounds the people who are told of one event.
const maxTold = 200

// toPeople stores who is due a mail.
func (n *Notices) toPeople(tx *db.Tx, h *happening, view *ChangeView) error {
	a, err := n.audience(tx, view)
	if err != nil {
		return err
	}
	if err := a.listen(tx, h); err != nil {
		return err
	}
	if h.purpose == notice.Fell {
		if err := a.hear(tx, h); err != nil {
			return err
		}
	}
	persons := make([]id.Person, 0, len(a.dues))
	for _, d := range a.dues {
		persons = append(persons, d.person)
	}
	mutes, err := tx.Mutes(persons...)
	if err != nil {
		return err
	}
	for _, d := range a.dues {
		if muted(mutes[d.person], d.Purpose, view.Kind) {
			continue
		}
		if sealed, err := tx.PersonEmail(d.person); err != nil {
			return err
		} else if len(sealed) == 0 {
			continue // nobody's address is known
		}
		content, digest, err := d.Content()
		if err != nil {
			return err
		}
		row := db.DeliveryRow{RecordID: h.record, ChangeID: view.ID, Channel: string(notice.Mail), Purpose: string(d.Purpose), MemberID: d.To, Content: content, ContentSHA256: digest[:]}
		if err := n.due(tx, &row); err != nil {
			return err
		}
	}
	return nil
}

// due stores a message that is due, unless it is already, and asks for its delivery.
func (n *Notices) due(tx *db.Tx, row *db.DeliveryRow) error {
	row.DeliveryID = id.NewDelivery(tx.Now)
	added, err := tx.AddDelivery(row)
	if err != nil || !added {
		return err
	}
	return tx.Enqueue(job.DeliverNotice{Tenant: tx.Tenant.String(), Delivery: row.DeliveryID.String(), Round: 1})
}

// muted says whether a person does not want mail of a purpose. Whatever is about who may
// sign in, and about one's own delegations, is for everybody's ears.
func muted(topics string, p notice.Purpose, kind string) bool {
	topic := p.Topic()
	return topic != "" && !toldKinds(kind) && slices.Contains(strings.Fields(topics), string(topic))
}

// audience is everybody who may be told of a change, and who is due what.
type audience struct {
	room  *room
	view  *ChangeView
	kind  governed
	known bool // the kind is governed: somebody decides about it
	open  *approval.Case
	turn  []int
	asked [][]id.Member
	votes []db.VoteRow
	maker approval.Maker
	dues  []personDue
}

type personDue struct {
	notice.Due

	person id.Person
}

func (n *Notices) audience(tx *db.Tx, view *ChangeView) (*audience, error) {
	a := &audience{view: view}
	a.kind, a.known = n.changes.governed[view.Kind]
	var err error
	if a.room, err = n.approvals.room(tx); err != nil {
		return nil, err
	}
	if a.votes, err = tx.Votes(view.ID); err != nil {
		return nil, err
	}
	if a.open, err = a.room.caseWith(tx, view, a.kind, a.votes); err != nil {
		return nil, err
	}
	a.maker = a.open.Maker
	if a.known && view.Open() {
		a.turn, a.asked = a.open.Turn(), a.room.asked(view, a.kind, a.open)
	}
	return a, nil
}

// listen fills in who is due what because of an event.
func (a *audience) listen(tx *db.Tx, h *happening) error {
	actors, err := tx.MakerPersons(h.actor)
	if err != nil {
		return err
	}
	tellOwners := func(p notice.Purpose) {
		if ownersTold(a.view.Kind) {
			a.owners(p, h.record)
		}
	}
	switch h.purpose {
	case notice.Proposed, notice.Revised, notice.StepApproved, notice.Escalated:
		a.ask(notice.Asked, id.Record{})
		if h.purpose == notice.Proposed {
			tellOwners(notice.Told)
		}
	case notice.Reminded:
		a.ask(notice.Reminded, h.record)
	case notice.Questioned, notice.Commented:
		if err := a.speakers(tx, h, actors); err != nil {
			return err
		}
		a.hands(h, actors)
	case notice.Applied, notice.Rejected, notice.Withdrawn, notice.Expired:
		if addresses(a.view.Kind) {
			return a.addressees(h)
		}
		if a.view.Kind == changeDelegation || a.view.Kind == changeDelegationEnd {
			return a.delegation(tx, h)
		}
		tellOwners(notice.Told)
		a.hands(h, actors)
		return a.parties(tx, h, actors)
	case notice.Asked, notice.Told, notice.Delegated, notice.Undelegated, notice.Tested, notice.Requested, notice.Recalled, notice.Answered, notice.Fell:
	}
	return nil
}

// add makes an account's person due a message, once: the first reason wins. Who cannot
// sign in is told nothing.
func (a *audience) add(member id.Member, d notice.Due) {
	one := a.room.account(member)
	if one == nil || len(a.dues) >= maxTold || slices.ContainsFunc(a.dues, func(d personDue) bool { return d.person == one.person }) {
		return
	}
	d.Change, d.Revision, d.To = a.view.ID, a.view.Revision, member
	a.dues = append(a.dues, personDue{Due: d, person: one.person})
}

// addPerson does so for a person's first account, but for who did it themselves.
func (a *audience) addPerson(person id.Person, but []id.Person, d notice.Due) {
	if slices.Contains(but, person) {
		return
	}
	for i := range a.room.accounts {
		if a.room.accounts[i].person == person {
			a.add(a.room.accounts[i].member, d)
			return
		}
	}
}

// ask makes whoever may decide a step now due a message, and whoever stands in for them.
func (a *audience) ask(p notice.Purpose, event id.Record) {
	for _, step := range a.turn {
		d := notice.Due{Purpose: p, Step: step + 1, Record: event}
		for _, m := range a.asked[step] {
			a.add(m, d)
		}
		for _, stands := range a.room.delegations {
			if slices.Contains(a.asked[step], stands.FromMemberID) && a.mayStandIn(&stands) {
				a.add(stands.ToMemberID, d)
			}
		}
	}
}

// mayStandIn says whether somebody who stands in for one of whom a step asks may decide
// about this change: not its maker, and nobody whose role may never approve.
func (a *audience) mayStandIn(d *db.DelegationRow) bool {
	to := a.room.account(d.ToMemberID)
	return to != nil && !slices.Contains(a.maker, to.person) && !a.room.access.denies(to.grants, a.kind.checks)
}

// hands makes the maker and whoever decided so far due a message.
func (a *audience) hands(h *happening, but []id.Person) {
	d := notice.Due{Purpose: h.purpose, Record: h.record}
	for _, person := range a.maker {
		a.addPerson(person, but, d)
	}
	for i := range a.votes {
		a.addPerson(a.votes[i].PersonID, but, d)
	}
}

// speakers makes whoever said something before due what is said now: an answer reaches who
// asked.
func (a *audience) speakers(tx *db.Tx, h *happening, but []id.Person) error {
	remarks, err := tx.Remarks(a.view.ID, maxRemarks)
	if err != nil {
		return err
	}
	for i := range remarks {
		if member, err := id.ParseMember(remarks[i].Actor); err == nil {
			if one := a.room.account(member); one != nil {
				a.addPerson(one.person, but, notice.Due{Purpose: h.purpose, Record: h.record})
			}
		}
	}
	return nil
}

// owners makes every owner due a message, the one who acted among them: an account may
// have been stolen.
func (a *audience) owners(p notice.Purpose, event id.Record) {
	for i := range a.room.accounts {
		one := &a.room.accounts[i]
		if slices.ContainsFunc(one.grants, func(g Grant) bool { return g.Role == RoleTenantOwner }) {
			a.add(one.member, notice.Due{Purpose: p, Record: event})
		}
	}
}

// delegation makes both sides of a delegation due a message, whoever acted: it lets
// somebody decide in somebody's name.
func (a *audience) delegation(tx *db.Tx, h *happening) error {
	d := notice.Due{Purpose: notice.Delegated, Record: h.record}
	if a.view.Kind == changeDelegationEnd {
		d.Purpose = notice.Undelegated
	}
	row, found, err := delegationOf(tx, a.view)
	if err != nil || !found {
		return err
	}
	a.add(row.FromMemberID, d)
	a.add(row.ToMemberID, d)
	return nil
}

// delegationOf is the delegation a change gave or ended.
func delegationOf(tx *db.Tx, view *ChangeView) (db.DelegationRow, bool, error) {
	var payload struct {
		Delegation id.Delegation `json:"delegation"`
	}
	if err := json.Unmarshal(view.Payload, &payload); err != nil {
		return db.DelegationRow{}, false, fmt.Errorf("read delegation: %w", err)
	}
	rows, err := tx.Delegations(false, maxDelegations)
	if err != nil {
		return db.DelegationRow{}, false, err
	}
	for i := range rows {
		if rows[i].DelegationID == payload.Delegation {
			return rows[i], true, nil
		}
	}
	return db.DelegationRow{}, false, nil
}

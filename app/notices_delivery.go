package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/notice"
	"tollbook/app/secret"
	"tollbook/db"
)

// Dispatch is one try to deliver a message, stored before it is made. Exactly one of Mail
// and Post is set.
type Dispatch struct {
	Tenant   id.Tenant
	Delivery id.Delivery
	Mail     *Letter
	Post     *Post

	place, round, tries int
	kind                notice.ChannelKind
	address             string
}

// Letter is what a person is told, in facts; how they are worded is not decided here.
type Letter struct {
	ToName, To string // the address
	Purpose    notice.Purpose
	Company    string
	Number     int64
	Kind       string // in words
	Made       string // by whom
	By         string // whose act it is told of; empty where it is nobody's
	Amount     string // US dollars that land elsewhere, of the month Month; empty: none
	Month      string
	Effective  time.Time
	Expires    time.Time // zero: never
	Reason     string    // the maker's
	Said       string    // a remark, or the reason of a verdict
	Step       string    // that is to be decided, or that was taken where About says of what
	About      string    // what somebody asks of a person directly; empty: a decision about a change
	Steps      []string  // of a close, whose signatures fell
	Changed    []string  // figures, and what they are now
	For        []string  // whom they stand in for
	From, Upto time.Time // of a delegation
	Gives      string    // who lets somebody decide, and
	Takes      string    // who may
	State      approval.State
	URL        string // leads to the page and decides nothing
}

// Post is what a system of the company's own is told.
type Post struct {
	Kind   notice.ChannelKind
	URL    secret.Text
	Secret secret.Text // of a signed webhook
	Body   []byte
}

// ErrUnderWay asks to come again: another worker is at this delivery, or was when it died.
var ErrUnderWay = fault.New(fault.KindConflict, "delivery_under_way", "This delivery is being attempted by somebody else.")

// Begin stores that an attempt is made and says what to send; nil when nothing is to be
// done any more. When it returns, no lock is held: sending may take its time.
func (n *Notices) Begin(ctx context.Context, tenant id.Tenant, delivery id.Delivery, round int) (*Dispatch, error) {
	var made *Dispatch
	err := n.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		row, err := tx.Delivery(delivery)
		if err != nil {
			return err
		}
		steps, err := tx.NoticeSteps(delivery)
		if err != nil {
			return err
		}
		verdict := notice.Judge(stepsOf(steps), round, tx.Now)
		switch {
		case verdict.Wait:
			return ErrUnderWay
		case !verdict.Attempt:
			return nil
		}
		at := &Dispatch{Tenant: tenant, Delivery: delivery, place: verdict.Place, round: round, tries: verdict.Tries, kind: notice.ChannelKind(row.Channel)}
		if verdict.Interrupted {
			if err := n.step(tx, at, notice.Interrupted, "The process that sent it ended before it could say how that went: it may arrive twice."); err != nil {
				return err
			}
		}
		if at.tries >= notice.MaxTries {
			return n.step(tx, at, notice.GivenUp, "")
		}
		why, err := n.write(tx, &row, at)
		if err != nil {
			return err
		}
		if why != "" {
			return n.step(tx, at, notice.Dropped, why)
		}
		if err := n.step(tx, at, notice.Attempted, ""); err != nil {
			return err
		}
		at.tries++
		made = at
		return nil
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

func stepsOf(rows []db.NoticeStepRow) []notice.Step {
	steps := make([]notice.Step, 0, len(rows))
	for i := range rows {
		steps = append(steps, notice.Step{Round: rows[i].Round, State: notice.State(rows[i].State), At: rows[i].RecordedAt})
	}
	return steps
}

// step stores the next thing done about a delivery; whoever loses the place to another
// worker leaves it to them.
func (n *Notices) step(tx *db.Tx, a *Dispatch, state notice.State, answer string) error {
	stored, err := tx.AddNoticeStep(a.Delivery, db.NoticeStepRow{Place: a.place, Round: a.round, State: string(state), Answer: answer, Actor: string(ActorSystem)})
	if err == nil && !stored {
		err = ErrUnderWay
	}
	a.place++
	return err
}

// Finish stores how an attempt ended; again says that another one is due.
func (n *Notices) Finish(ctx context.Context, a *Dispatch, out notice.Outcome) (again bool, err error) {
	state := out.State(a.tries)
	err = n.db.InTenant(ctx, a.Tenant, func(tx *db.Tx) error {
		one := *a
		return n.step(tx, &one, state, notice.Clean(out.Answer, a.address))
	})
	if err == nil {
		n.count(a.kind, state)
	}
	return state == notice.Failed, err
}

// outcomes are the states that are counted, in the order of counts.
func outcomes() []notice.State {
	return []notice.State{notice.Accepted, notice.Failed, notice.Refused, notice.GivenUp}
}

func channelKinds() []notice.ChannelKind {
	return []notice.ChannelKind{notice.Mail, notice.Slack, notice.Webhook}
}

func (n *Notices) count(kind notice.ChannelKind, state notice.State) {
	if k, s := slices.Index(channelKinds(), kind), slices.Index(outcomes(), state); k >= 0 && s >= 0 {
		n.counts[k][s].Add(1)
	}
}

// NoticeCount is how many attempts here ended in a state, since the start.
type NoticeCount struct {
	Channel notice.ChannelKind
	Outcome notice.State
	Count   int64
}

// Counts are the attempts made here.
func (n *Notices) Counts() []NoticeCount {
	var list []NoticeCount
	for k, kind := range channelKinds() {
		for s, state := range outcomes() {
			list = append(list, NoticeCount{Channel: kind, Outcome: state, Count: n.counts[k][s].Load()})
		}
	}
	return list
}

// write fills in what an attempt sends; why says why there is nobody any more who should
// have it.
func (n *Notices) write(tx *db.Tx, row *db.DeliveryRow, a *Dispatch) (why string, err error) {
	if a.kind != notice.Mail {
		return n.post(tx, row, a)
	}
	due, err := notice.ParseDue(row.Content)
	if err != nil {
		return "", err
	}
	view, err := n.view(tx, due.Change)
	if err != nil {
		return "", err
	}
	room, err := n.audience(tx, &view)
	if err != nil {
		return "", err
	}
	if why, err = n.unwanted(tx, row, &due, room); err != nil || why != "" {
		return why, err
	}
	sealed, err := tx.PersonEmail(row.PersonID)
	if err != nil {
		return "", err
	}
	if a.address = n.members.email(row.PersonID, sealed); a.address == "" {
		return "The person has no address any more.", nil
	}
	a.Mail, err = n.letter(tx, row, &due, room)
	if err == nil {
		a.Mail.To = a.address
	}
	return "", err
}

// freshlyAsked is how long nobody is reminded who was asked: an escalation and a reminder
// may come at the same time.
const freshlyAsked = 20 * time.Hour

// unwanted is why a mail should not leave any more; empty when it should.
func (n *Notices) unwanted(tx *db.Tx, row *db.DeliveryRow, due *notice.Due, room *audience) (string, error) {
	mutes, err := tx.Mutes(row.PersonID)
	if err != nil {
		return "", err
	}
	asked, err := tx.ToldSince(due.Change, string(notice.Asked), tx.Now.Add(-freshlyAsked))
	if err != nil {
		return "", err
	}
	answered, err := answeredMeanwhile(tx, room.view, due)
	if err != nil {
		return "", err
	}
	switch {
	case answered:
		return "It was answered meanwhile.", nil
	case !n.rules.Mail:
		return "No mail server is configured any more.", nil
	case room.room.account(row.MemberID) == nil:
		return "The account cannot sign in any more.", nil
	case muted(mutes[row.PersonID], due.Purpose, room.view.Kind):
		return "The person mutes such mail.", nil
	case due.Purpose == notice.Reminded && slices.Contains(asked, due.To):
		return "The person was asked just now.", nil
	case (due.Purpose == notice.Asked || due.Purpose == notice.Reminded) && !room.stillAsked(due):
		return "The person is not asked any more.", nil
	}
	return "", nil
}

// stillAsked says whether whom a message asked may still decide what it was about.
func (a *audience) stillAsked(d *notice.Due) bool {
	if a.view.Revision != d.Revision || !slices.Contains(a.turn, d.Step-1) {
		return false
	}
	return slices.Contains(a.asked[d.Step-1], d.To) || len(a.principals(d)) > 0
}

// principals are the members whom a message's recipient stands in for.
func (a *audience) principals(d *notice.Due) []id.Member {
	var list []id.Member
	for _, stands := range a.room.delegations {
		if stands.ToMemberID == d.To && d.Step > 0 && slices.Contains(a.asked[d.Step-1], stands.FromMemberID) && a.mayStandIn(&stands) {
			list = append(list, stands.FromMemberID)
		}
	}
	return list
}

// maxQuoted bounds what a mail quotes of a reason or a remark.
const maxQuoted = 1000

// letter gathers what a mail says. Names are opened now, never kept with the delivery.
func (n *Notices) letter(tx *db.Tx, row *db.DeliveryRow, due *notice.Due, room *audience) (*Letter, error) {
	record, _, err := tx.LogRecord(row.RecordID)
	if err != nil {
		return nil, err
	}
	h, err := happened(&record)
	if err != nil {
		return nil, err
	}
	tenant, err := tx.TenantRow()
	if err != nil {
		return nil, err
	}
	view := room.view
	stands, _, err := n.standing(tx, view)
	if err != nil {
		return nil, err
	}
	var principals []id.Member
	if asks := due.Purpose == notice.Asked || due.Purpose == notice.Reminded; asks && !slices.Contains(room.asked[due.Step-1], due.To) {
		principals = room.principals(due)
	}
	actors := []string{view.Maker, h.actor}
	for _, m := range append(principals, due.To, stands.FromMemberID, stands.ToMemberID) {
		if !m.IsZero() {
			actors = append(actors, m.String())
		}
	}
	hands, err := n.members.hands(tx, actors)
	if err != nil {
		return nil, err
	}
	l := &Letter{
		ToName: hands[due.To.String()].Name, Purpose: due.Purpose, Company: tenant.Name, Number: view.Number, Kind: n.rules.Words(view.Kind), Made: hands[view.Maker].Name,
		Effective: view.EffectiveFrom, Reason: quoted(view.Reason), State: view.State, URL: changeURL(n.rules.PublicURL, tenant.Slug, view.ID),
	}
	if h.actor != string(ActorSystem) {
		l.By = hands[h.actor].Name
	}
	for _, m := range principals {
		l.For = append(l.For, hands[m.String()].Name)
	}
	if !stands.DelegationID.IsZero() {
		l.From, l.Upto, l.Gives, l.Takes = stands.StartsAt.UTC(), stands.EndsAt.UTC(), hands[stands.FromMemberID.String()].Name, hands[stands.ToMemberID.String()].Name
	}
	l.describe(view, due, &h)
	if due.Purpose == notice.Fell {
		return l, l.fallen(n.rules.PublicURL, tenant.Slug, &record)
	}
	if addresses(view.Kind) {
		return l, l.addressed(n.rules.PublicURL, tenant.Slug, view)
	}
	return l, nil
}

// describe adds what there is to say of a change that names nobody.
func (l *Letter) describe(view *ChangeView, due *notice.Due, h *happening) {
	if view.Open() {
		l.Expires = view.Terms.ExpiresAt
	}
	if view.Impact.Moved.Sign() != 0 {
		l.Amount, l.Month = view.Impact.Moved.Display().String(), view.Impact.Month
	}
	if due.Step > 0 && due.Step <= len(view.Terms.Policy.Steps) {
		l.Step = view.Terms.Policy.Steps[due.Step-1].Name
	}
	switch due.Purpose {
	case notice.Questioned, notice.Commented:
		l.Said = quoted(h.detail.Body)
	case notice.Rejected, notice.Withdrawn, notice.Applied:
		l.Said = quoted(view.VerdictReason)
	case notice.Asked, notice.Reminded, notice.Expired, notice.Told, notice.Delegated, notice.Undelegated, notice.Tested, notice.Proposed, notice.Revised, notice.StepApproved, notice.Escalated,
		notice.Requested, notice.Recalled, notice.Answered, notice.Fell:
	}
}

// standing is the delegation that a change is about, where it is about one.
func (n *Notices) standing(tx *db.Tx, view *ChangeView) (db.DelegationRow, bool, error) {
	if view.Kind != changeDelegation && view.Kind != changeDelegationEnd {
		return db.DelegationRow{}, false, nil
	}
	return delegationOf(tx, view)
}

// changeURL leads to a change's page, in whatever company somebody is signed in.
func changeURL(public, slug string, change id.Change) string {
	return public + "/t/" + slug + "/changes/" + change.String()
}

// quoted is free text as a mail quotes it.
func quoted(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
}

// Resend asks for a delivery that came to an end to be made again.
func (n *Notices) Resend(ctx context.Context, who Actor, delivery id.Delivery) error {
	if err := n.changes.access.Check(who, "delivery", "propose"); err != nil {
		return err
	}
	if who.Kind != ActorPerson {
		return ErrNoPerson
	}
	return n.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Delivery(delivery)
		if err != nil {
			return err
		}
		steps, err := tx.NoticeSteps(delivery)
		if err != nil {
			return err
		}
		if len(steps) == 0 || !notice.State(steps[len(steps)-1].State).Ended() {
			return errDeliveryWaits
		}
		last := steps[len(steps)-1]
		if last.Round >= maxRounds {
			return errDeliveryRounds
		}
		next := db.NoticeStepRow{Place: last.Place + 1, Round: last.Round + 1, State: string(notice.Queued), Actor: who.ID()}
		stored, err := tx.AddNoticeStep(delivery, next)
		if err != nil {
			return err
		}
		if !stored {
			return errDeliveryWaits
		}
		detail := map[string]any{"change": row.ChangeID.String(), "channel": row.Channel, "purpose": row.Purpose, "round": next.Round}
		if err := tx.AppendAudit(auditlog.Record{Action: "notice.resent", Actor: who.ID(), Subject: delivery.String(), Detail: detail}); err != nil {
			return err
		}
		return tx.Enqueue(job.DeliverNotice{Tenant: tx.Tenant.String(), Delivery: delivery.String(), Round: next.Round})
	})
}

// maxRounds bounds how often one delivery is sent again.
const maxRounds = 20

var (
	errDeliveryWaits  = fault.New(fault.KindConflict, "delivery_waits", "It is on its way, or will be tried again by itself.")
	errDeliveryRounds = fault.New(fault.KindConflict, "delivery_rounds", "It was sent again as often as it may. Tell the recipient another way.")
)

package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/db"
)

// Ruling is a person's verdict on a change they were shown.
type Ruling struct {
	approval.Ruling
	For  id.Member // whom they stand in for; zero for themselves
	Once string    // a key under which the verdict is given once, however often it is sent
	Bulk bool      // it is one of several

	confirmed *confirming // what the person's issuer answered; nil: it was not asked
}

// Decide gives a person's verdict on a proposal, for themselves.
func (a *Approvals) Decide(ctx context.Context, who Actor, change id.Change, verdict approval.Verdict, seen [32]byte, reason string) (ChangeView, error) {
	return a.Rule(ctx, who, change, Ruling{Ruling: approval.Ruling{Verdict: verdict, Seen: seen, Reason: reason}})
}

// Rule gives a person's verdict on a proposal. With the approval that completes its last
// step a change is applied, in the same commit. A refused attempt is recorded too.
func (a *Approvals) Rule(ctx context.Context, who Actor, change id.Change, r Ruling) (ChangeView, error) {
	var decided ChangeView
	found, once := false, r.Once
	err := a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Change(change)
		if err != nil {
			return err
		}
		kind, ok := a.changes.governed[row.Kind]
		if !ok {
			return db.ErrChangeAbsent
		}
		found = true
		if who.Kind != ActorPerson {
			return ErrNoPerson
		}
		if err := kind.lock(tx); err != nil {
			return err
		}
		if err := notGone(tx, row.Kind); err != nil {
			return err
		}
		decided, err = doOnce(tx, a.ring, who, once, "change.rule", ruled{change, r}, func() (ChangeView, error) {
			view, err := changeOf(tx, change)
			if err != nil {
				return ChangeView{}, err
			}
			return a.rule(tx, who, view, kind, r)
		})
		return err
	})
	if err != nil && found {
		if failed := a.refused(ctx, who, change, r, err); failed != nil {
			return ChangeView{}, failed
		}
	}
	return decided, err
}

// ruled is what a key of a verdict stands for.
type ruled struct {
	Change id.Change
	Ruling
}

// refused records an attempt to decide that was refused.
func (a *Approvals) refused(ctx context.Context, who Actor, change id.Change, r Ruling, why error) error {
	if k := fault.KindOf(why); k != fault.KindForbidden && k != fault.KindConflict && (k != fault.KindUnavailable || r.confirmed == nil) {
		return nil
	}
	err := a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		detail := map[string]any{"code": fault.From(why).Code, "verdict": string(r.Verdict)}
		if !r.For.IsZero() {
			detail["for"] = r.For.String()
		}
		if err := r.confirmed.refuse(tx, fault.From(why).Code, detail); err != nil {
			return err
		}
		return tx.AppendAudit(auditlog.Record{Action: "change.decision_refused", Actor: who.ID(), Subject: change.String(), Detail: detail})
	})
	if err != nil {
		return fmt.Errorf("record a refused decision: %w", err)
	}
	return nil
}

// ErrFresh refuses an approval without the fresh sign-in its policy asks for.
var ErrFresh = fault.New(fault.KindConflict, "fresh_sign_in", "Its policy asks to sign in again for this decision alone. Open it, and decide there.")

// ErrExpired refuses a decision about a change whose time is over.
var ErrExpired = fault.New(fault.KindConflict, "change_expired", "This change has expired. Whoever still wants it proposes it again.")

// ErrMakerSuspended refuses to approve what somebody asked for who was suspended since.
var ErrMakerSuspended = fault.New(fault.KindConflict, "maker_suspended", "Whoever proposed this was suspended. Reject it; whoever still wants it proposes it again.")

// weighed is a ruling that may be given, before anything is written.
type weighed struct {
	view  ChangeView // as it was
	out   approval.Outcome
	proxy db.DelegationRow
}

// weigh finds what a ruling would do, or why it may not be given.
func (a *Approvals) weigh(tx *db.Tx, who Actor, view ChangeView, kind governed, r Ruling) (weighed, error) {
	one := []ChangeView{view}
	if err := a.terms(tx, one); err != nil {
		return weighed{}, err
	}
	w := weighed{view: one[0]}
	if r.Bulk && w.view.Terms.Policy.FreshSignIn {
		return w, ErrFresh
	}
	room, err := a.room(tx)
	if err != nil {
		return w, err
	}
	open, err := room.caseOf(tx, &w.view, kind)
	if err != nil {
		return w, err
	}
	by, proxy, err := room.checker(who, &w.view, kind, open.Maker, r.For)
	if err != nil {
		return w, err
	}
	if w.view.Open() && w.view.Expired(tx.Now) {
		return w, ErrExpired
	}
	w.proxy = proxy
	if w.out, err = open.Decide(by, r.Ruling); err != nil || r.Verdict == approval.VerdictReject {
		return w, err
	}
	acts, err := tx.MakerActs(w.view.Maker)
	if err == nil && !acts { // suspending takes proposals back; this one was under way meanwhile
		err = ErrMakerSuspended
	}
	if err != nil {
		return w, err
	}
	return w, a.refuseConflicted(tx, who, proxy)
}

func (a *Approvals) rule(tx *db.Tx, who Actor, view ChangeView, kind governed, r Ruling) (ChangeView, error) {
	w, err := a.weigh(tx, who, view, kind, r)
	if err != nil {
		return ChangeView{}, err
	}
	view = w.view
	view.Change = w.out.Change
	if r.Verdict == approval.VerdictReject {
		return a.reject(tx, who, view, w.out, r)
	}
	if view.Terms.Policy.FreshSignIn && r.confirmed == nil {
		return ChangeView{}, ErrFresh
	}
	vote := db.VoteRow{
		ChangeID: view.ID, VoteID: id.NewVote(tx.Now), Step: w.out.Step, MemberID: who.Member, PersonID: who.Person,
		ForMemberID: w.proxy.FromMemberID, ForPersonID: w.proxy.FromPersonID, DelegationID: w.proxy.DelegationID, Digest: view.Digest[:], Basis: string(w.out.Basis), Reason: r.Reason,
	}
	if err := tx.AddVote(vote); err != nil {
		return ChangeView{}, err
	}
	if err := r.confirmed.keep(tx, &vote); err != nil {
		return ChangeView{}, err
	}
	return a.approve(tx, who, view, kind, w.out, r)
}

// verdictDetail is what a record says of a verdict.
func verdictDetail(who Actor, view *ChangeView, out approval.Outcome, r Ruling) map[string]any {
	detail := map[string]any{
		"decided_by": who.ID(), "basis": string(out.Basis), "maker": view.Maker, "seen": hex.EncodeToString(r.Seen[:]), "verdict_reason": r.Reason,
		"policy": view.Terms.Policy.Code, "policy_version": view.Terms.Version, "signed_in_at": who.SignedInAt.Format(time.RFC3339),
	}
	if !r.For.IsZero() {
		detail["for"] = r.For.String()
	}
	if out.Step >= 0 && out.Step < len(view.Terms.Policy.Steps) {
		detail["step"] = view.Terms.Policy.Steps[out.Step].Name
	}
	if r.confirmed != nil {
		detail["confirmation"] = r.confirmed.said.Detail()
	}
	return detail
}

func (a *Approvals) reject(tx *db.Tx, who Actor, view ChangeView, out approval.Outcome, r Ruling) (ChangeView, error) {
	if err := tx.AddDecision(view.ID, 1, view.State, who.ID(), view.Digest, out.Basis, r.Reason); err != nil {
		return ChangeView{}, err
	}
	view.MovedAt, view.Decider, view.Basis, view.VerdictReason = tx.Now, who.ID(), out.Basis, r.Reason
	return view, record(tx, "change.rejected", who, view.Change, verdictDetail(who, &view, out, r))
}

// approve records an approval; the one that completes the last step applies the change.
func (a *Approvals) approve(tx *db.Tx, who Actor, view ChangeView, kind governed, out approval.Outcome, r Ruling) (ChangeView, error) {
	if view.Open() {
		return view, record(tx, "change.step_approved", who, view.Change, verdictDetail(who, &view, out, r))
	}
	if err := tx.AddDecision(view.ID, 1, view.State, who.ID(), view.Digest, out.Basis, r.Reason); err != nil {
		return ChangeView{}, err
	}
	if err := kind.dates(tx, view.EffectiveFrom); err != nil {
		return ChangeView{}, fault.New(fault.KindConflict, "period_closed", fault.From(err).Message)
	}
	if err := kind.apply(tx, view.Change); err != nil {
		return ChangeView{}, err
	}
	moved, err := a.changes.move(tx, view.Change, approval.StateApplied, 2, who.ID())
	if err != nil {
		return ChangeView{}, err
	}
	tx.Notify()
	view.Change, view.MovedAt, view.Decider, view.Basis, view.VerdictReason = moved, tx.Now, who.ID(), out.Basis, r.Reason
	return view, record(tx, "change.applied", who, view.Change, verdictDetail(who, &view, out, r))
}

// refuseConflicted refuses a checker whose accounts, with those of whom they stand in for,
// together hold what must not meet.
func (a *Approvals) refuseConflicted(tx *db.Tx, who Actor, proxy db.DelegationRow) error {
	held, err := tx.PersonRoles(who.Person)
	if err != nil {
		return err
	}
	if !proxy.DelegationID.IsZero() {
		more, err := tx.PersonRoles(proxy.FromPersonID)
		if err != nil {
			return err
		}
		held = append(held, more...)
	}
	if len(a.access.Conflicts(rolesOf(held))) > 0 {
		return ErrDuty
	}
	return nil
}

// room is everybody who might decide, as they are in one transaction.
type room struct {
	access      *Access
	now         time.Time
	tree        *hierarchy.Tree
	accounts    []account
	delegations []db.DelegationRow
	// known are answers of the access matrix: a room asks the same of many accounts.
	known map[string]bool
	// makers are the persons behind makers, and duties what conflicts keep the actor from by
	// whom they would stand in for: both are asked for once in a room.
	makers map[string]approval.Maker
	duties map[id.Delegation]error
}

// maker reads who stands behind a proposal.
func (r *room) maker(tx *db.Tx, maker string) (approval.Maker, error) {
	persons, known := r.makers[maker]
	if known {
		return persons, nil
	}
	list, err := tx.MakerPersons(maker)
	r.makers[maker] = list
	return list, err
}

// may asks the access matrix once for each set of roles.
func (r *room) may(grants []Grant, object string) bool {
	var roles strings.Builder
	roles.WriteString(object)
	for _, g := range grants {
		roles.WriteString("," + string(g.Role))
	}
	key := roles.String()
	may, known := r.known[key]
	if !known {
		may = r.access.may(id.Tenant{}, grants, object, "approve")
		r.known[key] = may
	}
	return may
}

type account struct {
	member id.Member
	person id.Person
	grants []Grant
}

// maxRoom bounds the roles of all accounts that are looked at for one decision.
const maxRoom = 20_000

// maxDelegations bounds the delegations in force.
const maxDelegations = 1000

func (a *Approvals) room(tx *db.Tx) (*room, error) {
	r := &room{access: a.access, now: tx.Now, known: map[string]bool{}, makers: map[string]approval.Maker{}, duties: map[id.Delegation]error{}}
	var err error
	if r.tree, err = treeAt(tx, time.Time{}); err != nil {
		return nil, err
	}
	if r.delegations, err = tx.Delegations(true, maxDelegations); err != nil {
		return nil, err
	}
	rows, err := tx.Persons(maxRoom)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if n := len(r.accounts); n == 0 || r.accounts[n-1].member != row.MemberID {
			r.accounts = append(r.accounts, account{member: row.MemberID, person: row.PersonID})
		}
		if last := &r.accounts[len(r.accounts)-1]; row.Role != "" {
			last.grants = append(last.grants, Grant{Role: Role(row.Role), Node: row.NodeID})
		}
	}
	return r, nil
}

// caseOf is a change with what was said about its content so far.
func (r *room) caseOf(tx *db.Tx, view *ChangeView, kind governed) (*approval.Case, error) {
	votes, err := tx.Votes(view.ID)
	if err != nil {
		return nil, err
	}
	return r.caseWith(tx, view, kind, votes)
}

func (r *room) caseWith(tx *db.Tx, view *ChangeView, kind governed, votes []db.VoteRow) (*approval.Case, error) {
	maker, err := r.maker(tx, view.Maker)
	if err != nil {
		return nil, err
	}
	open := &approval.Case{Change: view.Change, Policy: view.Terms.Policy, Floor: kind.floor, Maker: maker}
	for i := range votes {
		v := &votes[i]
		if v.ChangeID == view.ID && !v.Void && hex.EncodeToString(v.Digest) == view.DigestText() {
			open.Votes = append(open.Votes, approval.Vote{Step: v.Step, Person: v.PersonID, For: v.ForPersonID})
		}
	}
	return open, nil
}

// steps are those of a change's policy that an account may decide by itself.
func (r *room) steps(one *account, view *ChangeView, kind governed) []int {
	if r.access.denies(one.grants, kind.checks) {
		return nil
	}
	var may []int
	policy := &view.Terms.Policy
	late := policy.Escalated(view.ProposedAt, r.now) && slices.ContainsFunc(policy.EscalateTo, func(w approval.Approver) bool { return r.is(one, w, view, kind) })
	for i, step := range policy.Steps {
		if late || slices.ContainsFunc(step.Who, func(w approval.Approver) bool { return r.is(one, w, view, kind) }) {
			may = append(may, i)
		}
	}
	return may
}

// is says whether an account is one of whom a step asks, and has the right to approve.
func (r *room) is(one *account, w approval.Approver, view *ChangeView, kind governed) bool {
	if w.Owner {
		return r.may(one.grants, "owned") && r.owns(one, view.Impact.Touches)
	}
	if !r.may(one.grants, kind.checks) {
		return false
	}
	switch {
	case w.Anyone:
		return true
	case !w.Member.IsZero():
		return w.Member == one.member
	}
	return slices.ContainsFunc(one.grants, func(g Grant) bool { return string(g.Role) == w.Role })
}

// owns says whether an account owns one of some nodes: by a budget owner's subtree, or as
// the owner the node or one above it names.
func (r *room) owns(one *account, nodes []id.Node) bool {
	for _, n := range nodes {
		for _, above := range r.tree.Above(n) {
			if v, _ := r.tree.Node(above); v.Owner == one.member {
				return true
			}
			if slices.Contains(one.grants, Grant{Role: RoleBudgetOwner, Node: above}) {
				return true
			}
		}
	}
	return false
}

// checker is an actor as the one who decides, for themselves or for somebody.
func (r *room) checker(who Actor, view *ChangeView, kind governed, maker approval.Maker, standsFor id.Member) (approval.Checker, db.DelegationRow, error) {
	by := approval.Checker{ID: who.ID(), Person: who.Person, Others: r.others(who.Person, view, kind, maker)}
	me := r.account(who.Member)
	if me == nil {
		return by, db.DelegationRow{}, ErrNotAllowed
	}
	if standsFor.IsZero() {
		by.Steps = r.steps(me, view, kind)
		if len(by.Steps) == 0 && !r.rights(me, kind) && by.ID != view.Maker && !slices.Contains(maker, who.Person) {
			return by, db.DelegationRow{}, ErrNotAllowed
		}
		return by, db.DelegationRow{}, nil
	}
	for _, d := range r.delegations {
		if d.FromMemberID != standsFor || d.ToPersonID != who.Person {
			continue
		}
		if r.access.denies(me.grants, kind.checks) {
			return by, d, ErrNotAllowed
		}
		by.For = d.FromPersonID
		if from := r.account(d.FromMemberID); from != nil {
			by.Steps = r.steps(from, view, kind)
		}
		return by, d, nil
	}
	return by, db.DelegationRow{}, ErrNoDelegation
}

// ErrNoDelegation refuses who decides for somebody who did not ask them to.
var ErrNoDelegation = fault.New(fault.KindForbidden, "delegation_absent", "You do not stand in for that person now.")

// entitled says whether an account has the right to approve changes of a kind by the
// access matrix.
func (r *room) entitled(one *account, kind governed) bool {
	return r.access.may(id.Tenant{}, one.grants, kind.checks, "approve") && !r.access.denies(one.grants, kind.checks)
}

// rights says whether an account has any right to approve changes of a kind.
func (r *room) rights(one *account, kind governed) bool {
	return r.may(one.grants, kind.checks) || r.may(one.grants, "owned")
}

func (r *room) account(member id.Member) *account {
	for i := range r.accounts {
		if r.accounts[i].member == member {
			return &r.accounts[i]
		}
	}
	return nil
}

// others counts the persons but one and the makers who have the right to approve such a
// change, whether the policy asks them or not: a policy that names the maker alone lets
// nobody decide alone.
func (r *room) others(but id.Person, view *ChangeView, kind governed, maker approval.Maker) int {
	seen := map[id.Person]bool{}
	for i := range r.accounts {
		one := &r.accounts[i]
		if one.person != but && !slices.Contains(maker, one.person) && !seen[one.person] && (len(r.steps(one, view, kind)) > 0 || r.entitled(one, kind)) {
			seen[one.person] = true
		}
	}
	return len(seen)
}

// proxies are the members for whom an actor may stand in now: a person in a session. A
// token has what it was given, and nothing of whom its member stands in for.
func (r *room) proxies(who Actor) []db.DelegationRow {
	if who.Kind != ActorPerson {
		return nil
	}
	var list []db.DelegationRow
	for _, d := range r.delegations {
		if d.ToPersonID == who.Person {
			list = append(list, d)
		}
	}
	return list
}

// eyes are an actor, and whoever they stand in for now: they see what those see.
func (r *room) eyes(who Actor) []Actor {
	eyes := []Actor{who}
	for _, d := range r.proxies(who) {
		if from := r.account(d.FromMemberID); from != nil {
			eyes = append(eyes, Actor{Tenant: who.Tenant, Kind: ActorPerson, Member: from.member, Person: from.person, Grants: from.grants})
		}
	}
	return eyes
}

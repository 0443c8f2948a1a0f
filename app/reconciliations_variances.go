package app

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/db"
)

// VarianceView is one variance as its latest step has it.
type VarianceView struct {
	ID        id.Variance
	Number    int64
	Day       time.Time
	Class     reconcile.Class
	Surface   reconcile.Surface
	Key       string // the provider's id of another key
	Model     string
	Node      id.Node // zero: in all
	NodeCode  string
	Standing  reconcile.Standing
	Amount    money.Sum
	Quantity  int64
	Place     int       // of its latest step
	Owner     id.Member // zero: nobody
	OwnerName string
	WaitUntil time.Time // zero: it does not wait
	Due       bool      // somebody has to do something today
	OpenedAt  time.Time
	AgeDays   int // since its day ended
	SteppedAt time.Time
}

// VarianceQuery narrows the list of variances.
type VarianceQuery struct {
	Month  period.Month // zero: all
	State  string       // a standing, or unresolved; empty: all
	Class  string       // empty: all
	Owner  id.Member    // zero: anybody's
	Mine   bool         // the reader's own
	Before int64        // numbers below it; 0: the newest
	Limit  int
}

// VariancePage is variances, the newest number first.
type VariancePage struct {
	Variances []VarianceView
	Next      int64 // Before of the next page; 0: there is none
	Owners    []Candidate
}

// Unresolved asks for all variances but those that are resolved.
const Unresolved = "unresolved"

// Variances lists what was above tolerance.
func (r *Reconciliations) Variances(ctx context.Context, who Actor, q VarianceQuery) (VariancePage, error) {
	var page VariancePage
	if err := r.mayRead(who); err != nil {
		return page, err
	}
	switch {
	case q.State != "" && q.State != Unresolved && !reconcile.Standing(q.State).Known():
		return page, fault.Invalid("state", "variance_state_unknown", "A variance is open, explained, waiting, adjusted or resolved, or unresolved for all but the last; %.40q is none.", q.State)
	case q.Class != "" && !reconcile.Class(q.Class).Known():
		return page, fault.Invalid("class", "variance_class_unknown", "%.40q is no class of a difference.", q.Class)
	}
	if q.Mine {
		q.Owner = who.Member
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	q.Limit = min(q.Limit, MaxRows)
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		page = VariancePage{}
		page.Variances, err = r.variances(tx, &db.VarianceFilter{Month: q.Month, State: q.State, Class: q.Class, Owner: q.Owner, Before: q.Before, Limit: q.Limit + 1})
		if err != nil {
			return err
		}
		if len(page.Variances) > q.Limit {
			page.Variances = page.Variances[:q.Limit]
			page.Next = page.Variances[q.Limit-1].Number
		}
		page.Owners, err = r.owners(tx)
		return err
	})
	return page, err
}

// owners are the persons who can answer for a variance, by name.
func (r *Reconciliations) owners(tx *db.Tx) ([]Candidate, error) {
	members, err := r.members.membersAt(tx, tx.Now)
	if err != nil {
		return nil, err
	}
	var list []Candidate
	for i := range members {
		if members[i].State() == MemberActive && !members[i].Service {
			list = append(list, Candidate{Member: members[i].ID, Name: members[i].Name})
		}
	}
	slices.SortFunc(list, func(a, b Candidate) int { return strings.Compare(a.Name+a.Member.String(), b.Name+b.Member.String()) })
	return list[:min(len(list), maxCandidates)], nil
}

func (r *Reconciliations) variances(tx *db.Tx, f *db.VarianceFilter) ([]VarianceView, error) {
	rows, err := tx.Variances(f)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return r.varianceViews(tx, rows)
}

func (r *Reconciliations) varianceViews(tx *db.Tx, rows []db.VarianceRow) ([]VarianceView, error) {
	var owners []string
	for i := range rows {
		if rows[i].OwnerMemberID != nil {
			owners = append(owners, rows[i].OwnerMemberID.String())
		}
	}
	hands, err := r.members.hands(tx, owners)
	if err != nil {
		return nil, err
	}
	codes, err := codesAt(tx, rows[len(rows)-1].Day.UTC())
	if err != nil {
		return nil, err
	}
	list := make([]VarianceView, 0, len(rows))
	for i := range rows {
		row := &rows[i]
		v := VarianceView{
			ID: row.VarianceID, Number: row.Number, Day: row.Day.UTC(), Class: reconcile.Class(row.Class), Surface: reconcile.Surface(row.Surface), Key: row.APIKey, Model: row.Model,
			Standing: reconcile.Standing(row.State), Quantity: row.Quantity, Place: row.Steps, OpenedAt: row.RecordedAt.UTC(), AgeDays: reconcile.AgeDays(row.Day, tx.Now), SteppedAt: row.SteppedAt.UTC(),
		}
		if v.Amount, err = money.SumOfPico(row.AmountPico); err != nil {
			return nil, err
		}
		if row.NodeID != nil {
			v.Node, v.NodeCode = *row.NodeID, codes(*row.NodeID)
		}
		if row.OwnerMemberID != nil {
			v.Owner, v.OwnerName = *row.OwnerMemberID, hands[row.OwnerMemberID.String()].Name
		}
		if row.WaitUntil != nil {
			v.WaitUntil = row.WaitUntil.UTC()
		}
		stands := reconcile.Variance{Standing: v.Standing, WaitUntil: v.WaitUntil}
		v.Due = stands.Due(tx.Now.Truncate(oneDay))
		list = append(list, v)
	}
	return list, nil
}

// VarianceStepView is one step of a variance, with the files that came with it.
type VarianceStepView struct {
	reconcile.Step

	Hand             Hand
	OwnerName        string
	Change           id.Change // zero: a run found it
	Run              int64     // its number; 0: none
	AdjustmentNumber int64
	Files            []AttachmentView
}

// VarianceCase is one variance with its steps, the items it is made of, and what may be done.
type VarianceCase struct {
	VarianceView

	Steps     []VarianceStepView
	Items     []ItemView
	Owners    []Candidate
	CanAct    bool
	CanReview bool // and is none of those who explained it
	Simulated bool
}

// Variance is one variance.
func (r *Reconciliations) Variance(ctx context.Context, who Actor, variance id.Variance) (VarianceCase, error) {
	var c VarianceCase
	if err := r.mayRead(who); err != nil {
		return c, err
	}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, found, err := tx.Variance(variance)
		if err != nil {
			return err
		}
		if !found {
			return ErrVarianceAbsent
		}
		views, err := r.varianceViews(tx, []db.VarianceRow{row})
		if err != nil {
			return err
		}
		c = VarianceCase{VarianceView: views[0], CanAct: r.takesSteps(who)}
		if err := r.caseSteps(tx, &c, who); err != nil {
			return err
		}
		if c.Owners, err = r.owners(tx); err != nil {
			return err
		}
		var terms Calendar
		if err := terms.terms(tx); err != nil {
			return err
		}
		c.Simulated = terms.Simulated
		return c.items(tx)
	})
	return c, err
}

// caseSteps reads the steps with their names and files.
func (r *Reconciliations) caseSteps(tx *db.Tx, c *VarianceCase, who Actor) error {
	rows, err := tx.VarianceSteps(c.ID, maxVarianceSteps)
	if err != nil {
		return err
	}
	var names []string
	for i := range rows {
		names = append(names, rows[i].Actor)
		if rows[i].OwnerMemberID != nil {
			names = append(names, rows[i].OwnerMemberID.String())
		}
	}
	hands, err := r.members.hands(tx, names)
	if err != nil {
		return err
	}
	runs, err := tx.Runs(c.Day, maxVarianceSteps)
	if err != nil {
		return err
	}
	var v reconcile.Variance
	present := &presently{tx: tx}
	for i := range rows {
		step, err := present.stepOf(&rows[i])
		if err != nil {
			return err
		}
		if v, err = v.Take(&step); err != nil {
			return err
		}
		view := VarianceStepView{Step: step, Hand: hands[rows[i].Actor]}
		if rows[i].OwnerMemberID != nil {
			view.OwnerName = hands[rows[i].OwnerMemberID.String()].Name
		}
		if err := view.rest(tx, &rows[i], runs, hands); err != nil {
			return err
		}
		c.Steps = append(c.Steps, view)
	}
	mine, err := present.author(who.ID(), who.Person)
	c.CanReview = r.mayReview(who) && (v.Standing == reconcile.StandingExplained || v.Standing == reconcile.StandingAdjusted) && !v.Wrote(mine)
	return err
}

// rest reads what a step names: the run, the change that settles, the files.
func (s *VarianceStepView) rest(tx *db.Tx, row *db.VarianceStepRow, runs []db.RunRow, hands map[string]Hand) error {
	if row.RunID != nil {
		if k := slices.IndexFunc(runs, func(one db.RunRow) bool { return one.RunID == *row.RunID }); k >= 0 {
			s.Run = runs[k].Number
		}
	}
	if row.AdjustmentChangeID != nil {
		change, err := tx.Change(*row.AdjustmentChangeID)
		if err != nil {
			return err
		}
		s.AdjustmentNumber = change.Number
	}
	if row.ChangeID == nil {
		return nil
	}
	s.Change = *row.ChangeID
	files, err := tx.Attachments(*row.ChangeID)
	for _, f := range files {
		s.Files = append(s.Files, AttachmentView{
			ID: f.AttachmentID, Name: f.Name, MediaType: f.MediaType, SHA256: hex.EncodeToString(f.SHA256), Bytes: f.Bytes, Who: hands[f.Actor], RecordedAt: f.RecordedAt.UTC(),
		})
	}
	return err
}

// items reads those of the day's present reconciliation that the variance is about.
func (c *VarianceCase) items(tx *db.Tx) error {
	run, found, err := tx.LastRun(c.Day)
	if err != nil || !found {
		return err
	}
	w := Workbench{ReconciledDay: ReconciledDay{Day: c.Day, Run: run.RunID}}
	if err := w.items(tx); err != nil {
		return err
	}
	if c.Surface == "" {
		return c.small(tx, w.Items)
	}
	for i := range w.Items {
		it := &w.Items[i]
		s := it.Subject()
		same := s.Class == c.Class && s.Surface == c.Surface && s.Key == c.Key && s.Model == c.Model
		if !c.Node.IsZero() {
			same = s.Class == c.Class && slices.ContainsFunc(it.Shares, func(n NodeShare) bool { return n.Node == c.Node })
		}
		if same {
			c.Items = append(c.Items, *it)
		}
	}
	return nil
}

// small keeps the items of a variance that is of many together: those of its class, or of all,
// that have no variance of their own.
func (c *VarianceCase) small(tx *db.Tx, items []ItemView) error {
	rows, err := tx.Variances(&db.VarianceFilter{Day: c.Day, Limit: maxVariances})
	for i := range items {
		s := items[i].Subject()
		if s.Class.Waits() || (c.Class != reconcile.ClassSeveral && s.Class != c.Class) || slices.ContainsFunc(rows, func(row db.VarianceRow) bool {
			if row.Kind == string(reconcile.StepGone) || row.NodeID != nil {
				return false
			}
			if row.Surface == "" {
				return c.Class == reconcile.ClassSeveral && row.Class == string(s.Class)
			}
			return row.Class == string(s.Class) && row.Surface == string(s.Surface) && row.APIKey == s.Key && row.Model == s.Model
		}) {
			continue
		}
		c.Items = append(c.Items, items[i])
	}
	return err
}

// Evidence reads a file that came with a step of a variance.
func (r *Reconciliations) Evidence(ctx context.Context, who Actor, variance id.Variance, file id.Attachment) (AttachmentView, []byte, error) {
	var view AttachmentView
	var content []byte
	if err := r.mayRead(who); err != nil {
		return view, nil, err
	}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		steps, err := tx.VarianceSteps(variance, maxVarianceSteps)
		if err != nil {
			return err
		}
		for i := range steps {
			if steps[i].ChangeID == nil {
				continue
			}
			row, body, err := tx.Attachment(*steps[i].ChangeID, file)
			if fault.KindOf(err) == fault.KindNotFound && err != nil {
				continue
			}
			content = body
			view = AttachmentView{ID: row.AttachmentID, Name: row.Name, MediaType: row.MediaType, SHA256: hex.EncodeToString(row.SHA256), Bytes: row.Bytes, RecordedAt: row.RecordedAt.UTC()}
			return err
		}
		return db.ErrAttachmentAbsent
	})
	return view, content, err
}

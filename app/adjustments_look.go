package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// RetagLook is some requests as they lie before somebody charges them elsewhere.
type RetagLook struct {
	Count       int
	Charge      money.Sum
	Periods     []period.Month
	First, Last time.Time
	// Digest names this very list: a proposal that says it is about these and no others.
	Digest string
	From   []RetagSource // by path
	Moved  int           // how many were moved before
}

// RetagSource is one node's part of them.
type RetagSource struct {
	Code, Path string
	Requests   int // with a share there
	Charge     money.Sum
}

// Look reads requests that somebody may propose to charge elsewhere, where they lie now.
func (a *Adjustments) Look(ctx context.Context, who Actor, asked Retag) (RetagLook, error) {
	var look RetagLook
	if err := a.changes.allowed(who, changeRetag); err != nil {
		return look, err
	}
	err := a.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error { // holds the months, as a proposal does
		s, err := a.chosen(tx, who, &asked, a.access.Scope(who, "retag", "propose"))
		if err != nil {
			return err
		}
		said, _, err := s.payload(nil)
		if err != nil {
			return err
		}
		look = RetagLook{Count: said.Count, First: said.First, Last: said.Last, Digest: said.Document}
		for _, text := range said.Periods {
			month, err := period.ParseMonth(text)
			if err != nil {
				return err
			}
			look.Periods = append(look.Periods, month)
		}
		if err := s.sources(&look); err != nil {
			return err
		}
		return errPreview // so that nothing of it stays
	})
	return look, previewed(err)
}

func (s *selection) sources(look *RetagLook) error {
	sums := map[string]*RetagSource{}
	for i := range s.rows {
		row := &s.rows[i]
		look.Charge.Add(money.Pico(row.ChargePico))
		if row.Moves > 0 {
			look.Moved++
		}
		parts, err := allocations(row.EventID, row.PlacementID, row.Split, money.Pico(row.ChargePico), s.places)
		if err != nil {
			return err
		}
		for _, p := range parts {
			sum := sums[p.Path]
			if sum == nil {
				sum = &RetagSource{Code: p.Code, Path: p.Path}
				sums[p.Path] = sum
			}
			sum.Requests++
			sum.Charge.Add(p.Amount)
		}
	}
	for _, sum := range sums {
		look.From = append(look.From, *sum)
	}
	slices.SortFunc(look.From, func(a, b RetagSource) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

// PostedAdjustments is what a change has posted.
type PostedAdjustments struct {
	Count  int64
	Delta  money.Sum // of all of them: zero unless prices changed
	LastAt time.Time
	// EndedAt is when a job had posted all of them; zero: not yet, or no job has to.
	EndedAt time.Time
	// Follows says that a job moves what was charged since the change's effective instant.
	Follows bool
}

// Posted sums what a change has posted, for who may read changes.
func (a *Adjustments) Posted(ctx context.Context, who Actor, change id.Change) (PostedAdjustments, error) {
	var posted PostedAdjustments
	if err := a.access.Check(who, "change", "read"); err != nil {
		return posted, err
	}
	err := a.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		sum, err := tx.AdjustmentsOf(change)
		if err != nil {
			return err
		}
		posted.Count, posted.LastAt, posted.EndedAt = sum.Adjustments, orZero(sum.LastAt), orZero(sum.EndedAt)
		if posted.Delta, err = money.SumOfPico(sum.DeltaPico); err != nil {
			return err
		}
		posted.Follows, err = follows(tx, change)
		return err
	})
	return posted, err
}

// follows says whether charges follow a change: one of the hierarchy, that was applied and
// takes effect before that.
func follows(tx *db.Tx, change id.Change) (bool, error) {
	row, err := tx.Change(change)
	if err != nil || row.Kind != changeNode || row.State != string(approval.StateApplied) {
		return false, err
	}
	view, err := changeView(&row)
	if err != nil {
		return false, err
	}
	said, err := proposed(tx, &view.Change)
	return said.TakesEffect != whenDecided && len(said.Operations) > 0 && view.EffectiveFrom.Before(view.MovedAt), err
}

const (
	besideDays = 31
	maxBeside  = 2000
)

// besides sums what the other re-tags of a change's maker move that wait or are applied: who
// would need more approvals for all of it needs them for its portions too.
func besides(tx *db.Tx, c *approval.Change) (sum money.Sum, err error) {
	persons, err := tx.MakerPersons(c.Maker)
	if err != nil {
		return sum, err
	}
	var makers []string
	for _, person := range persons {
		some, err := tx.MakersOf(person)
		if err != nil {
			return sum, err
		}
		makers = append(makers, some...)
	}
	others, err := tx.StandingBy(changeRetag, makers, tx.Now.AddDate(0, 0, -besideDays), maxBeside)
	if err != nil {
		return sum, err
	}
	terms, err := tx.Terms(slices.DeleteFunc(others, func(other id.Change) bool { return other == c.ID })...)
	if err != nil {
		return sum, err
	}
	for _, row := range terms {
		held, err := heldOf(&row)
		if err != nil {
			return sum, err
		}
		sum.AddSum(&held.impact.Moved)
	}
	return sum, nil
}

package app

import (
	"context"
	"time"

	"tollbook/app/forecast"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/variance"
	"tollbook/db"
)

// trendMonths is how many months a trend shows; they hold what a forecast looks back at.
const trendMonths = 6

// maxMonths bounds the months one may choose from: twenty years.
const maxMonths = 240

// MonthTotal is one month of a trend.
type MonthTotal struct {
	Month    period.Month
	Actual   money.Sum
	Plan     *Planned // nil: no plan is in force for it
	Requests int64
}

// Movement is why a month differs from the one before, over the same whole days.
type Movement struct {
	Month, Earlier period.Month
	// Through and Before are the last days compared, of Month and of Earlier; zero while
	// the first day is not over.
	Through, Before int
	Split           variance.Split
}

// Whole tells whether whole months are compared.
func (m *Movement) Whole() bool { return m.Through == m.Month.Days() }

// Trend is a month in the row of months before it.
type Trend struct {
	Days     []DayTotal // of the month
	Before   []DayTotal // of the month before
	Months   []MonthTotal
	Choices  []period.Month  // months with anything in them, newest first
	Forecast *forecast.Month // nil: the month is not under way, or there is nothing to go by
	Movement Movement
}

// Trend reads a month beside the months before it: by day, by month, why it differs and
// what it may come to.
func (r *Reports) Trend(ctx context.Context, who Actor, q MonthQuery) (Trend, error) {
	if err := r.access.Check(who, "chargeback", "read"); err != nil {
		return Trend{}, err
	}
	scope := r.access.Scope(who, "chargeback", "read")
	var out Trend
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if q.AsOf.IsZero() {
			q.AsOf = tx.Now
		}
		first := q.Month
		for range trendMonths - 1 {
			first = first.Previous()
		}
		rows, err := tx.PostedDays(first, q.Month, scope)
		if err != nil {
			return err
		}
		history, err := out.read(rows, q.Month)
		if err != nil {
			return err
		}
		if err := out.plans(tx, q, first, scope); err != nil {
			return err
		}
		spent := out.Months[len(out.Months)-1].Actual
		if expected, ok := forecast.ToEnd(q.Month, spent, history, tx.Now); ok {
			out.Forecast = &expected
		}
		if out.Choices, err = tx.Months(maxMonths); err != nil {
			return err
		}
		out.Movement, err = movement(tx, q.Month, scope)
		return err
	})
	return out, err
}

// read sorts the posted days into days, months and the history by day.
func (t *Trend) read(rows []db.PostedDay, month period.Month) ([]forecast.Day, error) {
	var history []forecast.Day
	for _, row := range rows {
		amount, err := money.SumOfPico(row.ChargePico)
		if err != nil {
			return nil, err
		}
		posted, day := period.MonthOf(row.PostingPeriod), row.Day.UTC()
		history = append(history, forecast.Day{Day: day, Amount: amount})
		one := DayTotal{Day: day, Amount: amount, Requests: row.Requests}
		switch posted {
		case month:
			t.Days = append(t.Days, one)
		case month.Previous():
			t.Before = append(t.Before, one)
		}
		if n := len(t.Months); n == 0 || t.Months[n-1].Month != posted {
			t.Months = append(t.Months, MonthTotal{Month: posted})
		}
		last := &t.Months[len(t.Months)-1]
		last.Actual.AddSum(&amount)
		last.Requests += row.Requests
	}
	return history, nil
}

// plans puts each month beside its plan, and in its place those nothing was posted to.
func (t *Trend) plans(tx *db.Tx, q MonthQuery, first period.Month, scope []id.Node) error {
	posted := t.Months
	t.Months = nil
	rows, err := tx.Plans(maxPlanVersions)
	if err != nil {
		return err
	}
	tree, err := treeKnown(tx, q.AsOf, q.Known)
	if err != nil {
		return err
	}
	versions := planVersions(rows)
	for m := first; !m.Start().After(q.Month.Start()); m = m.Next() {
		one := MonthTotal{Month: m}
		if len(posted) > 0 && posted[0].Month == m {
			one, posted = posted[0], posted[1:]
		}
		if one.Plan, err = planOf(tx, versions, m, q, tree, scope); err != nil {
			return err
		}
		t.Months = append(t.Months, one)
	}
	return nil
}

// Movement tells why a month differs from the one before, by model and token class.
func (r *Reports) Movement(ctx context.Context, who Actor, month period.Month) (Movement, error) {
	if err := r.access.Check(who, "chargeback", "read"); err != nil {
		return Movement{}, err
	}
	var out Movement
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		out, err = movement(tx, month, r.access.Scope(who, "chargeback", "read"))
		return err
	})
	return out, err
}

func movement(tx *db.Tx, month period.Month, scope []id.Node) (Movement, error) {
	m := Movement{Month: month, Earlier: month.Previous()}
	m.Through, m.Before = whole(month, tx.Now)
	after, err := cells(tx, m.Month, m.Through, scope)
	if err != nil {
		return m, err
	}
	before, err := cells(tx, m.Earlier, m.Before, scope)
	if err != nil {
		return m, err
	}
	m.Split = variance.Between(before, after)
	return m, nil
}

func cells(tx *db.Tx, month period.Month, through int, scope []id.Node) ([]variance.Cell, error) {
	if through == 0 {
		return nil, nil
	}
	rows, err := tx.Classes(month, month.Start().AddDate(0, 0, through), scope)
	if err != nil {
		return nil, err
	}
	list := make([]variance.Cell, 0, len(rows))
	for _, r := range rows {
		amount, err := money.SumOfPico(r.ChargePico)
		if err != nil {
			return nil, err
		}
		list = append(list, variance.Cell{Model: r.Model, Class: r.Class, Tokens: r.Tokens, Charge: amount})
	}
	return list, nil
}

// LogPosition is how far the audit log reaches: what a report's manifest states.
type LogPosition struct {
	Last    int64 // -1: nothing has its place yet
	Waiting int64 // records without a place
	At      time.Time
}

// Position reads how far the audit log reaches now.
func (r *Reports) Position(ctx context.Context, who Actor) (LogPosition, error) {
	var p LogPosition
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		p.Last, p.Waiting, err = tx.LogEnd()
		p.At = tx.Now
		return err
	})
	return p, err
}

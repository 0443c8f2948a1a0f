package app

import (
	"encoding/json"
	"fmt"
	"time"

	"tollbook/app/invoice"
	"tollbook/app/money"
	"tollbook/app/provider"
	"tollbook/app/reconcile"
	"tollbook/db"
)

// cycleDays lays the three sources of each day of an invoice's cycle side by side: what the
// ledger charged, what the provider's cost report has, and what their reconciliation found.
func cycleDays(tx *db.Tx, from, to time.Time, charged map[time.Time]money.Sum) ([]invoice.Day, error) {
	var lag time.Duration
	sources, err := tx.Sources(1)
	if err != nil {
		return nil, err
	}
	if len(sources) > 0 {
		lag = time.Duration(sources[0].SettleHours) * time.Hour
	}
	var days []invoice.Day
	at := map[time.Time]int{}
	for day := from; day.Before(to); day = day.Add(oneDay) {
		at[day] = len(days)
		one := invoice.Day{Day: day}
		if sum, there := charged[day]; there {
			one.Ledger.AddSum(&sum)
		}
		days = append(days, one)
	}
	adjusted, err := tx.AdjustedDays(from, to)
	if err != nil {
		return nil, err
	}
	for day, sum := range adjusted {
		days[at[day]].Adjusted.AddSum(&sum)
	}
	costs, err := tx.CostDays(from, to)
	if err != nil {
		return nil, err
	}
	for i := range costs {
		d := &days[at[costs[i].Day.UTC()]]
		report, err := money.SumOfPico(costs[i].AmountPico)
		if err != nil {
			return nil, err
		}
		known := provider.Pulled{AsOf: costs[i].AsOf.UTC()}
		d.Report, d.Partial = &report, !known.Complete(d.Day.Add(lag))
	}
	return days, reconciledDays(tx, from, to, days, at)
}

// reconciledDays fills in what the reconciliation that counts says of each day.
func reconciledDays(tx *db.Tx, from, to time.Time, days []invoice.Day, at map[time.Time]int) error {
	runs, err := tx.RunDays(from, to)
	if err != nil {
		return err
	}
	for i := range runs {
		d := &days[at[runs[i].Day.UTC()]]
		d.State = runs[i].State
		d.Partial = d.Partial || runs[i].State == string(reconcile.StateProvisional)
		if d.Ours, err = money.SumOfPico(runs[i].OursPico); err != nil {
			return err
		}
		if d.Billed, err = money.SumOfPico(runs[i].BilledPico); err != nil {
			return err
		}
	}
	items, err := tx.ItemDays(from, to)
	if err != nil {
		return err
	}
	for i := range items {
		amount, err := money.SumOfPico(items[i].AmountPico)
		if err != nil {
			return err
		}
		d := &days[at[items[i].Day.UTC()]]
		d.Items = append(d.Items, invoice.Item{Class: invoice.Class(items[i].Class), Amount: amount})
	}
	return nil
}

// kept reads the match of an invoice that is booked as it was then; found is false where it
// is not booked, or was before matches were kept.
func (a *allocating) kept(tx *db.Tx) (found bool, err error) {
	if a.row.AllocationID == nil {
		return false, nil
	}
	document, err := tx.AllocationMatch(*a.row.AllocationID)
	if err != nil || document == nil {
		return false, err
	}
	if err := json.Unmarshal(document, &a.match); err != nil {
		return false, fmt.Errorf("read the match of invoice %s: %w", a.invoice.Number, err)
	}
	return true, nil
}

// matchDocument is the match as it is kept beside an allocation.
func (a *allocating) matchDocument() ([]byte, error) {
	document, err := json.Marshal(&a.match)
	if err != nil {
		return nil, fmt.Errorf("encode the match of invoice %s: %w", a.invoice.Number, err)
	}
	return document, nil
}

package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tollbook/app/approval"
	"tollbook/app/closing"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// holidayDocument is a company's holidays, whole, as a maker sends them and a change says.
type holidayDocument struct {
	Days []closing.Holiday `json:"days"`
}

// AskHolidays is the proposal of the days on which nobody works.
func AskHolidays(days []closing.Holiday, reason string) Ask {
	if days == nil {
		days = []closing.Holiday{}
	}
	return ask(changeHolidays, reason, holidayDocument{Days: days})
}

func (c *Closing) draftHolidays(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var want holidayDocument
	if err := strict(payload, &want); err != nil {
		return draft{}, err
	}
	if err := closing.CheckHolidays(want.Days); err != nil {
		return draft{}, err
	}
	now, err := holidays(tx)
	if err != nil {
		return draft{}, err
	}
	if slices.Equal(now, want.Days) {
		return draft{}, fault.Invalid("days", "holidays_same", "Those are the holidays already: nothing would change.")
	}
	return draft{payload: want}, nil
}

// holidays are those in force.
func holidays(tx *db.Tx) ([]closing.Holiday, error) {
	rows, err := tx.Holidays(closing.MaxHolidays)
	if err != nil {
		return nil, err
	}
	list := make([]closing.Holiday, 0, len(rows))
	for i := range rows {
		list = append(list, closing.Holiday{Day: rows[i].Day.UTC().Format(time.DateOnly), Name: rows[i].Name})
	}
	return list, nil
}

// holidayCalendar is the same for counting workdays.
func holidayCalendar(tx *db.Tx) (closing.Calendar, error) {
	rows, err := tx.Holidays(closing.MaxHolidays)
	if err != nil {
		return nil, err
	}
	free := closing.Calendar{}
	for i := range rows {
		free[rows[i].Day.UTC()] = true
	}
	return free, nil
}

func (c *Closing) applyHolidays(tx *db.Tx, ch approval.Change) error {
	var want holidayDocument
	if err := stored(ch, &want); err != nil {
		return err
	}
	rows := make([]db.HolidayRow, 0, len(want.Days))
	for _, h := range want.Days {
		day, err := time.Parse(time.DateOnly, h.Day)
		if err != nil {
			return fmt.Errorf("read holiday of change %s: %w", ch.ID, err)
		}
		rows = append(rows, db.HolidayRow{Day: day, Name: h.Name})
	}
	return tx.AddHolidays(rows, tx.Now, ch.ID)
}

func (c *Closing) holidaysImpact(tx *db.Tx, ch approval.Change) (approval.Impact, error) {
	var want holidayDocument
	if err := stored(ch, &want); err != nil {
		return approval.Impact{}, err
	}
	now, err := holidays(tx)
	if err != nil {
		return approval.Impact{}, err
	}
	return approval.Impact{Sentence: fmt.Sprintf("From now on due days of closes pass over %d holidays, instead of %d. No charge and no signature changes.", len(want.Days), len(now))}, nil
}

// HolidayView is the list in force.
type HolidayView struct {
	Days    []closing.Holiday
	Version int // 0: nobody has made a list
	Change  id.Change
}

// Holidays are the days on which nobody works, as due days of closes count them.
func (c *Closing) Holidays(ctx context.Context, who Actor) (HolidayView, error) {
	var view HolidayView
	if err := c.access.Check(who, "period", "read"); err != nil {
		return view, err
	}
	err := c.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) (err error) {
		if view.Days, err = holidays(tx); err != nil {
			return err
		}
		lists, err := tx.HolidayLists(1)
		if err == nil && len(lists) > 0 {
			view.Version, view.Change = lists[0].Version, lists[0].ChangeID
		}
		return err
	})
	return view, err
}

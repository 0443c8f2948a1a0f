package app

import (
	"slices"
	"time"

	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// journalProof is how the journal of a month of charges compares with the charges.
type journalProof struct {
	days    int // that are posted and agree, node by node, to the pico-dollar and the cent
	wrong   int // that are posted and do not
	waiting int // whose charges have moved since, or that are not over
	charges money.Sum
	basis   money.Sum
	owed    money.Cents // the liability
	rounded money.Cents // what the basis comes to
}

func (p *journalProof) agree() bool {
	return p.wrong == 0 && p.owed == p.rounded && (p.waiting > 0 || p.charges.Cmp(&p.basis) == 0)
}

func (p *journalProof) detail() map[string]any {
	return map[string]any{
		"agree": p.agree(), "days": p.days, "wrong": p.wrong, "waiting": p.waiting, "charges_pico": p.charges.Digits(), "basis_pico": p.basis.Digits(),
		"owed_cents": int64(p.owed), "rounded_cents": int64(p.rounded),
	}
}

// proveJournal compares what is posted of each day with what its charges alone come to in
// cents, and what is owed with the rounded sum of the month. A day whose charges have moved
// since its last entry waits for the next.
func proveJournal(tx *db.Tx, month period.Month) (*journalProof, error) {
	proof := &journalProof{}
	cells, err := tx.Cells(month, time.Time{}, tx.Now.Add(oneDay))
	if err != nil {
		return nil, err
	}
	posted, err := tx.PostedOf(month, time.Time{}, tx.Now.Add(oneDay))
	if err != nil {
		return nil, err
	}
	printed, err := tx.LastFingerprints(month)
	if err != nil {
		return nil, err
	}
	booked, err := tx.Booked(month)
	if err != nil {
		return nil, err
	}
	rounded, err := money.WholeCents([]money.Sum{booked.Charges})
	if err != nil {
		return nil, err
	}
	proof.owed, proof.rounded = booked.Owed, rounded[0]
	proof.basis.AddSum(&booked.Charges)
	charged, lines := byDay(cells, func(c *db.CellRow) time.Time { return c.Day }), byDay(posted, func(l *db.JournalLineRow) time.Time { return l.SourceDay })
	var days []time.Time
	for day := range charged {
		days = append(days, day)
	}
	for day := range lines {
		if _, there := charged[day]; !there {
			days = append(days, day)
		}
	}
	if len(days) == 0 {
		return proof, nil
	}
	slices.SortFunc(days, time.Time.Compare)
	s, err := setUp(tx, days[0])
	if err != nil {
		return nil, err
	}
	for _, at := range days {
		day, err := s.day(month, at, charged[at], lines[at])
		if err != nil {
			return nil, err
		}
		if err := proof.add(&day, printed[at] == db.Fingerprint(charged[at])); err != nil {
			return nil, err
		}
	}
	return proof, nil
}

// add takes a day; current says that its charges are those that its last entry was made of.
func (p *journalProof) add(day *ledger.Day, current bool) error {
	for i := range day.Cells {
		p.charges.AddSum(&day.Cells[i].Charge)
	}
	differing, err := day.Differing()
	if err != nil {
		return err
	}
	switch {
	case len(differing) == 0:
		p.days++
	case current:
		p.wrong++
	default:
		p.waiting++
	}
	return nil
}

func byDay[R any](rows []R, day func(*R) time.Time) map[time.Time][]R {
	days := map[time.Time][]R{}
	for i := range rows {
		at := day(&rows[i]).UTC()
		days[at] = append(days[at], rows[i])
	}
	return days
}

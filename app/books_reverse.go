package app

import (
	"fmt"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/period"
	"tollbook/db"
)

// reversalDocument is what a change says that takes an entry back.
type reversalDocument struct {
	Entry  string `json:"entry"`
	Number int64  `json:"number"`
	Period string `json:"period"` // it is posted to
	Digest string `json:"digest"` // of the entry that its approver looked at
}

// reversalAsk is what a maker sends.
type reversalAsk struct {
	Entry  string `json:"entry"`
	Period string `json:"period"`
}

// AskReversal is the proposal to take an entry back, line by line, in the books of a month.
func AskReversal(entry id.Entry, month period.Month, reason string) Ask {
	return ask(changeReversal, reason, reversalAsk{Entry: entry.String(), Period: month.String()})
}

// reversal is an entry, with its lines, and where the one that takes it back is posted.
func reversal(tx *db.Tx, entry id.Entry, month period.Month) (EntryView, ledger.Heading, error) {
	var h ledger.Heading
	view, err := readEntry(tx, entry)
	if err != nil {
		return view, h, err
	}
	switch {
	case view.Reversed():
		return view, h, ledger.ErrReversed
	case month.Start().Before(view.Period.Start()), month.Start().After(period.MonthOf(tx.Now).Next().Start()):
		return view, h, fault.Invalid("period", "reversal_period", "Journal %d is of %s: it is taken back in that month or a later one, up to the next.", view.Number, view.Period)
	}
	state, err := tx.PostingState(month)
	if err != nil {
		return view, h, err
	}
	if state == period.StateLocked {
		return view, h, fault.Invalid("period", "period_closed", "%s is closed, and takes no entry. Take it back in an open month, or have %s reopened.", month, month)
	}
	if err := unbilled(tx, &view); err != nil {
		return view, h, err
	}
	h = ledger.Heading{ID: id.NewEntry(tx.Now), Period: month, Date: view.Date, Memo: fmt.Sprintf("Reversal of Journal %d", view.Number)}
	if period.MonthOf(h.Date) != month {
		h.Date = month.Start()
	}
	return view, h, nil
}

// unbilled refuses to take back what an invoice stands on, and to bring back the entry of an
// invoice: either would have the cycle booked twice.
func unbilled(tx *db.Tx, view *EntryView) error {
	from, err := tx.EntryOrigin(view.ID)
	switch {
	case err != nil:
		return err
	case ledger.Kind(from.Kind) == ledger.KindInvoice && from.Number != view.Number:
		return fault.New(fault.KindConflict, "reversal_invoice", fmt.Sprintf("Journal %d took the entry of an invoice back. To book the invoice again, allocate it again.", view.Number))
	case from.Invoice != "":
		return fault.New(fault.KindConflict, "reversal_billed", fmt.Sprintf("Journal %d booked invoice %s in the place of what this is about. Take that entry back first.", from.InvoiceEntry, from.Invoice))
	}
	return nil
}

func (b *Books) draftReversal(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var asked reversalAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	entry, err := id.ParseEntry(asked.Entry)
	if err != nil {
		return draft{}, fault.Invalid("entry", "id_syntax", "%.60q is no journal entry's id.", asked.Entry)
	}
	month, err := period.ParseMonth(asked.Period)
	if err != nil {
		return draft{}, err
	}
	view, _, err := reversal(tx, entry, month)
	return draft{payload: reversalDocument{Entry: entry.String(), Number: view.Number, Period: month.String(), Digest: view.Digest}}, err
}

// asked reads which entry a change takes back, and where.
func (d *reversalDocument) asked(c approval.Change) (entry id.Entry, month period.Month, err error) {
	if err = stored(c, d); err != nil {
		return entry, month, err
	}
	if entry, err = id.ParseEntry(d.Entry); err != nil {
		return entry, month, err
	}
	month, err = period.ParseMonth(d.Period)
	return entry, month, err
}

// applyReversal posts the entry that takes another back.
func (b *Books) applyReversal(tx *db.Tx, c approval.Change) error {
	var doc reversalDocument
	entry, month, err := doc.asked(c)
	if err != nil {
		return err
	}
	view, heading, err := reversal(tx, entry, month)
	if fault.KindOf(err) == fault.KindInvalid && err != nil {
		return errOvertaken(fault.From(err).Code, fault.From(err).Message)
	}
	if err != nil {
		return err
	}
	if heading.Number, err = tx.Counter("journal_entry"); err != nil {
		return err
	}
	back, err := view.Reverse(heading, view.Reversed())
	if err != nil {
		return err
	}
	return store(tx, &back, "", c.ID)
}

func (b *Books) reversalImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var doc reversalDocument
	entry, month, err := doc.asked(c)
	if err != nil {
		return approval.Impact{}, err
	}
	view, err := readEntry(tx, entry)
	if err != nil {
		return approval.Impact{}, err
	}
	impact := approval.Impact{Sentence: fmt.Sprintf("Journal %d of %s, $%s in debits and credits, is taken back line by line in the books of %s. The charges themselves, and what each node is charged, stay.",
		view.Number, view.Date.Format(time.DateOnly), view.Total, month)}
	impact.Moved.AddCents(view.Total)
	return impact, nil
}

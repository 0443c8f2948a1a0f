package packet

import (
	"fmt"

	"tollbook/app/fault"
	"tollbook/app/ledger"
	"tollbook/app/money"
)

// ties refuses figures of which one table says another amount than the one it rests on: what
// is made of such figures would not be a packet.
func (f *Figures) ties() error {
	for _, tie := range []func(*Figures) string{tieInvoices, tieShares, tieReconciled, tieEntries, tieExports} {
		if why := tie(f); why != "" {
			return fault.New(fault.KindInternal, "packet_sums", why+" No packet is made of figures that disagree.")
		}
	}
	return nil
}

// tieInvoices holds invoices to their lines, and their differences to the reasons.
func tieInvoices(f *Figures) string {
	for k := range f.Invoices {
		i := &f.Invoices[k]
		var lines money.Cents
		for _, l := range i.Lines {
			lines += l.Amount
		}
		if lines != i.Total {
			return fmt.Sprintf("The lines of invoice %s come to %s, and its total is %s.", i.Number, lines, i.Total)
		}
		left := i.difference()
		for n := range i.Items {
			left.SubSum(&i.Items[n].Amount)
		}
		if left.Sign() != 0 {
			return fmt.Sprintf("The reasons why invoice %s differs from the ledger miss its difference by %s.", i.Number, left.String())
		}
	}
	return ""
}

// tieShares holds what nodes bear, with the residual, to the invoice's total and to its lines.
func tieShares(f *Figures) string {
	if !f.Scope.Whole() {
		return "" // a part of the company bears a part
	}
	borne := map[string]money.Cents{}
	lines := map[string]map[int]money.Cents{}
	for k := range f.Shares {
		s := &f.Shares[k]
		if lines[s.Invoice] == nil {
			lines[s.Invoice] = map[int]money.Cents{}
		}
		borne[s.Invoice] += s.Amount
		lines[s.Invoice][s.Line] += s.Amount
	}
	for k := range f.Invoices {
		i := &f.Invoices[k]
		if !i.Booked {
			if borne[i.Number] != 0 {
				return fmt.Sprintf("Invoice %s is not booked, and nodes bear %s of it.", i.Number, borne[i.Number])
			}
			continue
		}
		if borne[i.Number]+i.Residual != i.Total {
			return fmt.Sprintf("Nodes bear %s of invoice %s, with a residual of %s, and its total is %s.", borne[i.Number], i.Number, i.Residual, i.Total)
		}
		apart := i.Residual // of one line alone
		for n, l := range i.Lines {
			switch lines[i.Number][n+1] {
			case l.Amount:
			case l.Amount - apart:
				apart = 0
			default:
				return fmt.Sprintf("Nodes bear %s of line %d of invoice %s, which bills %s.", lines[i.Number][n+1], n+1, i.Number, l.Amount)
			}
		}
	}
	return ""
}

// tieReconciled holds each day's items to its difference.
func tieReconciled(f *Figures) string {
	for k := range f.Reconciled {
		r := &f.Reconciled[k]
		left := r.difference()
		var unknown money.Sum
		for n := range r.Items {
			left.SubSum(&r.Items[n].Amount)
			if r.Items[n].Class == classUnknown {
				unknown.AddSum(&r.Items[n].Amount)
			}
		}
		if r.Number > 0 && left.Sign() != 0 {
			return fmt.Sprintf("The reconciling items of %s miss its difference by %s.", date(r.Day), left.String())
		}
		if r.Number > 0 && unknown.Cmp(&r.Unexplained) != 0 {
			return fmt.Sprintf("Of %s %s is unexplained, and its unknown items come to %s.", date(r.Day), r.Unexplained.String(), unknown.String())
		}
	}
	return ""
}

// classUnknown is the class of a day's items that nothing explains.
const classUnknown = "unknown"

// tieEntries holds each entry of the journal to balance in every entity and currency.
func tieEntries(f *Figures) string {
	if f.Books == nil {
		return ""
	}
	for k := range f.Books.Entries {
		e := &f.Books.Entries[k]
		sums := map[[2]string]money.Cents{}
		for n := range e.Lines {
			sums[[2]string{e.Lines[n].Entity, e.Lines[n].Currency}] += e.Lines[n].Cents
		}
		for book, cents := range sums {
			if cents != 0 {
				return fmt.Sprintf("Entry %d does not balance in the books of %q: debits less credits are %s.", e.Number, book[0], cents)
			}
		}
	}
	return ""
}

// tieExports holds what was exported to the lines of the journal it holds.
func tieExports(f *Figures) string {
	if f.Books == nil {
		return ""
	}
	at := map[int64]*ledger.Entry{}
	for k := range f.Books.Entries {
		at[f.Books.Entries[k].Number] = &f.Books.Entries[k]
	}
	for k := range f.Exported {
		x := &f.Exported[k]
		var debits, credits money.Cents
		lines := 0
		for _, number := range x.Entries {
			e := at[number]
			if e == nil {
				return fmt.Sprintf("Export %s holds entry %d, which the month’s journal does not.", x.ExternalID, number)
			}
			for n := range e.Lines {
				if l := &e.Lines[n]; l.Entity == x.Entity && l.Cents != 0 {
					lines++
					debits += l.Debit()
					credits += l.Credit()
				}
			}
		}
		if debits != x.Total || credits != x.Total || lines != x.Lines {
			return fmt.Sprintf("Export %s is of %d lines and %s, and the journal’s lines in it are %d with debits of %s and credits of %s.", x.ExternalID, x.Lines, x.Total, lines, debits, credits)
		}
	}
	return ""
}

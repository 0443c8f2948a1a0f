package packet

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app/export"
	"tollbook/app/money"
)

func date(at time.Time) cell {
	if at.IsZero() {
		return nil
	}
	return at.UTC().Format(time.DateOnly)
}

func stamp(at time.Time) cell {
	if at.IsZero() {
		return nil
	}
	return at.UTC().Format(time.RFC3339)
}

// kinds of lines of an invoice that have a column of their own.
func (i *Invoice) of(kinds ...string) (sum money.Cents) {
	for k := range i.Lines {
		if slices.Contains(kinds, i.Lines[k].Kind) {
			sum += i.Lines[k].Amount
		}
	}
	return sum
}

// difference is what an invoice has above what its days were charged.
func (i *Invoice) difference() money.Sum {
	var d money.Sum
	d.AddCents(i.Total)
	d.SubSum(&i.Ledger)
	return d
}

// unexplained is what of the difference nothing explains, and so stays after all reasons.
func (i *Invoice) unexplained() money.Sum {
	left := i.difference()
	for k := range i.Items {
		if i.Items[k].Class != classUnexplained {
			left.SubSum(&i.Items[k].Amount)
		}
	}
	return left
}

// classUnexplained is the class of a difference that nothing explains.
const classUnexplained = "unexplained"

// byInvoice is each invoice of the month, as it is booked or would be.
func byInvoice(f *Figures, _ *settled) *table {
	if len(f.Invoices) == 0 {
		return nil
	}
	t := &table{
		sheet: "Invoices", title: "Invoices", printed: true,
		note: "Issued for cycles that end in the month. Before is what an invoice has above the charges of its cycle’s days; after is what no reason below explains.",
		columns: []column{
			{"Number", text, 34}, {"Revision", number, 0}, {"Workspace", text, 0}, {"Issuer", text, 0}, {"Reference", text, 0}, {"Issued", text, 0}, {"Due", text, 0}, {"From", text, 23}, {"Through", text, 23}, {"Currency", text, 0},
			{"Usage", cents, 0}, {"Discounts", cents, 0}, {"Credits", cents, 16}, {"Fees", cents, 0}, {"Seats", cents, 0}, {"Commitments", cents, 0}, {"Tax", cents, 16}, {"Total", cents, 20},
			{"Ledger", exact, 0}, {"Cost report", exact, 0}, {"Difference before", exact, 0}, {"Difference after", exact, 0}, {"Before", change, 18}, {"After", change, 16},
			{"Accrued before", cents, 0}, {"Residual booked", cents, 0}, {"Booked", text, 0}, {"Entry", number, 0}, {"Document SHA-256", code, 0},
		},
	}
	var total, tax, credits, residual money.Cents
	for k := range f.Invoices {
		i := &f.Invoices[k]
		before, after := i.difference(), i.unexplained()
		row := []cell{
			i.Number, int64(i.Revision), i.Workspace, i.Issuer, i.Reference, date(i.IssuedOn), date(i.DueOn), date(i.From), date(i.To.AddDate(0, 0, -1)), i.Currency,
			i.of("usage"), i.of("discount"), i.of("credit"), i.of("fee"), i.of("seats"), i.of("commitment"), i.of("tax"), i.Total,
			i.Ledger.String(), nil, before.String(), after.String(), before.Display(), after.Display(), i.Accrued, i.Residual, "not booked", nil, i.PaperSHA256,
		}
		if i.Report != nil {
			row[19] = i.Report.String()
		}
		if i.Booked {
			row[26] = "booked"
			if i.Entry > 0 {
				row[27] = i.Entry
			}
		}
		t.rows = append(t.rows, row)
		total += i.Total
		tax += i.of("tax")
		credits += i.of("credit")
		residual += i.Residual
	}
	t.total = make([]cell, len(t.columns))
	t.total[0], t.total[12], t.total[16], t.total[17], t.total[25] = "Total", credits, tax, total, residual
	t.controls = []export.Pair{pair("invoices", strconv.Itoa(len(f.Invoices))), pair("invoiced_usd", total.String()), pair("tax_usd", tax.String()), pair("residual_usd", residual.String())}
	return t
}

// byInvoiceLine is the lines of the invoices as they were entered.
func byInvoiceLine(f *Figures, _ *settled) *table {
	if len(f.Invoices) == 0 {
		return nil
	}
	t := &table{
		sheet: "Invoice lines", title: "Invoice lines", note: "As they were entered; each invoice’s lines add up to its total.",
		columns: []column{{"Invoice", text, 0}, {"Line", number, 0}, {"Kind", text, 0}, {"Description", text, 0}, {"Borne by", text, 0}, {"US dollars", cents, 0}},
	}
	var total money.Cents
	for k := range f.Invoices {
		for n, l := range f.Invoices[k].Lines {
			t.rows = append(t.rows, []cell{f.Invoices[k].Number, int64(n + 1), word(l.Kind), l.Description, l.Node, l.Amount})
			total += l.Amount
		}
	}
	t.total = []cell{"Total", nil, nil, nil, nil, total}
	t.controls = []export.Pair{pair("invoiced_usd", total.String())}
	return t
}

// byReason is why each invoice differs from what its days were charged.
func byReason(f *Figures, _ *settled) *table {
	t := &table{
		sheet: "Residual", title: "Invoice against ledger", printed: true, note: "Why each invoice is another amount than its days were charged, by class: together the whole difference, exactly.",
		columns: []column{{"Invoice", text, 34}, {"Class", text, 24}, {"Why", text, 62}, {"US dollars", change, 24}, {"Exact", exact, 40}},
	}
	var total money.Sum
	for k := range f.Invoices {
		for n := range f.Invoices[k].Items {
			item := &f.Invoices[k].Items[n]
			t.rows = append(t.rows, []cell{f.Invoices[k].Number, word(item.Class), item.Why, item.Amount.Display(), item.Amount.String()})
			total.AddSum(&item.Amount)
		}
	}
	if len(t.rows) == 0 {
		return nil
	}
	t.total = []cell{"Total", nil, nil, total.Display(), total.String()}
	t.controls = []export.Pair{pair("difference_usd", total.String())}
	return t
}

// byShare is what each node bears of each line of an invoice that is booked.
func byShare(f *Figures, _ *settled) *table {
	if len(f.Shares) == 0 {
		return nil
	}
	t := &table{
		sheet: "Allocation", title: "Allocation", note: "Each line of a booked invoice to the nodes that bear it, by largest remainder on exact weights. With the residual they are the invoice to the cent.",
		columns: []column{
			{"Invoice", text, 0}, {"Line", number, 0}, {"Kind", text, 0}, {"Code", text, 0}, {"Path", text, 0}, {"Entity", text, 0}, {"GL account", text, 0}, {"Capitalization", text, 0}, {"Weight", text, 0}, {"US dollars", cents, 0},
		},
	}
	var total money.Cents
	for k := range f.Shares {
		s := &f.Shares[k]
		t.rows = append(t.rows, []cell{s.Invoice, int64(s.Line), word(s.Kind), s.Code, s.Path, s.Entity, s.GLAccount, s.Capitalization, s.Weight, s.Amount})
		total += s.Amount
	}
	t.total = []cell{"Total", nil, nil, nil, nil, nil, nil, nil, nil, total}
	t.controls = []export.Pair{pair("allocated_usd", total.String())}
	return t
}

// borne is the allocation by node, for paper.
func borne(f *Figures) *table {
	if len(f.Shares) == 0 {
		return nil
	}
	t := &table{
		title: "Allocation by node", printed: true, note: "What each node bears of the invoices that are booked, itself and not what lies below it; line by line in the workbook.",
		columns: []column{{"Code", text, 24}, {"Path", text, 66}, {"Entity", text, 18}, {"Capitalization", text, 22}, {"Lines", number, 14}, {"US dollars", cents, 22}},
	}
	type place struct{ path, entity, capitalization string }
	at := map[place]int{}
	var total money.Cents
	for k := range f.Shares {
		s := &f.Shares[k]
		key := place{s.Path, s.Entity, s.Capitalization}
		n, there := at[key]
		if !there {
			n = len(t.rows)
			at[key] = n
			t.rows = append(t.rows, []cell{s.Code, s.Path, s.Entity, s.Capitalization, int64(0), money.Cents(0)})
		}
		t.rows[n][4] = t.rows[n][4].(int64) + 1
		t.rows[n][5] = t.rows[n][5].(money.Cents) + s.Amount
		total += s.Amount
	}
	slices.SortStableFunc(t.rows, func(a, b []cell) int { return cmp.Compare(a[1].(string), b[1].(string)) })
	t.total = []cell{"Total", nil, nil, nil, int64(len(f.Shares)), total}
	return t
}

// byReconciled is each day against what the provider reports.
func byReconciled(f *Figures, _ *settled) *table {
	if len(f.Reconciled) == 0 {
		return nil
	}
	t := &table{
		sheet: "Reconciliation", title: "Reconciliation by day", printed: true, note: "Each UTC day’s charges against the provider’s reports of cost and usage. " + f.tested(),
		columns: []column{
			{"Day", text, 24}, {"State", text, 26}, {"Reconciliation", number, 0}, {"Ledger", cents, 20}, {"Cost report", cents, 20}, {"Difference", change, 20}, {"Ledger, exact", exact, 0}, {"Cost report, exact", exact, 0},
			{"Difference, exact", exact, 0}, {"Unexplained, exact", exact, 0}, {"Unexplained", change, 22}, {"Ledger at list", exact, 0}, {"Cost report at list", exact, 0}, {"Requests", number, 0}, {"Usage report requests", number, 0},
			{"Tokens", number, 0}, {"Usage report tokens", number, 0}, {"Coverage", fraction, 18}, {"Open variances", number, 0}, {"Preparer", text, 26}, {"Prepared at", text, 0}, {"Reviewer", text, 24}, {"Reviewed at", text, 0}, {"Digest", code, 0},
		},
	}
	var ours, billed, unexplained money.Sum
	for k := range f.Reconciled {
		r := &f.Reconciled[k]
		d := r.difference()
		row := []cell{
			date(r.Day), word(r.State), nil, r.Ledger.Display(), r.Billed.Display(), d.Display(), r.Ledger.String(), r.Billed.String(), d.String(), r.Unexplained.String(), r.Unexplained.Display(), r.Listed.String(), r.ListPrice.String(),
			r.OurRequests, r.TheirRequests, r.OurTokens, r.TheirTokens, coverage(r.Bps), int64(r.Open), nil, nil, nil, nil, r.Digest,
		}
		if r.Number > 0 {
			row[2] = r.Number
		}
		if r.Preparer != nil {
			row[19], row[20] = r.Preparer.Name, stamp(r.Preparer.At)
		}
		if r.Reviewer != nil {
			row[21], row[22] = r.Reviewer.Name, stamp(r.Reviewer.At)
		}
		t.rows = append(t.rows, row)
		ours.AddSum(&r.Ledger)
		billed.AddSum(&r.Billed)
		unexplained.AddSum(&r.Unexplained)
	}
	var d money.Sum
	d.AddSum(&billed)
	d.SubSum(&ours)
	t.total = make([]cell, len(t.columns))
	t.total[0], t.total[3], t.total[4], t.total[5], t.total[6], t.total[7], t.total[8], t.total[9], t.total[10] = "Total", ours.Display(), billed.Display(), d.Display(), ours.String(), billed.String(), d.String(), unexplained.String(), unexplained.Display()
	t.controls = []export.Pair{pair("reconciled_ledger_usd", ours.String()), pair("reported_usd", billed.String()), pair("difference_usd", d.String()), pair("unexplained_usd", unexplained.String())}
	return t
}

// difference is what the provider reports above what was charged.
func (r *Reconciled) difference() money.Sum {
	var d money.Sum
	d.AddSum(&r.Billed)
	d.SubSum(&r.Ledger)
	return d
}

// tested says so where the provider's reports are not the provider's.
func (f *Figures) tested() string {
	if f.Simulated {
		return "Tested against a simulator: the reports come from an address that is not Anthropic’s."
	}
	return "The reports are the provider’s own, kept byte for byte."
}

// coverage is how much passed the gateway, in words.
func coverage(bps int64) string {
	if bps < 0 {
		return ""
	}
	return strconv.FormatInt(bps/100, 10) + "." + strconv.FormatInt(bps/10%10, 10) + strconv.FormatInt(bps%10, 10) + " %"
}

// byItem is each day's reconciling items by class.
func byItem(f *Figures, _ *settled) *table {
	t := &table{
		sheet: "Reconciling items", title: "Reconciling items by day and class", note: "Why a day’s two sides differ: each day’s items are its difference, exactly.",
		columns: []column{{"Day", text, 0}, {"Class", text, 0}, {"Items", number, 0}, {"Tokens", number, 0}, {"US dollars", change, 0}, {"Exact", exact, 0}},
	}
	var total money.Sum
	for k := range f.Reconciled {
		for _, c := range f.Reconciled[k].Items {
			t.rows = append(t.rows, []cell{date(f.Reconciled[k].Day), word(c.Class), int64(c.Items), c.Quantity, c.Amount.Display(), c.Amount.String()})
			total.AddSum(&c.Amount)
		}
	}
	if len(t.rows) == 0 {
		return nil
	}
	t.total = []cell{"Total", nil, nil, nil, total.Display(), total.String()}
	t.controls = []export.Pair{pair("difference_usd", total.String())}
	return t
}

// itemClasses are the month's reconciling items by class, for paper.
func itemClasses(f *Figures) *table {
	t := &table{
		title: "Reconciling items by class", printed: true, note: "Why the provider’s reports and the ledger differ, over all days; by day in the workbook.",
		columns: []column{{"Class", text, 60}, {"Items", number, 24}, {"Tokens", number, 34}, {"US dollars", change, 24}, {"Exact", exact, 42}},
	}
	var total money.Sum
	classes := []ReconciledClass{}
	for k := range f.Reconciled {
		for _, c := range f.Reconciled[k].Items {
			n := slices.IndexFunc(classes, func(o ReconciledClass) bool { return o.Class == c.Class })
			if n < 0 {
				n, classes = len(classes), append(classes, ReconciledClass{Class: c.Class})
			}
			classes[n].Items += c.Items
			classes[n].Quantity += c.Quantity
			classes[n].Amount.AddSum(&c.Amount)
			total.AddSum(&c.Amount)
		}
	}
	if len(classes) == 0 {
		return nil
	}
	for k := range classes {
		c := &classes[k]
		t.rows = append(t.rows, []cell{word(c.Class), int64(c.Items), c.Quantity, c.Amount.Display(), c.Amount.String()})
	}
	t.total = []cell{"Total", nil, nil, total.Display(), total.String()}
	return t
}

// byException is what was above tolerance, and how it stands.
func byException(f *Figures, _ *settled) *table {
	if len(f.Variances) == 0 {
		return nil
	}
	t := &table{
		sheet: "Exceptions", title: "Differences above tolerance", printed: true, note: "Each with who looks after it and how it stands; age in days since its day ended.",
		columns: []column{
			{"Number", number, 14}, {"Day", text, 27}, {"Class", text, 28}, {"Surface", text, 0}, {"Key", text, 0}, {"Model", text, 36}, {"Node", text, 18}, {"State", text, 18}, {"Owner", text, 26}, {"Age", number, 10}, {"Tokens", number, 0}, {"US dollars", change, 20}, {"Exact", exact, 0},
		},
	}
	var total money.Sum
	for k := range f.Variances {
		v := &f.Variances[k]
		age := max(0, int64(f.At.UTC().Sub(v.Day.UTC().AddDate(0, 0, 1))/(24*time.Hour)))
		t.rows = append(t.rows, []cell{v.Number, date(v.Day), word(v.Class), word(v.Surface), v.Key, v.Model, v.Code, word(v.State), v.Owner, age, v.Quantity, v.Amount.Display(), v.Amount.String()})
		total.AddSum(&v.Amount)
	}
	t.total = make([]cell, len(t.columns))
	t.total[1], t.total[11], t.total[12] = "Total", total.Display(), total.String()
	t.controls = []export.Pair{pair("exceptions", strconv.Itoa(len(f.Variances))), pair("exceptions_usd", total.String())}
	return t
}

// byStep is the close's checklist with who signed what.
func byStep(f *Figures, _ *settled) *table {
	if len(f.Steps) == 0 {
		return nil
	}
	t := &table{
		sheet: "Sign-offs", title: "Sign-offs of the close", note: "Each step of the checklist, the digest of the figures that were signed, who prepared and who reviewed them; waivers with the change that says so.",
		columns: []column{
			{"Step", text, 0}, {"Owner", text, 0}, {"Due", text, 0}, {"State", text, 0}, {"Preparer", text, 0}, {"Preparer’s role", text, 0}, {"Prepared at", text, 0}, {"Preparer’s note", text, 0}, {"Preparer’s issuer", text, 0}, {"Preparer’s subject", text, 0},
			{"Reviewer", text, 0}, {"Reviewer’s role", text, 0}, {"Reviewed at", text, 0}, {"Reviewer’s note", text, 0}, {"Reviewer’s issuer", text, 0}, {"Reviewer’s subject", text, 0}, {"Waived because", text, 0}, {"Waived by change", number, 0}, {"Digest of the figures", code, 0},
		},
	}
	for k := range f.Steps {
		s := &f.Steps[k]
		row := []cell{word(s.Step), word(s.Owner), date(s.Due), s.state(), nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, s.Waived, nil, s.Digest}
		for at, sign := range map[int]*Signature{4: s.Preparer, 10: s.Reviewer} {
			if sign != nil {
				row[at], row[at+1], row[at+2], row[at+3], row[at+4], row[at+5] = sign.Name, sign.Role, stamp(sign.At), sign.Note, sign.Issuer, sign.Subject
			}
		}
		if s.WaivedBy > 0 {
			row[17] = s.WaivedBy
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// state is where a step stands, in words.
func (s *Step) state() string {
	switch {
	case s.Waived != "" || s.WaivedBy > 0:
		return "Waived"
	case s.Unsigned:
		return "Signed by nobody"
	case s.Reviewer != nil:
		return "Prepared and reviewed"
	case s.Preparer != nil:
		return "Prepared"
	}
	return "Not signed"
}

// byMove is how the month's books went from state to state.
func byMove(f *Figures, _ *settled) *table {
	if len(f.Moves) == 0 {
		return nil
	}
	t := &table{
		sheet: "Moves", title: "Moves of the books", note: "Each move of the month from state to state, with the change that two persons decided.",
		columns: []column{{"From", text, 0}, {"To", text, 0}, {"Revision of the books", number, 0}, {"Change", number, 0}, {"By", text, 0}, {"At", text, 0}, {"Reason", text, 0}},
	}
	for k := range f.Moves {
		m := &f.Moves[k]
		t.rows = append(t.rows, []cell{word(string(m.From)), word(string(m.To)), int64(m.Revision), m.Change, m.Name, stamp(m.At), m.Reason})
	}
	return t
}

// byExport is what was made for finance's systems.
func byExport(f *Figures, _ *settled) *table {
	if len(f.Exported) == 0 {
		return nil
	}
	t := &table{
		sheet: "ERP files", title: "Files for finance systems", printed: true, note: "Journals as they were exported: their files are in the packet byte for byte. Entries that are only shown and lines of zero cents are left out of them.",
		columns: []column{
			{"Export", number, 14}, {"System", text, 24}, {"Entity", text, 16}, {"Draft", text, 0}, {"External id", text, 58}, {"Revision", number, 0}, {"Mapping", number, 0}, {"Entries", number, 16}, {"Lines", number, 14}, {"Debits and credits", cents, 30}, {"Acknowledged", text, 0},
			{"Documents", number, 0}, {"Digest", code, 0}, {"Files", text, 0},
		},
	}
	for k := range f.Exported {
		x := &f.Exported[k]
		draft := "no"
		if x.Draft {
			draft = "DRAFT"
		}
		t.rows = append(t.rows, []cell{
			x.Number, word(x.System), x.Entity, draft, x.ExternalID, int64(x.Revision), int64(x.MappingVersion), int64(len(x.Entries)), int64(x.Lines), x.Total, strconv.Itoa(x.Acknowledged), int64(x.Documents), x.Digest, strings.Join(x.Files, ", "),
		})
	}
	return t
}

// bySpend is what passed no gateway.
func bySpend(f *Figures, _ *settled) *table {
	if len(f.Elsewhere) == 0 {
		return nil
	}
	t := &table{
		sheet: "Spend elsewhere", title: "Spend elsewhere", printed: true, note: "Stated for the month, not metered here: seats and bills that passed no gateway. It is in no other figure.",
		columns: []column{{"Code", text, 30}, {"Source", text, 60}, {"Memo", text, 64}, {"US dollars", cents, 24}},
	}
	var total money.Cents
	for k := range f.Elsewhere {
		s := &f.Elsewhere[k]
		t.rows = append(t.rows, []cell{s.Code, s.Source, s.Memo, s.Amount})
		total += s.Amount
	}
	t.total = []cell{"Total", nil, nil, total}
	t.controls = []export.Pair{pair("elsewhere_usd", total.String())}
	return t
}

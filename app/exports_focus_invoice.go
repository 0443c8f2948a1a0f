package app

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"tollbook/app/export"
	"tollbook/app/export/focus"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// focusLeaf is what tells apart who bears a charge.
type focusLeaf struct {
	node                   id.Node
	entity, capitalization string
}

// focusBill is what a month's file bills of one booked invoice: its part of the month, as the
// bridge from cycles to months cuts it. Over the files of all months it is the invoice.
type focusBill struct {
	row     db.InvoiceRow
	lines   []invoice.Line
	part    invoice.Part
	place   int                       // of the part among the invoice's
	weights map[focusLeaf][]money.Sum // what each leaf was charged in each part
	usage   map[focusLeaf]money.Cents // of lines that bill requests, this month's part
	other   []focusShare              // of the other lines
	paths   map[focusLeaf]db.ShareRow // how each leaf is called
	late    map[focusLeaf]money.Cents // accrued after it was booked: on no invoice yet
	total   money.Cents               // of this month's part
	all     []money.Sum               // what each part was charged
}

type focusShare struct {
	leaf  focusLeaf
	line  int // -1: the residual
	cents money.Cents
}

// focusBills lists the invoices that are booked and bill a day of a month, by number.
func focusBills(tx *db.Tx, month period.Month) ([]*focusBill, error) {
	rows, err := tx.Invoices(&db.InvoiceFilter{From: month.Start(), To: month.End(), Limit: MaxRows})
	if err != nil {
		return nil, err
	}
	var bills []*focusBill
	for i := range rows {
		if rows[i].AllocationID == nil {
			continue
		}
		b := &focusBill{
			row: rows[i], weights: map[focusLeaf][]money.Sum{}, usage: map[focusLeaf]money.Cents{}, paths: map[focusLeaf]db.ShareRow{}, late: map[focusLeaf]money.Cents{},
		}
		if err := b.read(tx, month); err != nil {
			return nil, err
		}
		bills = append(bills, b)
	}
	slices.SortFunc(bills, func(a, b *focusBill) int {
		return cmp.Or(cmp.Compare(a.row.Number, b.row.Number), cmp.Compare(a.row.InvoiceID.UUID(), b.row.InvoiceID.UUID()))
	})
	return bills, nil
}

// read cuts the invoice at the ends of months, and takes of each share what is this month's.
func (b *focusBill) read(tx *db.Tx, month period.Month) error {
	_, lines, err := tx.Invoice(b.row.InvoiceID)
	if err != nil {
		return err
	}
	b.lines = lines
	i := b.row.Invoice()
	i.Lines = lines
	days, err := tx.ChargedDays(i.From, i.To)
	if err != nil {
		return err
	}
	parts, err := invoice.Bridge(&i, func(from, to time.Time) money.Sum {
		var sum money.Sum
		for day, charge := range days {
			if !day.Before(from) && day.Before(to) {
				sum.AddSum(&charge)
			}
		}
		return sum
	})
	if err != nil {
		return err
	}
	for n := range parts {
		if parts[n].Month == month {
			b.part, b.place = parts[n], n
		}
		if err := b.weigh(tx, &parts[n], n, len(parts)); err != nil {
			return err
		}
	}
	shares, err := tx.Shares(*b.row.AllocationID, maxAllShares)
	if err != nil {
		return err
	}
	for n := range shares {
		if err := b.share(&shares[n]); err != nil {
			return err
		}
	}
	if b.row.ResidualCents != 0 {
		cents, err := b.ofMonth(money.Cents(b.row.ResidualCents), b.all)
		if err != nil {
			return err
		}
		b.add(focusShare{line: -1, cents: cents})
	}
	return b.accrued(tx, month)
}

// weigh notes what each leaf was charged in a part.
func (b *focusBill) weigh(tx *db.Tx, part *invoice.Part, place, parts int) error {
	rows, err := tx.ChargedOver(part.From, part.To)
	if err != nil {
		return err
	}
	b.all = append(b.all, bridgeWeight(&part.Charges))
	for i := range rows {
		leaf := focusLeaf{rows[i].NodeID, rows[i].Entity, rows[i].Capitalization}
		if b.weights[leaf] == nil {
			b.weights[leaf] = make([]money.Sum, parts)
		}
		charge, err := money.SumOfPico(rows[i].ChargePico)
		if err != nil {
			return err
		}
		b.weights[leaf][place] = bridgeWeight(&charge)
	}
	return nil
}

// bridgeWeight is a charge as a weight: nothing where it is below zero.
func bridgeWeight(charge *money.Sum) money.Sum {
	var w money.Sum
	if charge.Sign() > 0 {
		w.AddSum(charge)
	}
	return w
}

// ofMonth is this month's part of some cents of the invoice: by weights, or by days where
// nothing weighs.
func (b *focusBill) ofMonth(cents money.Cents, weights []money.Sum) (money.Cents, error) {
	weighs := slices.ContainsFunc(weights, func(w money.Sum) bool { return w.Sign() > 0 })
	if !weighs {
		weights = make([]money.Sum, len(b.all))
		for from, n := b.row.ServiceFrom.UTC(), 0; n < len(weights); n++ {
			to := period.MonthOf(from).End()
			if to.After(b.row.ServiceTo.UTC()) {
				to = b.row.ServiceTo.UTC()
			}
			weights[n].AddCents(money.Cents(to.Sub(from) / oneDay))
			from = to
		}
	}
	split, err := money.SplitSums(cents, weights)
	if err != nil {
		return 0, err
	}
	return split[b.place], nil
}

// share takes this month's part of one share.
func (b *focusBill) share(r *db.ShareRow) error {
	leaf := focusLeaf{r.NodeID, r.Entity, r.Capitalization}
	b.paths[leaf] = *r
	cents, err := b.ofMonth(money.Cents(r.Cents), b.weights[leaf])
	if err != nil {
		return err
	}
	if kind := b.lines[r.InvoicePlace-1].Kind; kind == invoice.Usage || kind == invoice.Discount {
		b.usage[leaf] += cents
		b.total += cents
		return nil
	}
	b.add(focusShare{leaf: leaf, line: r.InvoicePlace - 1, cents: cents})
	return nil
}

func (b *focusBill) add(s focusShare) {
	if s.cents != 0 {
		b.other = append(b.other, s)
		b.total += s.cents
	}
}

// accrued notes what was accrued for the part's days after the invoice was booked.
func (b *focusBill) accrued(tx *db.Tx, month period.Month) error {
	if b.row.EntryNumber == 0 || !b.row.BillsUsage {
		return nil
	}
	lines, err := tx.AccruedAfter(b.part.From, b.part.To, month, b.row.EntryNumber)
	for i := range lines {
		l := &lines[i]
		leaf := focusLeaf{l.Node, l.Entity, l.Capitalization}
		b.late[leaf] += l.Cents
		if _, known := b.paths[leaf]; !known {
			b.paths[leaf] = db.ShareRow{NodeID: l.Node, NodeCode: l.NodeCode, NodePath: l.NodePath, Entity: l.Entity, Capitalization: l.Capitalization}
		}
	}
	return err
}

// covers tells whether the invoice bills what a charge is for.
func (b *focusBill) covers(row *db.ChargeRow) bool {
	day := row.Day.UTC()
	return b.row.BillsUsage && !day.Before(b.part.From) && day.Before(b.part.To)
}

// bill divides the invoice's usage over the rows of its days, leaf by leaf, and adds rows for
// all that is no usage. exact are the rows' charges.
func (b *focusBill) bill(f *focusing, data *focus.Dataset, rows []db.ChargeRow, exact []money.Sum) error {
	byLeaf := map[focusLeaf][]int{}
	for i := range rows {
		if b.covers(&rows[i]) {
			leaf := focusLeaf{rows[i].NodeID, rows[i].Entity, rows[i].Capitalization}
			byLeaf[leaf] = append(byLeaf[leaf], i)
			data.Rows[i].InvoiceID = b.row.Number
			data.Rows[i].BilledCost = focus.Scaled(0, 2)
		}
	}
	for _, leaf := range b.leaves() {
		cents := b.usage[leaf]
		if cents == 0 {
			continue
		}
		weights := make([]money.Sum, len(byLeaf[leaf]))
		weighs := false
		for n, i := range byLeaf[leaf] {
			weights[n] = bridgeWeight(&exact[i])
			weighs = weighs || weights[n].Sign() > 0
		}
		if !weighs {
			b.append(f, data, leaf, b.row.Number, focus.Adjustment, "Usage on the invoice, of charges that lie elsewhere by now", cents)
			continue
		}
		split, err := money.SplitSums(cents, weights)
		if err != nil {
			return err
		}
		for n, i := range byLeaf[leaf] {
			data.Rows[i].BilledCost = focus.Scaled(int64(split[n]), 2)
		}
	}
	for i := range b.other {
		b.apart(f, data, &b.other[i])
	}
	for _, leaf := range b.leaves() {
		if cents := b.late[leaf]; cents != 0 {
			b.append(f, data, leaf, "", focus.Adjustment, "Accrued for days of invoice "+b.row.Number+" after it was booked: on no invoice yet", cents)
		}
	}
	return nil
}

// leaves lists who bears something, in the order of their paths.
func (b *focusBill) leaves() []focusLeaf {
	list := make([]focusLeaf, 0, len(b.paths))
	for leaf := range b.paths {
		list = append(list, leaf)
	}
	slices.SortFunc(list, func(x, y focusLeaf) int {
		return cmp.Or(cmp.Compare(b.paths[x].NodePath, b.paths[y].NodePath), cmp.Compare(x.node.UUID(), y.node.UUID()), cmp.Compare(x.entity, y.entity), cmp.Compare(x.capitalization, y.capitalization))
	})
	return list
}

// apart adds the row of a share that is of no usage, by the category of its line.
func (b *focusBill) apart(f *focusing, data *focus.Dataset, s *focusShare) {
	if s.line < 0 {
		b.append(f, data, s.leaf, b.row.Number, focus.Adjustment, "Of the invoice, explained by nothing: booked as residual", s.cents)
		return
	}
	line := &b.lines[s.line]
	category := focus.Adjustment
	switch line.Kind {
	case invoice.Tax:
		category = focus.Tax
	case invoice.Credit:
		category = focus.Credit
	case invoice.Seats, invoice.Commitment:
		category = focus.Purchase
	case invoice.Fee, invoice.Usage, invoice.Discount:
	}
	b.append(f, data, s.leaf, b.row.Number, category, upperFirst(string(line.Kind))+": "+line.Description, s.cents)
	if category != focus.Purchase {
		return
	}
	r := &data.Rows[len(data.Rows)-1]
	r.PricingCategory, r.PricingQuantity, r.PricingUnit = "Standard", focus.Scaled(1, 0), "Invoice Lines"
	r.ListUnitPrice, r.ContractedUnitPrice = r.BilledCost, r.BilledCost
	r.SkuID, r.SkuMeter, r.SkuPriceID = string(line.Kind), upperFirst(string(line.Kind)), string(line.Kind)+"/"+b.row.Number
	r.ChargeFrequency = "Recurring"
	if line.Kind == invoice.Commitment { // what is drawn down later is the cost
		r.EffectiveCost, r.ChargeFrequency = focus.Scaled(0, 2), "One-Time"
	}
}

func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// append adds a row of so many cents that no request is for. What is of no node has no
// sub-account. Rows of usage beside it carry the cost of requests, so that of a row of
// their invoice that only moves cents is nothing.
func (b *focusBill) append(f *focusing, data *focus.Dataset, leaf focusLeaf, number, category, description string, cents money.Cents) {
	at := b.paths[leaf]
	cost := focus.Scaled(int64(cents), 2)
	r := focus.Row{
		BilledCost: cost, BillingAccountID: f.tenant, BillingAccountName: f.name, BillingCurrency: "USD", BillingPeriodStart: f.month.Start(), BillingPeriodEnd: f.month.End(),
		ChargeCategory: category, ChargeDescription: description, ChargeFrequency: "One-Time", ChargePeriodStart: b.part.From, ChargePeriodEnd: b.part.To,
		EffectiveCost: cost, ListCost: cost, ContractedCost: cost, InvoiceID: number, InvoiceIssuerName: b.row.Issuer, ProviderName: b.row.Issuer, PublisherName: b.row.Issuer,
		ServiceCategory: "AI and Machine Learning", ServiceName: "Claude", ServiceSubcategory: "Generative AI",
	}
	if number == "" || strings.HasPrefix(description, "Usage on") {
		r.EffectiveCost, r.ListCost, r.ContractedCost = focus.Scaled(0, 2), focus.Scaled(0, 2), focus.Scaled(0, 2)
	}
	if at.NodeCode != "" {
		n := f.called(&at, b.part.To.Add(-time.Microsecond))
		r.SubAccountID, r.SubAccountName, r.Tags = at.NodeCode, n.name, map[string]string{"node": at.NodeCode}
		r.BusinessUnit, r.CostCenter, r.Project, r.Capitalization = n.unit, n.center, n.project, at.Capitalization
	}
	if at.Entity != "" {
		if r.Tags == nil {
			r.Tags = map[string]string{}
		}
		r.Tags["entity"] = at.Entity
	}
	data.Rows = append(data.Rows, r)
}

// called is a node in words, as it was at an instant; by its code where it was not there.
func (f *focusing) called(at *db.ShareRow, when time.Time) focusNode {
	row := db.ChargeRow{Day: when, NodeID: at.NodeID, Path: strings.ReplaceAll(at.NodePath, hierarchy.PathSeparator, "\x1f")}
	n, err := f.node(&row)
	if err != nil || n.name == "" {
		return focusNode{name: at.NodeCode}
	}
	return n
}

// billed are the control totals of a file: each invoice's part of the month.
func billedTotals(bills []*focusBill) []export.Pair {
	var list []export.Pair
	for _, b := range bills {
		list = append(list, export.Pair{Name: "invoice " + b.row.Number, Value: b.total.String()})
	}
	return list
}

package app

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"tollbook/app/closing"
	"tollbook/app/export/packet"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/db"
)

// lockedSince is since when the books of a month take nothing more in their present revision:
// closing what is locked moves nothing. found is false while they are not locked.
func lockedSince(tx *db.Tx, m period.Month) (at time.Time, found bool, err error) {
	if at, found, err = tx.LockedAt(m); err != nil || !found {
		return at, found, err
	}
	moves, err := tx.PeriodMoves(m, maxMoves)
	for i := range moves {
		if period.State(moves[i].ToState) == period.StateLocked {
			return moves[i].MovedAt.UTC(), true, err
		}
	}
	return at.UTC(), true, err
}

// invoices reads what was issued for cycles that end in the month, as it was known, with who
// bears it; of a part of the company, who bears it alone.
func (g *gathering) invoices() error {
	rows, err := g.tx.Invoices(&db.InvoiceFilter{From: g.month.Start(), To: g.month.End(), Limit: maxMonthInvoices})
	if err != nil {
		return err
	}
	latest := map[string]*db.InvoiceRow{}
	var order []string
	for i := range rows {
		r := &rows[i]
		if period.MonthOf(r.ServiceTo.UTC().AddDate(0, 0, -1)) != g.month || r.RecordedAt.After(g.asOf) {
			continue
		}
		key := r.Workspace + "\x00" + r.Number
		if latest[key] == nil {
			order = append(order, key)
		}
		if latest[key] == nil || latest[key].Revision < r.Revision {
			latest[key] = r
		}
	}
	slices.Sort(order)
	for _, key := range order {
		if err := g.invoice(latest[key]); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) invoice(r *db.InvoiceRow) error {
	a, err := allocate(g.tx, r.InvoiceID)
	if err != nil {
		return err
	}
	booked := r.AllocationID != nil && r.AllocatedAt != nil && !r.AllocatedAt.After(g.asOf)
	if booked {
		if err := g.shares(a.invoice.Number, a.invoice.Lines, *r.AllocationID); err != nil {
			return err
		}
	}
	if g.scope != nil {
		return nil
	}
	inv := packet.Invoice{
		ID: r.InvoiceID.String(), Number: a.invoice.Number, Revision: r.Revision, Workspace: a.invoice.Workspace, Issuer: a.invoice.Issuer, Reference: a.invoice.Reference, IssuedOn: a.invoice.IssuedOn.UTC(),
		DueOn: a.invoice.DueOn.UTC(), From: a.invoice.From.UTC(), To: a.invoice.To.UTC(), Currency: a.invoice.Currency, Total: a.invoice.Total, Ledger: a.match.Ledger, Report: a.match.Report, Accrued: a.owed(),
		Booked: booked, PaperSHA256: hex.EncodeToString(r.PaperHash),
	}
	if booked {
		inv.Entry, inv.Residual = r.EntryNumber, money.Cents(r.ResidualCents)
	}
	for _, l := range a.invoice.Lines {
		inv.Lines = append(inv.Lines, packet.InvoiceLine{Kind: string(l.Kind), Description: l.Description, Node: l.Node, Amount: l.Amount})
	}
	for i := range a.match.Items {
		item := &a.match.Items[i]
		inv.Items = append(inv.Items, packet.Reason{Class: string(item.Class), Amount: item.Amount, Why: item.Why})
	}
	g.f.Invoices = append(g.f.Invoices, inv)
	return nil
}

// shares reads who bears an invoice: of a part of the company, its nodes alone, by their
// paths from its root down.
func (g *gathering) shares(number string, lines []invoice.Line, of id.Allocation) error {
	rows, err := g.tx.Shares(of, maxAllShares)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		path := r.NodePath
		if g.scope != nil {
			if !visible(g.tree, r.NodeID, g.scope) {
				continue
			}
			path = r.NodeCode
			codes := strings.Split(r.NodePath, hierarchy.PathSeparator)
			if from := slices.Index(codes, g.f.Scope.Code); from >= 0 {
				path = strings.Join(codes[from:], hierarchy.PathSeparator)
			}
		}
		g.f.Shares = append(g.f.Shares, packet.Share{
			Invoice: number, Line: r.InvoicePlace, Kind: string(lines[r.InvoicePlace-1].Kind), Code: r.NodeCode, Path: path, Entity: r.Entity, GLAccount: r.GLAccount, Capitalization: r.Capitalization,
			Weight: r.Weight, Amount: money.Cents(r.Cents),
		})
	}
	return nil
}

// elsewhere reads what was stated to be spent without passing the gateway.
func (g *gathering) elsewhere() error {
	stated, err := spentElsewhere(g.tx, g.month)
	if err != nil {
		return err
	}
	for i := range stated.Lines {
		l := &stated.Lines[i]
		if g.scope == nil || visible(g.tree, l.Node, g.scope) {
			g.f.Elsewhere = append(g.f.Elsewhere, packet.Spend{Code: l.Code, Source: l.Source, Memo: l.Memo, Amount: l.Cents})
		}
	}
	return nil
}

// reconciled reads how each day compared with the provider's reports, as it was known: it is
// about the whole company.
func (g *gathering) reconciled() error {
	if g.scope != nil {
		return nil
	}
	var c Calendar
	if err := c.terms(g.tx); err != nil {
		return err
	}
	runs, err := g.tx.RunDays(g.month.Start(), g.month.End())
	if err != nil || !c.Sourced && len(runs) == 0 {
		return err
	}
	g.f.Simulated = c.Simulated
	open, err := g.variances()
	if err != nil {
		return err
	}
	signed, err := g.daySigners()
	if err != nil {
		return err
	}
	for day := g.month.Start(); day.Before(g.month.End()) && day.Before(g.asOf); day = day.Add(oneDay) {
		one := packet.Reconciled{Day: day, State: string(reconcile.StateNoReport), Bps: -1, Open: open[day]}
		run, found, err := g.run(runs, day)
		if err != nil {
			return err
		}
		if found {
			if err := g.runOf(&one, &run, signed); err != nil {
				return err
			}
		}
		g.f.Reconciled = append(g.f.Reconciled, one)
	}
	return nil
}

// run is the reconciliation of a day that was the latest one then.
func (g *gathering) run(latest []db.RunRow, day time.Time) (db.RunRow, bool, error) {
	k := slices.IndexFunc(latest, func(r db.RunRow) bool { return r.Day.UTC().Equal(day) })
	if k < 0 {
		return db.RunRow{}, false, nil
	}
	if !latest[k].RecordedAt.After(g.asOf) {
		return latest[k], true, nil
	}
	rows, err := g.tx.Runs(day, maxRuns)
	for i := range rows {
		if !rows[i].RecordedAt.After(g.asOf) {
			return rows[i], true, err
		}
	}
	return db.RunRow{}, false, err
}

func (g *gathering) runOf(one *packet.Reconciled, run *db.RunRow, signed map[id.Run][2]*packet.Signature) error {
	d, err := reconciledDay(run)
	if err != nil {
		return err
	}
	one.State, one.Number, one.Ledger, one.Listed, one.Billed, one.ListPrice = string(d.State), d.Number, d.Ours, d.Listed, d.Billed, d.ListPrice
	one.OurRequests, one.TheirRequests, one.OurTokens, one.TheirTokens = d.OurRequests, d.TheirRequests, d.OurTokens, d.TheirTokens
	one.Unexplained, one.Bps, one.Digest = d.Unexplained, d.Bps, d.Digest
	one.Preparer, one.Reviewer = signed[d.Run][0], signed[d.Run][1]
	items, err := g.tx.RunItems(d.Run)
	if err != nil {
		return err
	}
	at := map[reconcile.Class]int{}
	for i := range items {
		item := &items[i]
		k, there := at[item.Class]
		if !there {
			k = len(one.Items)
			at[item.Class] = k
			one.Items = append(one.Items, packet.ReconciledClass{Class: string(item.Class)})
		}
		one.Items[k].Items++
		one.Items[k].Amount.AddSum(&item.Amount)
		if item.Cell.Meter.Tokens() {
			one.Items[k].Quantity += item.Quantity
		}
	}
	slices.SortStableFunc(one.Items, func(a, b packet.ReconciledClass) int {
		return cmp.Compare(slices.Index(reconcile.Classes(), reconcile.Class(a.Class)), slices.Index(reconcile.Classes(), reconcile.Class(b.Class)))
	})
	return nil
}

// daySigners is who prepared and who reviewed each reconciliation.
func (g *gathering) daySigners() (map[id.Run][2]*packet.Signature, error) {
	rows, err := g.tx.DaySignOffs(g.month.Start(), g.month.End())
	if err != nil {
		return nil, err
	}
	actors := make([]string, 0, len(rows))
	for i := range rows {
		actors = append(actors, rows[i].Actor)
	}
	hands, err := g.p.members.hands(g.tx, actors)
	if err != nil {
		return nil, err
	}
	signed := map[id.Run][2]*packet.Signature{}
	for i := range rows {
		r := &rows[i]
		if r.RecordedAt.After(g.asOf) {
			continue
		}
		both := signed[r.RunID]
		part := 1
		if r.Part == PartPreparer {
			part = 0
		}
		both[part] = &packet.Signature{Name: hands[r.Actor].Name, At: r.RecordedAt.UTC()}
		signed[r.RunID] = both
	}
	return signed, nil
}

// variances reads what was above tolerance, each as its latest step then had it, and counts
// those of a day that were not resolved.
func (g *gathering) variances() (open map[time.Time]int, err error) {
	rows, err := g.tx.Variances(&db.VarianceFilter{Month: g.month, Limit: maxVariances})
	if err != nil {
		return nil, err
	}
	slices.Reverse(rows)
	open = map[time.Time]int{}
	var owners []string
	kept := rows[:0]
	for i := range rows {
		r := rows[i]
		if r.RecordedAt.After(g.asOf) {
			continue
		}
		if r.SteppedAt.After(g.asOf) {
			if err := g.stepped(&r); err != nil {
				return nil, err
			}
		}
		if r.OwnerMemberID != nil {
			owners = append(owners, r.OwnerMemberID.String())
		}
		if reconcile.Standing(r.State) != reconcile.StandingResolved {
			open[r.Day.UTC()]++
		}
		kept = append(kept, r)
	}
	hands, err := g.p.members.hands(g.tx, owners)
	if err != nil {
		return nil, err
	}
	for i := range kept {
		r := &kept[i]
		v := packet.Variance{
			Number: r.Number, Day: r.Day.UTC(), Class: r.Class, Surface: r.Surface, Key: r.APIKey, Model: r.Model, State: r.State, Quantity: r.Quantity,
		}
		if v.Amount, err = money.SumOfPico(r.AmountPico); err != nil {
			return nil, err
		}
		if r.NodeID != nil {
			v.Code = codeIn(g.tree, *r.NodeID)
		}
		if r.OwnerMemberID != nil {
			v.Owner = hands[r.OwnerMemberID.String()].Name
		}
		g.f.Variances = append(g.f.Variances, v)
	}
	return open, nil
}

// stepped takes a variance back to its latest step before the packet's instant.
func (g *gathering) stepped(r *db.VarianceRow) error {
	steps, err := g.tx.VarianceSteps(r.VarianceID, maxVarianceSteps)
	for i := range steps {
		if s := &steps[i]; !s.RecordedAt.After(g.asOf) {
			r.State, r.AmountPico, r.Quantity, r.OwnerMemberID = s.State, s.AmountPico, s.Quantity, s.OwnerMemberID
		}
	}
	return err
}

// checklist reads who signed which step of the month's close, and its moves: those of the
// whole company.
func (g *gathering) checklist() error {
	standing, err := g.tx.PeriodStanding(g.month)
	if err != nil {
		return err
	}
	g.f.BooksRevision = standing.Revision
	if g.scope != nil {
		return nil
	}
	signs, err := g.tx.SignOffs(g.month, maxSignOffs)
	if err != nil {
		return err
	}
	waivers, err := g.tx.Waivers(g.month, standing.Revision)
	if err != nil {
		return err
	}
	by, err := g.signatures(signs)
	if err != nil {
		return err
	}
	free, err := holidayCalendar(g.tx)
	if err != nil {
		return err
	}
	for _, d := range closing.Definitions() {
		one := packet.Step{Step: string(d.Step), Owner: d.Owner, Due: d.Due(g.month, free), Unsigned: !d.Signed()}
		prepared := 0
		for i := range signs {
			s := &signs[i]
			if s.Step != string(d.Step) || s.Revision != standing.Revision || s.FellAt != nil || s.SignedAt.After(g.asOf) { // what is signed after the lock is of the close, not of the figures
				continue
			}
			switch s.OfPlace {
			case 0:
				prepared, one.Preparer, one.Reviewer, one.Digest = s.Place, by[s.Place], nil, hex.EncodeToString(s.Digest)
			case prepared:
				one.Reviewer = by[s.Place]
			}
		}
		for i := range waivers {
			if waivers[i].Step == one.Step {
				one.Waived, one.WaivedBy = waivers[i].Reason, waivers[i].Number
			}
		}
		if standing.State != period.StateOpen || one.Preparer != nil {
			g.f.Steps = append(g.f.Steps, one)
		}
	}
	return g.moves()
}

// signatures are who gave each, by their places.
func (g *gathering) signatures(signs []db.SignOffRow) (map[int]*packet.Signature, error) {
	rows, err := g.tx.Signers(g.month, maxSignOffs)
	if err != nil {
		return nil, err
	}
	actors := make([]string, 0, len(rows))
	for i := range rows {
		actors = append(actors, rows[i].MemberID.String())
	}
	hands, err := g.p.members.hands(g.tx, actors)
	if err != nil {
		return nil, err
	}
	by := map[int]*packet.Signature{}
	for i := range rows {
		r := &rows[i]
		by[r.Place] = &packet.Signature{Name: hands[r.MemberID.String()].Name, Role: strings.ReplaceAll(strings.ReplaceAll(r.Roles, "_", " "), ",", ", "), Issuer: r.Issuer, Subject: r.Subject}
	}
	for i := range signs {
		if one := by[signs[i].Place]; one != nil {
			one.At, one.Note = signs[i].SignedAt.UTC(), signs[i].Note
		}
	}
	return by, nil
}

func (g *gathering) moves() error {
	rows, err := g.tx.MoveNumbers(g.month, maxMoves)
	if err != nil {
		return err
	}
	actors := make([]string, 0, len(rows))
	for i := range rows {
		actors = append(actors, rows[i].Actor)
	}
	hands, err := g.p.members.hands(g.tx, actors)
	for i := range rows {
		r := &rows[i]
		if r.MovedAt.After(g.asOf) {
			continue
		}
		g.f.Moves = append(g.f.Moves, packet.Move{
			From: period.State(r.FromState), To: period.State(r.ToState), Revision: r.Revision, Change: r.Number, Name: hands[r.Actor].Name, Reason: r.Reason, At: r.MovedAt.UTC(),
		})
	}
	return err
}

package ledger

import (
	"slices"

	"tollbook/app/id"
	"tollbook/app/money"
)

// Borne is what a node bears of an invoice.
type Borne struct {
	Node           id.Node
	NodeCode       string
	NodePath       string
	Entity         string // empty: the payer's
	GLAccount      string
	Capitalization string
	Suspense       bool
	Amount         money.Cents
}

// Settlement is all that the entry of an invoice is made of.
type Settlement struct {
	Terms    Terms
	Borne    []Borne
	Residual money.Cents // of the invoice, that nothing explains: booked apart
	Total    money.Cents
	// Accrued are the lines of accruals and corrections for the days that the invoice bills,
	// without those of entries that were taken back; none where it bills no requests.
	Accrued []Line
	Memo    string
}

// Lines are those that put an invoice in the place of what was accrued for its cycle: each
// node ends with what it bears of the invoice, nothing of the cycle stays accrued, and what
// is owed is the invoice.
func (s *Settlement) Lines() ([]Line, error) {
	at := map[place]int{}
	var lines []Line
	put := func(l Line) {
		k, there := at[l.place()]
		if !there {
			k = len(lines)
			at[l.place()] = k
			bare := l
			bare.Cents, bare.Basis = 0, money.Sum{}
			lines = append(lines, bare)
		}
		lines[k].Cents += l.Cents
	}
	for i := range s.Borne {
		put(s.line(&s.Borne[i]))
	}
	var accrued, rounding money.Cents
	for i := range s.Accrued {
		was := s.Accrued[i]
		switch {
		case was.Account.OfCharges():
			was.Cents = -was.Cents
			put(was)
		case was.Account == AccountAccrued:
			accrued += was.Cents
		case was.Account == AccountRounding:
			rounding += was.Cents
		}
	}
	elsewhere := map[string]money.Cents{}
	for i := range lines {
		lines[i].Memo = s.Memo
		if lines[i].Entity != s.Terms.Payer {
			elsewhere[lines[i].Entity] += lines[i].Cents
		}
	}
	lines = append(lines, between(elsewhere, s.Terms.Payer, s.Memo)...)
	for _, one := range []Line{
		{Account: AccountRounding, Cents: -rounding},
		{Account: AccountResidual, Cents: s.Residual},
		{Account: AccountAccrued, Workspace: s.Terms.Workspace, Cents: -accrued},
		{Account: AccountPayable, Workspace: s.Terms.Workspace, Cents: -s.Total},
	} {
		one.Entity, one.Currency, one.Memo = s.Terms.Payer, USD, s.Memo
		lines = append(lines, one)
	}
	lines = slices.DeleteFunc(lines, func(l Line) bool { return l.Cents == 0 })
	if len(lines) == 0 {
		return nil, nil
	}
	slices.SortFunc(lines, func(a, b Line) int { return order(&a, &b) })
	return lines, Balance(lines)
}

func (s *Settlement) line(b *Borne) Line {
	l := Line{
		Account: AccountExpense, Entity: b.Entity, Node: b.Node, NodeCode: b.NodeCode, NodePath: b.NodePath, GLAccount: b.GLAccount, Capitalization: b.Capitalization,
		Currency: USD, Cents: b.Amount,
	}
	switch {
	case b.Suspense:
		l.Account = AccountSuspense
	case b.Capitalization == "capitalize":
		l.Account = AccountCapitalized
	}
	if b.Entity == "" || s.Terms.Treatment == Showback {
		l.Entity = s.Terms.Payer
	}
	return l
}

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

// spot is what lines of a settlement are told apart by.
type spot struct {
	place

	counterparty, workspace string
}

// Lines are those that put an invoice in the place of what was accrued for its cycle: each
// node ends with what it bears of the invoice, nothing of the cycle stays accrued, rounded or
// owed between entities, whoever paid when it was accrued, and what is owed is the invoice.
func (s *Settlement) Lines() ([]Line, error) {
	at := map[spot]int{}
	var lines []Line
	put := func(l Line) {
		where := spot{l.place(), l.Counterparty, l.Workspace}
		k, there := at[where]
		if !there {
			k = len(lines)
			at[where] = k
			bare := l
			bare.Cents, bare.Basis, bare.Memo = 0, money.Sum{}, s.Memo
			lines = append(lines, bare)
		}
		lines[k].Cents += l.Cents
	}
	elsewhere := map[string]money.Cents{}
	for i := range s.Borne {
		line := s.line(&s.Borne[i])
		put(line)
		if line.Entity != s.Terms.Payer {
			elsewhere[line.Entity] += line.Cents
		}
	}
	for _, line := range between(elsewhere, s.Terms.Payer, s.Memo) {
		put(line)
	}
	for i := range s.Accrued {
		was := s.Accrued[i]
		was.Cents = -was.Cents
		put(was)
	}
	put(Line{Account: AccountResidual, Entity: s.Terms.Payer, Currency: USD, Cents: s.Residual})
	put(Line{Account: AccountPayable, Entity: s.Terms.Payer, Workspace: s.Terms.Workspace, Currency: USD, Cents: -s.Total})
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

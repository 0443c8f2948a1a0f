package ledger

import (
	"slices"
	"strings"
	"time"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
)

// Cell is what was charged on one day to one node as it was, exactly.
type Cell struct {
	Node           id.Node
	NodeCode       string
	NodePath       string
	Entity         string // empty: the payer's
	GLAccount      string
	Capitalization string
	Suspense       bool
	Charge         money.Sum
}

// Terms are under what a day is booked.
type Terms struct {
	Treatment Treatment
	Payer     string // the code of the entity that holds the workspace
	Workspace string
}

// Booked is what earlier entries accrued for a month of charges.
type Booked struct {
	Charges money.Sum   // exact, of all days
	Owed    money.Cents // of the liability, above zero where something is owed
}

// Day is all that an accrual is made of.
type Day struct {
	Period period.Month // that the charges are in
	Day    time.Time
	Terms  Terms
	Cells  []Cell // as the day's charges are now
	Posted []Line // what earlier entries booked of this very day, in any order and any number
	Month  Booked // all entries for the period until now, those of this day among them
}

// place is what lines of charges are told apart by.
type place struct {
	account                      Account
	entity, code, capitalization string
	node                         id.Node
}

func (p place) compare(q place) int {
	return strings.Compare(
		p.entity+"\x00"+p.code+"\x00"+string(p.account)+"\x00"+p.capitalization+"\x00"+p.node.UUID(),
		q.entity+"\x00"+q.code+"\x00"+string(q.account)+"\x00"+q.capitalization+"\x00"+q.node.UUID())
}

// Lines are those that bring the books of a day to its charges: all of them where nothing
// was posted, what differs where something was, and none where nothing does. Whoever calls
// it again with what it posted gets none.
func (d *Day) Lines() ([]Line, error) {
	lines, err := d.Differing()
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	var moved money.Sum
	var booked money.Cents
	elsewhere := map[string]money.Cents{}
	for i := range lines {
		moved.AddSum(&lines[i].Basis)
		booked += lines[i].Cents
		if lines[i].Entity != d.Terms.Payer {
			elsewhere[lines[i].Entity] += lines[i].Cents
		}
	}
	var total money.Sum
	total.AddSum(&d.Month.Charges)
	total.AddSum(&moved)
	owed, err := money.WholeCents([]money.Sum{total})
	if err != nil {
		return nil, err
	}
	lines = append(lines, between(elsewhere, d.Terms.Payer, d.memo())...)
	if more := owed[0] - d.Month.Owed; more != 0 {
		lines = append(lines, Line{Account: AccountAccrued, Entity: d.Terms.Payer, Workspace: d.Terms.Workspace, Currency: USD, Cents: -more, Memo: d.memo()})
		booked -= more
	}
	if booked != 0 {
		lines = append(lines, Line{Account: AccountRounding, Entity: d.Terms.Payer, Currency: USD, Cents: -booked, Memo: d.memo()})
	}
	slices.SortFunc(lines, func(a, b Line) int { return order(&a, &b) })
	return lines, Balance(lines)
}

func (d *Day) memo() string { return "Claude usage " + d.Day.Format(time.DateOnly) }

// Differing are the lines of charges, each the difference of what is and what is posted.
func (d *Day) Differing() ([]Line, error) {
	now, err := d.Charged()
	if err != nil {
		return nil, err
	}
	at := map[place]int{}
	for i := range now {
		at[now[i].place()] = i
	}
	for i := range d.Posted {
		was := &d.Posted[i]
		if !was.Account.OfCharges() {
			continue
		}
		k, there := at[was.place()]
		if !there {
			k = len(now)
			at[was.place()] = k
			gone := *was
			gone.Cents, gone.Basis = 0, money.Sum{}
			now = append(now, gone)
		}
		now[k].Cents -= was.Cents
		now[k].Basis.SubSum(&was.Basis)
	}
	now = slices.DeleteFunc(now, func(l Line) bool { return l.Cents == 0 && l.Basis.Sign() == 0 })
	for i := range now {
		now[i].Memo = d.memo()
	}
	return now, nil
}

// Charged are the lines that a day's charges come to, in cents by largest remainder:
// a function of the day's charges alone, whatever their order.
func (d *Day) Charged() ([]Line, error) {
	at := map[place]int{}
	var lines []Line
	cells := slices.Clone(d.Cells)
	slices.SortFunc(cells, func(a, b Cell) int { return strings.Compare(a.NodePath+a.GLAccount, b.NodePath+b.GLAccount) })
	for i := range cells {
		line := d.line(&cells[i])
		k, there := at[line.place()]
		if !there {
			k = len(lines)
			at[line.place()] = k
			lines = append(lines, line)
		}
		lines[k].Basis.AddSum(&cells[i].Charge)
	}
	slices.SortFunc(lines, func(a, b Line) int { return a.place().compare(b.place()) })
	amounts := make([]money.Sum, 0, len(lines))
	for i := range lines {
		amounts = append(amounts, lines[i].Basis)
	}
	cents, err := money.WholeCents(amounts)
	if err != nil {
		return nil, err
	}
	for i := range lines {
		lines[i].Cents = cents[i]
	}
	return slices.DeleteFunc(lines, func(l Line) bool { return l.Cents == 0 && l.Basis.Sign() == 0 }), nil
}

func (d *Day) line(c *Cell) Line {
	l := Line{Account: AccountExpense, Entity: c.Entity, Node: c.Node, NodeCode: c.NodeCode, NodePath: c.NodePath, GLAccount: c.GLAccount, Capitalization: c.Capitalization, Currency: USD}
	switch {
	case c.Suspense:
		l.Account = AccountSuspense
	case c.Capitalization == "capitalize":
		l.Account = AccountCapitalized
	}
	if c.Entity == "" || d.Terms.Treatment == Showback {
		l.Entity = d.Terms.Payer
	}
	return l
}

func (l *Line) place() place {
	return place{l.Account, l.Entity, l.NodeCode, l.Capitalization, l.Node}
}

// between are the two sides of what the payer laid out for each other entity.
func between(elsewhere map[string]money.Cents, payer, memo string) []Line {
	var lines []Line
	for entity, cents := range elsewhere {
		if cents == 0 {
			continue
		}
		lines = append(lines,
			Line{Account: AccountDueTo, Entity: entity, Counterparty: payer, Currency: USD, Cents: -cents, Memo: memo},
			Line{Account: AccountDueFrom, Entity: payer, Counterparty: entity, Currency: USD, Cents: cents, Memo: memo})
	}
	return lines
}

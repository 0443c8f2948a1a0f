package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
)

// USD is the currency of the books.
const USD = "USD"

// MaxLines bounds one entry.
const MaxLines = 50_000

// Line is one side of an entry. It says by itself what an ERP asks for.
type Line struct {
	Account      Account
	Entity       string // the code of the legal entity in whose books it is; empty where none is named
	Counterparty string // the other entity of an intercompany line
	Node         id.Node
	NodeCode     string // finance's code of the cost center or project; empty: not of one node
	NodePath     string // codes from the root down, joined by " / "
	GLAccount    string // general ledger account that the node, or the nearest above it, states
	// Capitalization is "capitalize" or "expense"; empty where the line is no cost.
	Capitalization string
	Workspace      string // the provider's, of what is owed to it
	Currency       string // ISO 4217
	// Cents is a debit above zero and a credit below. Zero is a charge that has not come to
	// a cent yet: it is kept for its basis, and leaves no line in an export.
	Cents money.Cents
	// Basis is the exact charge that the cents round; zero where a line has none.
	Basis money.Sum
	Memo  string
}

// Debit is the line's debit, or zero.
func (l *Line) Debit() money.Cents { return max(l.Cents, 0) }

// Credit is the line's credit, as a positive amount, or zero.
func (l *Line) Credit() money.Cents { return max(-l.Cents, 0) }

// Source is what an accrual or a correction was made of.
type Source struct {
	Period period.Month // that the charges are in
	Day    time.Time    // UTC, that they are of
	// Requests is how many the day had, UsageBatches and AdjustmentBatches how many the
	// month had, when the entry was made.
	Requests, UsageBatches, AdjustmentBatches int64
	// Charges is the exact total of the day at that moment.
	Charges money.Sum
}

// IsZero tells whether an entry is about no day.
func (s *Source) IsZero() bool { return s.Day.IsZero() }

// Entry is balanced lines in one month.
type Entry struct {
	ID        id.Entry
	Number    int64 // per company: Journal 12
	Kind      Kind
	Treatment Treatment
	Period    period.Month // it is posted to
	Date      time.Time    // UTC day within the period
	Source    Source
	Reverses  id.Entry // zero: none
	Memo      string
	Lines     []Line
}

// Total is the sum of debits, which is the sum of credits.
func (e *Entry) Total() money.Cents {
	var total money.Cents
	for i := range e.Lines {
		total += e.Lines[i].Debit()
	}
	return total
}

// ErrUnbalanced refuses an entry whose debits are not its credits.
var ErrUnbalanced = fault.New(fault.KindInternal, "entry_unbalanced", "The debits of an entry are its credits, in each entity and currency.")

// book is where lines have to balance.
type book struct{ entity, currency string }

// Balance checks lines: that each is of a known account, and that they balance in each
// entity and currency.
func Balance(lines []Line) error {
	if len(lines) == 0 || len(lines) > MaxLines {
		return fault.New(fault.KindInternal, "entry_lines", fmt.Sprintf("An entry has 1 to %d lines.", MaxLines))
	}
	sums := map[book]*money.Sum{}
	for i := range lines {
		l := &lines[i]
		if !l.Account.Known() || len(l.Currency) != len(USD) {
			return fault.New(fault.KindInternal, "entry_account", fmt.Sprintf("A line needs an account of the chart and a currency; %q in %q is not.", l.Account, l.Currency))
		}
		at := book{l.Entity, l.Currency}
		if sums[at] == nil {
			sums[at] = &money.Sum{}
		}
		sums[at].AddCents(l.Cents)
	}
	for at, sum := range sums {
		if sum.Sign() != 0 {
			return ErrUnbalanced.Because(fmt.Errorf("%s %s differs by %s", at.entity, at.currency, sum))
		}
	}
	return nil
}

// ErrReversed refuses to reverse what was reversed before.
var ErrReversed = fault.New(fault.KindConflict, "entry_reversed", "That entry was reversed already.")

// Heading is what a new entry is posted as.
type Heading struct {
	ID     id.Entry
	Number int64
	Period period.Month
	Date   time.Time
	Memo   string
}

// Reverse is the entry that takes another back, line by line. Reversed says that one
// did already. A reversal may itself be reversed, which brings the first back.
func (e *Entry) Reverse(h Heading, reversed bool) (Entry, error) {
	if reversed {
		return Entry{}, ErrReversed
	}
	back := Entry{ID: h.ID, Number: h.Number, Kind: KindReversal, Treatment: e.Treatment, Period: h.Period, Date: h.Date, Reverses: e.ID, Memo: h.Memo, Lines: slices.Clone(e.Lines)}
	for i := range back.Lines {
		l := &back.Lines[i]
		l.Cents = -l.Cents
		var basis money.Sum
		basis.SubSum(&l.Basis)
		l.Basis = basis
	}
	return back, Balance(back.Lines)
}

// version is that of the canonical bytes this code writes.
const version = 1

// Canonical is what is stored and hashed of an entry: a JSON object with sorted keys, cents
// and pico-dollars as whole numbers.
func (e *Entry) Canonical() ([]byte, error) {
	whole := map[string]any{
		"v": version, "id": e.ID.String(), "number": e.Number, "kind": string(e.Kind), "treatment": string(e.Treatment), "period": e.Period.String(),
		"date": e.Date.Format(time.DateOnly), "memo": e.Memo,
	}
	if !e.Reverses.IsZero() {
		whole["reverses"] = e.Reverses.String()
	}
	if !e.Source.IsZero() {
		whole["source"] = map[string]any{
			"period": e.Source.Period.String(), "day": e.Source.Day.Format(time.DateOnly), "requests": e.Source.Requests, "usage_batches": e.Source.UsageBatches,
			"adjustment_batches": e.Source.AdjustmentBatches, "charges_pico": e.Source.Charges.Digits(),
		}
	}
	lines := make([]map[string]any, 0, len(e.Lines))
	for i := range e.Lines {
		lines = append(lines, e.Lines[i].canonical())
	}
	whole["lines"] = lines
	document, err := json.Marshal(whole)
	if err != nil {
		return nil, fmt.Errorf("encode journal entry: %w", err)
	}
	return document, nil
}

func (l *Line) canonical() map[string]any {
	one := map[string]any{"account": string(l.Account), "entity": l.Entity, "currency": l.Currency, "cents": int64(l.Cents), "memo": l.Memo}
	for name, value := range map[string]string{
		"counterparty": l.Counterparty, "node_code": l.NodeCode, "node_path": l.NodePath, "gl_account": l.GLAccount, "capitalization": l.Capitalization, "workspace": l.Workspace,
	} {
		if value != "" {
			one[name] = value
		}
	}
	if !l.Node.IsZero() {
		one["node"] = l.Node.String()
	}
	if l.Basis.Sign() != 0 {
		one["basis_pico"] = l.Basis.Digits()
	}
	return one
}

// Digest is the SHA-256 of canonical bytes, in hexadecimal.
func Digest(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// order sorts lines: by entity, account in the chart's order, then node.
func order(a, b *Line) int {
	if c := strings.Compare(a.Entity, b.Entity); c != 0 {
		return c
	}
	if c := slices.Index(Accounts(), a.Account) - slices.Index(Accounts(), b.Account); c != 0 {
		return c
	}
	return strings.Compare(a.NodePath+a.NodeCode+a.Node.UUID()+a.Counterparty+a.Capitalization, b.NodePath+b.NodeCode+b.Node.UUID()+b.Counterparty+b.Capitalization)
}

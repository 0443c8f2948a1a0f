package erp

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"tollbook/app/money"
	"tollbook/app/period"
)

// The bounds of one journal.
const (
	maxLines = 250_000
	// maxAmount is 100 billion US dollars: no sum of maxLines of them overflows.
	maxAmount = money.Cents(10_000_000_000_000)
	maxText   = 1000 // characters of a text
)

// The two ways a line is treated.
const (
	Capitalize = "capitalize"
	Expense    = "expense"
)

// Journal is what is to be imported: one company, entity, currency, period and date.
type Journal struct {
	Company    string // the tenant, as manifests name it
	Entity     string // code of the legal entity whose books it is for
	Currency   string // ISO 4217
	Period     period.Month
	PostedOn   time.Time // a UTC day of the period
	PreparedOn time.Time // the UTC day the journal was made, not the one it is exported on
	ReversedOn time.Time // the UTC day it reverses itself; zero: it does not
	ExternalID string    // such as TB-meridian-202611-accrual-1; never used again
	Title      string    // a few words, for fields with little room
	Memo       string
	Packet     string // id of the packet that explains it; may be empty
	Document   string // address of that packet; may be empty
	Entries    []Entry
}

// Entry is one balanced entry of the ledger.
type Entry struct {
	ID    string
	Lines []Line
}

// Line is one leg of an entry: debit or credit, the other zero.
type Line struct {
	Kind           string // of account, such as expense or accrued_liability
	GLAccount      string // finance's account, where the node or the company has one
	Node           string // code of the node charged; empty on the balance sheet
	Department     string
	Class          string
	Location       string
	Project        string
	Partner        string // code of the other entity of an intercompany line
	Capitalization string // Capitalize, Expense or empty
	Debit, Credit  money.Cents
	Tokens         int64 // statistical quantity; 0: none
	Memo           string
	// Own is what the node itself states for fields of theirs. It comes before the mapping.
	Own map[string]string
}

// Total is the sum of the debits, which a journal without problems has in credits too.
func (j *Journal) Total() money.Cents {
	var total money.Cents
	for i := range j.Entries {
		for k := range j.Entries[i].Lines {
			total += j.Entries[i].Lines[k].Debit
		}
	}
	return total
}

func (j *Journal) lines() int {
	n := 0
	for i := range j.Entries {
		n += len(j.Entries[i].Lines)
	}
	return n
}

// externalIDs are safe in every system's id, in a file's name and before any spreadsheet.
var externalIDs = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{2,79}$`)

// examine finds what no system could take.
func (j *Journal) examine(p *problems) {
	if !externalIDs.MatchString(j.ExternalID) {
		p.add(Problem{Field: "external_id", Code: "external_id", Message: fmt.Sprintf("%.90q is no external id: a letter, then 2 to 79 letters, digits and hyphens.", j.ExternalID)})
	}
	if j.Currency != "USD" {
		p.add(Problem{Field: "currency", Code: "currency", Message: fmt.Sprintf("The books are in USD; this journal says %.20q.", j.Currency)})
	}
	if !day(j.PostedOn) || period.MonthOf(j.PostedOn) != j.Period {
		p.add(Problem{Field: "posted_on", Code: "posting_date", Message: fmt.Sprintf("A journal of %s is posted on a UTC day of that month.", j.Period)})
	}
	if !day(j.PreparedOn) {
		p.add(Problem{Field: "prepared_on", Code: "prepared_date", Message: "The day a journal was made is a UTC day."})
	}
	if !j.ReversedOn.IsZero() && (!day(j.ReversedOn) || !j.ReversedOn.After(j.PostedOn)) {
		p.add(Problem{Field: "reversed_on", Code: "reversal_date", Message: "A journal reverses itself on a later UTC day than it is posted on."})
	}
	for _, field := range [][2]string{
		{"company", j.Company}, {"entity", j.Entity}, {"title", j.Title}, {"memo", j.Memo}, {"packet", j.Packet}, {"document", j.Document},
	} {
		p.text("", 0, field[0], field[1])
	}
	if n := j.lines(); n == 0 || n > maxLines {
		p.add(Problem{Code: "lines", Message: fmt.Sprintf("A journal has at least one entry and at most %d lines; this one has %d lines.", maxLines, n)})
		return
	}
	for i := range j.Entries {
		j.Entries[i].examine(p)
	}
}

func (e *Entry) examine(p *problems) {
	var debit, credit money.Cents
	p.text(e.ID, 0, "entry", e.ID)
	for i := range e.Lines {
		l := &e.Lines[i]
		l.examine(p, e.ID, i+1)
		if l.sound() {
			debit, credit = debit+l.Debit, credit+l.Credit
		}
	}
	switch {
	case len(e.Lines) < 2:
		p.add(Problem{Entry: e.ID, Code: "entry_lines", Message: "An entry has at least two lines."})
	case debit != credit:
		p.add(Problem{Entry: e.ID, Code: "unbalanced", Message: fmt.Sprintf("Debits are %s and credits %s.", debit, credit)})
	}
}

// sound says whether a line has one side, and a positive amount on it.
func (l *Line) sound() bool {
	amount := max(l.Debit, l.Credit)
	return min(l.Debit, l.Credit) == 0 && amount > 0 && amount <= maxAmount
}

func (l *Line) examine(p *problems, entry string, n int) {
	if !l.sound() {
		p.add(Problem{Entry: entry, Line: n, Code: "one_side", Message: fmt.Sprintf("A line is a debit or a credit of more than 0.00 and at most %s; this one has %s and %s.", maxAmount, l.Debit, l.Credit)})
	}
	if l.Kind == "" {
		p.add(Problem{Entry: entry, Line: n, Field: "kind", Code: "account_kind", Message: "A line has a kind of account."})
	}
	if l.Capitalization != "" && l.Capitalization != Capitalize && l.Capitalization != Expense {
		p.add(Problem{Entry: entry, Line: n, Field: "capitalization", Code: "capitalization", Message: fmt.Sprintf("%.40q is neither capitalize nor expense.", l.Capitalization)})
	}
	if l.Tokens < 0 {
		p.add(Problem{Entry: entry, Line: n, Field: "tokens", Code: "tokens", Message: "A quantity of tokens is not negative."})
	}
	for _, field := range [][2]string{
		{"kind", l.Kind}, {"gl_account", l.GLAccount}, {"node", l.Node}, {"department", l.Department}, {"class", l.Class},
		{"location", l.Location}, {"project", l.Project}, {"partner", l.Partner}, {"memo", l.Memo},
	} {
		p.text(entry, n, field[0], field[1])
	}
	for _, field := range slices.Sorted(maps.Keys(l.Own)) {
		p.text(entry, n, field, l.Own[field])
	}
}

func day(t time.Time) bool { return !t.IsZero() && t.Equal(t.UTC().Truncate(24*time.Hour)) }

// plain says whether a text is what a cell can hold on one line.
func plain(text string) bool {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxText {
		return false
	}
	for _, r := range text {
		// The last two are no characters at all, and XML has no way to hold them.
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff' || r == '\ufffe' || r == '\uffff' {
			return false
		}
	}
	return true
}

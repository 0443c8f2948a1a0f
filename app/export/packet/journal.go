package packet

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"time"

	"tollbook/app/export"
	"tollbook/app/money"
)

// FileJournal is the journal in the archive.
const FileJournal = "journal.csv"

// journalColumns are the neutral form: our words, dates YYYY-MM-DD, amounts with two decimals.
func journalColumns() []string {
	return []string{
		"entry_id", "entry_number", "kind", "treatment", "period", "date", "line", "account", "entity", "counterparty", "node", "node_path", "gl_account", "capitalization", "workspace", "currency",
		"debit", "credit", "basis_usd", "memo", "reverses",
	}
}

// journalCSV is every line of the month's entries. Text that a spreadsheet would run gets an
// apostrophe, as in every file that people open; an ERP takes its own file.
func journalCSV(b *Books) ([]byte, int, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	_ = w.Write(journalColumns())
	rows := 0
	for i := range b.Entries {
		e := &b.Entries[i]
		reverses := ""
		if !e.Reverses.IsZero() {
			reverses = e.Reverses.String()
		}
		for k := range e.Lines {
			l := &e.Lines[k]
			rows++
			_ = w.Write([]string{
				e.ID.String(), strconv.FormatInt(e.Number, 10), string(e.Kind), string(e.Treatment), e.Period.String(), e.Date.Format(time.DateOnly), strconv.Itoa(k + 1), string(l.Account),
				export.Guarded(l.Entity), export.Guarded(l.Counterparty), export.Guarded(l.NodeCode), export.Guarded(l.NodePath), export.Guarded(l.GLAccount), l.Capitalization,
				export.Guarded(l.Workspace), l.Currency, amountOrNothing(l.Debit(), l.Cents >= 0), amountOrNothing(l.Credit(), l.Cents < 0), l.Basis.String(), export.Guarded(l.Memo), reverses,
			})
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return nil, 0, fmt.Errorf("write journal: %w", err)
	}
	return out.Bytes(), rows, nil
}

func amountOrNothing(c money.Cents, yes bool) string {
	if !yes {
		return ""
	}
	return c.String()
}

// balance reads a journal's file again and sums it: what it comes to, and what is wrong with
// it; nothing, if nothing is.
func balance(file []byte) (debits, credits money.Cents, why string) {
	rows, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	if err != nil || len(rows) == 0 {
		return 0, 0, "it is no CSV"
	}
	at := map[string]int{}
	for i, name := range rows[0] {
		at[name] = i
	}
	for _, name := range []string{"entry_id", "entity", "currency", "debit", "credit"} {
		if _, there := at[name]; !there {
			return 0, 0, "it has no column " + name
		}
	}
	type book struct{ entry, entity, currency string }
	sums := map[book]money.Cents{}
	order := []book{}
	for i, row := range rows[1:] {
		key := book{row[at["entry_id"]], row[at["entity"]], row[at["currency"]]}
		if _, there := sums[key]; !there {
			order = append(order, key)
		}
		for column, sign := range map[string]money.Cents{"debit": 1, "credit": -1} {
			if row[at[column]] == "" {
				continue
			}
			c, err := money.ParseCents(row[at[column]])
			if err != nil || c < 0 {
				return 0, 0, fmt.Sprintf("line %d: %s is no amount", i+2, column)
			}
			sums[key] += sign * c
			if sign > 0 {
				debits += c
			} else {
				credits += c
			}
		}
	}
	for _, key := range order {
		if sums[key] != 0 {
			return debits, credits, fmt.Sprintf("entry %s does not balance in the books of %q: debits less credits are %s", key.entry, key.entity, sums[key])
		}
	}
	return debits, credits, ""
}

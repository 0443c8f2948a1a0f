package app

import (
	"context"
	"slices"
	"strings"

	"tollbook/app/export/erp"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// ExportProblem is one reason why a month cannot be exported to a system yet.
type ExportProblem struct {
	erp.Problem
	Entity string
	Source string // what lacks a rule: node, account, kind, entity, period …; empty: nothing does
	Code   string // of it
}

func exportProblem(entity string, p erp.Problem) ExportProblem {
	out := ExportProblem{Problem: p, Entity: entity}
	if p.Code == "unmapped" {
		out.Source, out.Code, _ = strings.Cut(p.Subject, " ")
		if p.Subject == "every journal" {
			out.Source, out.Code = erp.SourceAlways, ""
		}
	}
	return out
}

// SystemMonth is how a month stands with a system.
type SystemMonth struct {
	System   string
	Version  int // of the mapping
	Problems []ExportProblem
	Fresh    []FreshJournal // what would be exported now
	Exports  []ExportView   // the newest first
	Outdated bool           // something stands that was made by an earlier mapping
	Showback int            // entries that are shown and not charged, and so left out
	Zeros    int            // lines of less than a cent, left out
}

// FreshJournal is what would be exported of an entity now.
type FreshJournal struct {
	Entity  string
	Entries int
	Lines   int
	Total   money.Cents
}

// Stands lists the exports that are not drafts and were not replaced.
func (s *SystemMonth) Stands() []ExportView {
	var list []ExportView
	for i := range s.Exports {
		if s.Exports[i].Stands() {
			list = append(list, s.Exports[i])
		}
	}
	return list
}

// MonthOfExports is how a month stands with every system the company uses.
type MonthOfExports struct {
	Month   period.Month
	State   period.State
	Final   bool // what is exported is no draft
	Billed  bool // an invoice whose cycle ends in it is booked
	Systems []SystemMonth
	Unused  []string // systems there is no mapping to, or none that is in use
	Months  []period.Month
}

// Month checks a month for every system the company uses, and lists what was exported of it.
func (x *Exports) Month(ctx context.Context, who Actor, month period.Month) (MonthOfExports, error) {
	out := MonthOfExports{Month: month}
	if err := x.access.Check(who, "export", "read"); err != nil {
		return out, err
	}
	err := x.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		if out.State, err = tx.PeriodState(month); err != nil {
			return err
		}
		out.Final = final(out.State)
		billed, err := invoicesOf(tx, month)
		if err != nil {
			return err
		}
		out.Billed = slices.ContainsFunc(billed, func(r db.InvoiceRow) bool { return isBill(&r, month) })
		months, err := tx.EntryMonths(maxEntryMonths)
		if err != nil {
			return err
		}
		for _, m := range months {
			out.Months = append(out.Months, period.MonthOf(m))
		}
		for _, system := range erp.Names() {
			mapping, err := latestMapping(tx, system)
			if err != nil {
				return err
			}
			if !mapping.InUse {
				out.Unused = append(out.Unused, system)
				continue
			}
			one, err := systemMonth(tx, month, &mapping)
			if err != nil {
				return err
			}
			out.Systems = append(out.Systems, one)
		}
		return nil
	})
	return out, err
}

// systemMonth checks a month for a system.
func systemMonth(tx *db.Tx, month period.Month, mapping *SystemMapping) (SystemMonth, error) {
	out := SystemMonth{System: mapping.System, Version: mapping.Version}
	m, err := readExport(tx, month, mapping)
	if err != nil {
		return out, err
	}
	for i := range m.exports {
		v := exportView(&m.exports[i])
		out.Outdated = out.Outdated || (v.Stands() && v.MappingVersion != mapping.Version)
		out.Exports = append(out.Exports, v)
	}
	draft := !final(m.state)
	seen := map[[3]string]bool{}
	for _, entity := range m.entities() {
		b, err := m.fresh(entity)
		if err != nil {
			return out, err
		}
		out.Showback, out.Zeros = out.Showback+b.showback, out.Zeros+b.zeros
		if b.lines == 0 {
			continue
		}
		m.named(b, draft, m.revisions(entity, draft)+1)
		out.Fresh = append(out.Fresh, FreshJournal{Entity: entity, Entries: len(b.ids), Lines: b.lines, Total: b.journal.Total()})
		for _, p := range m.format.Check(b.journal, &mapping.Mapping) {
			if key := [3]string{p.Code, p.Field, p.Subject}; p.Subject == "" || !seen[key] {
				seen[key] = true
				out.Problems = append(out.Problems, exportProblem(entity, p))
			}
		}
	}
	return out, nil
}

// Check tells what a month would still lack if a mapping were in force; nothing is written.
func (x *Exports) Check(ctx context.Context, who Actor, want MappingAsk, month period.Month) (SystemMonth, error) {
	if err := x.changes.allowed(who, changeAccounts); err != nil {
		return SystemMonth{}, err
	}
	var out SystemMonth
	err := x.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		_, next, err := draftMapping(tx, want)
		if err != nil {
			return err
		}
		out, err = systemMonth(tx, month, &next)
		return err
	})
	return out, err
}

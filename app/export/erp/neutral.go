package erp

import "time"

// Neutral is a journal for systems without a format of their own: our words for the
// columns, dates YYYY-MM-DD, months YYYY-MM.
func Neutral() Format {
	return Format{
		Name: "journal", version: 1, entity: "entity", suffix: ".csv", reverses: true,
		fields: []field{
			{name: "account", natural: []string{SourceAccount, SourceKind}, must: true},
			{name: "entity", natural: []string{SourceEntity}, header: true, must: true},
			{name: "department", natural: []string{SourceNode}},
			{name: "class", natural: []string{SourceNode}},
			{name: "location", natural: []string{SourceNode}},
			{name: "project", natural: []string{SourceNode}},
		},
		columns: func(*looked) []column {
			ours := func(head string, value func(*row) string) column { return column{head: head, value: value} }
			return []column{
				{head: "external_id", must: true, value: func(w *row) string { return w.doc.id }},
				{head: "line_number", numeric: true, must: true, value: number},
				{head: "posting_date", must: true, value: func(w *row) string { return w.journal.PostedOn.Format(time.DateOnly) }},
				{head: "period", must: true, value: func(w *row) string { return w.journal.Period.String() }},
				{head: "reversal_date", value: func(w *row) string { return w.day(w.journal.ReversedOn, "YYYY-MM-DD") }},
				fieldColumn("entity", "entity"),
				ours("currency", func(w *row) string { return w.journal.Currency }),
				fieldColumn("gl_account", "account"),
				ours("account_kind", func(w *row) string { return w.leg.Kind }),
				ours("node", func(w *row) string { return w.leg.Node }),
				fieldColumn("department", "department"),
				fieldColumn("class", "class"),
				fieldColumn("location", "location"),
				fieldColumn("project", "project"),
				ours("partner_entity", func(w *row) string { return w.leg.Partner }),
				ours("capitalization", func(w *row) string { return w.leg.Capitalization }),
				{head: "debit", numeric: true, value: (*row).debit},
				{head: "credit", numeric: true, value: (*row).credit},
				{head: "tokens", numeric: true, value: tokens},
				ours("memo", (*row).memo),
				ours("entry_id", func(w *row) string { return w.leg.entry }),
			}
		},
	}
}

package erp

// accountsPayable is the kind of account whose lines name a supplier.
const accountsPayable = "payable"

// maxNumber is the room of a journal number in QuickBooks Online.
const maxNumber = 21

// QuickBooks is the journal import of QuickBooks Online. Accounts go by their full names,
// "Parent:Sub", as account numbers have to be switched off there for the import.
func QuickBooks() Format {
	return Format{
		Name: "quickbooks", version: 1, suffix: ".csv",
		fields: []field{
			{name: "account", natural: []string{SourceAccount, SourceKind}, must: true},
			{name: "name", natural: []string{SourceAccount, SourceKind, SourceNode}},
			{name: "location", natural: []string{SourceNode}},
			{name: "class", natural: []string{SourceNode}},
		},
		columns: func(*looked) []column {
			return []column{
				{head: "Journal No.", must: true, max: maxNumber, value: func(w *row) string { return short(w.doc.id, maxNumber) }},
				{head: "Journal Date", must: true, value: func(w *row) string { return w.day(w.journal.PostedOn, "MM/DD/YYYY") }},
				fieldColumn("Account Name", "account"),
				{head: "Description", value: (*row).memo},
				{head: "Debits", numeric: true, value: (*row).debit},
				{head: "Credits", numeric: true, value: (*row).credit},
				{head: "Name", value: supplier},
				fieldColumn("Location", "location"),
				fieldColumn("Class", "class"),
			}
		},
	}
}

func supplier(w *row) string {
	name := w.mapped("name")
	if name == "" && w.leg.Kind == accountsPayable {
		subject := w.mapping.subject("name", w.known(), SourceAccount, SourceKind)
		w.add(Problem{
			Entry: w.leg.entry, Line: w.leg.number, Field: "name", Subject: subject, Code: "unmapped",
			Message: "A line on accounts payable names a supplier: the mapping of quickbooks has no name for " + subject + ".",
		})
	}
	return name
}

// short is an id where it fits, else its key.
func short(id string, room int) string {
	if len(id) <= room {
		return id
	}
	return keyed(id, shortKey)
}

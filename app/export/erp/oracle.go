package erp

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strconv"
)

// oracleColumns is how far the row of GlInterface.csv is written: to the period's name.
const oracleColumns = 95

// maxSegments is how many segments a chart of accounts has there.
const maxSegments = 30

// Oracle is the FBDI file of the general ledger interface: GlInterface.csv, without heads
// and with columns by position, in a zip.
func Oracle() Format {
	fields := []field{
		{name: "ledger_id", natural: []string{SourceEntity}, header: true, must: true},
		{name: "source", header: true, must: true, fallback: "Tollbook"},
		{name: "category", header: true, must: true, fallback: "Accrual"},
		{name: "period", natural: []string{SourcePeriod}, header: true},
		{name: "ledger_name", natural: []string{SourceEntity}, header: true},
		{name: "interface_group", header: true},
	}
	for i := 1; i <= maxSegments; i++ {
		fields = append(fields, field{name: segment(i), natural: []string{SourceAccount, SourceKind, SourceNode}})
	}
	return Format{
		Name: "oracle", version: 1, entity: "ledger_id", suffix: ".zip", reverses: true, headless: true, fields: fields, wrap: glInterface, columns: oracleRow, account: combination,
	}
}

func segment(i int) string { return "segment" + strconv.Itoa(i) }

// oracleRow lays the cells out by position. Heads are for manifests and problems alone.
func oracleRow(k *looked) []column {
	columns := make([]column, oracleColumns)
	for i := range columns {
		columns[i] = column{head: "COLUMN" + strconv.Itoa(i+1), value: func(*row) string { return "" }}
	}
	put := func(position int, c column) { columns[position-1] = c }
	text := func(position int, head string, value func(*row) string) {
		put(position, column{head: head, value: value})
	}
	fill := func(position int, head, field string) { put(position, fieldColumn(head, field)) }
	fixed := func(value string) func(*row) string { return func(*row) string { return value } }
	text(1, "STATUS", fixed("NEW"))
	fill(2, "LEDGER_ID", "ledger_id")
	text(3, "EFFECTIVE_DATE", func(w *row) string { return w.day(w.journal.PostedOn, "YYYY/MM/DD") })
	fill(4, "JE_SOURCE", "source")
	fill(5, "JE_CATEGORY", "category")
	text(6, "CURRENCY_CODE", func(w *row) string { return w.journal.Currency })
	text(7, "DATE_CREATED", func(w *row) string { return w.day(w.journal.PreparedOn, "YYYY/MM/DD") })
	text(8, "ACTUAL_FLAG", fixed("A"))
	for i := 1; i <= maxSegments; i++ {
		c := fieldColumn("SEGMENT"+strconv.Itoa(i), segment(i))
		if i == 1 || k.rules[segment(i)] != nil {
			// A combination with a gap in it is none: every line needs each segment that is in use.
			c.value = func(w *row) string { return w.demanded(segment(i)) }
		}
		put(8+i, c)
	}
	put(39, column{head: "ENTERED_DR", numeric: true, value: (*row).debit})
	put(40, column{head: "ENTERED_CR", numeric: true, value: (*row).credit})
	text(43, "REFERENCE1", func(w *row) string { return w.journal.ExternalID })
	text(44, "REFERENCE2", func(w *row) string { return w.journal.Memo })
	text(46, "REFERENCE4", func(w *row) string { return w.doc.id })
	text(47, "REFERENCE5", (*row).title)
	text(48, "REFERENCE6", func(w *row) string { return w.journal.Packet })
	text(49, "REFERENCE7", func(w *row) string { return ifReversed(w, "Y") })
	text(50, "REFERENCE8", func(w *row) string { return w.reversalPeriod() })
	text(51, "REFERENCE9", func(w *row) string { return ifReversed(w, "Y") }) // debits and credits change sides
	text(52, "REFERENCE10", (*row).memo)
	text(53, "REFERENCE_COLUMN1", func(w *row) string { return w.leg.entry })
	text(54, "REFERENCE_COLUMN2", func(w *row) string { return w.leg.Node })
	text(55, "REFERENCE_COLUMN3", func(w *row) string { return w.leg.Capitalization })
	put(63, column{head: "STAT_AMOUNT", numeric: true, value: tokens})
	fill(67, "INTERFACE_GROUP_IDENTIFIER", "interface_group")
	fill(92, "LEDGER_NAME", "ledger_name")
	fill(95, "PERIOD_NAME", "period")
	return columns
}

func ifReversed(w *row, value string) string {
	if w.journal.ReversedOn.IsZero() {
		return ""
	}
	return value
}

func glInterface(j *Journal, content []byte) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	// The time is the journal's, so that an export made again is the same archive.
	entry, err := w.CreateHeader(&zip.FileHeader{Name: "GlInterface.csv", Method: zip.Deflate, Modified: j.PreparedOn.UTC()})
	if err == nil {
		_, err = entry.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("archive GlInterface.csv: %w", err)
	}
	return out.Bytes(), nil
}

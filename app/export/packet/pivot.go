package packet

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"
)

// The sheets of the pivot table: what it is made from, and where it lies.
const (
	sheetPivot     = "Pivot"
	sheetPivotData = "Pivot data"
)

// byPivot is what the pivot table is made from: each node's own charges by UTC day, with
// where the node lies. It begins in the first cell, with nothing above it and no total.
func byPivot(f *Figures, s *settled) *table {
	if len(f.Days) == 0 {
		return nil
	}
	t := &table{
		sheet: sheetPivotData, title: "Pivot data", note: "What the pivot table is made from: each node’s own charges by UTC day, in US dollars.", plain: true,
		columns: []column{
			{"Day", text, 0}, {"Top", text, 0}, {"Code", text, 0}, {"Name", text, 0}, {"Path", text, 0}, {"Kind", text, 0}, {"Capitalization", text, 0}, {"US dollars", cents, 0}, {"Requests", number, 0}, {"Tokens", number, 0},
		},
		controls: s.control(),
	}
	at := map[string]*Node{}
	for i := range f.Nodes {
		at[f.Nodes[i].Path] = &f.Nodes[i]
	}
	for i := range f.Days {
		d := &f.Days[i]
		top, _, _ := strings.Cut(d.Path, pathJoint)
		row := []cell{d.Day.Format(time.DateOnly), top, d.Code, d.Code, d.Path, nil, nil, s.day[i], d.Requests, d.Tokens}
		if n := at[d.Path]; n != nil {
			row[3], row[5], row[6] = n.Name, word(n.Kind), n.Capitalization
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// pivot adds the pivot table: dollars, requests and tokens by what lies at the top of the
// tree, code and month's day. Whoever opens the workbook has it worked out anew from its data;
// the other sheets' totals stand whether or not a viewer does.
func pivot(document []byte, rows int) ([]byte, error) {
	book, err := excelize.OpenReader(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("add pivot table: %w", err)
	}
	defer book.Close()
	if _, err := book.NewSheet(sheetPivot); err != nil {
		return nil, fmt.Errorf("add pivot table: %w", err)
	}
	field := func(name string) excelize.PivotTableField {
		return excelize.PivotTableField{Data: name, Name: name, DefaultSubtotal: true, Outline: true}
	}
	sum := func(data, name string) excelize.PivotTableField {
		return excelize.PivotTableField{Data: data, Name: name, Subtotal: "Sum", NumFmt: 4}
	}
	const pivotEnd = "H400" // it grows as it is worked out
	if err := book.AddPivotTable(&excelize.PivotTableOptions{
		DataRange: sheetPivotData + "!A1:J" + strconv.Itoa(rows+1), PivotTableRange: sheetPivot + "!A5:" + pivotEnd, Name: "Chargeback",
		Rows: []excelize.PivotTableField{field("Top"), field("Code")}, Filter: []excelize.PivotTableField{field("Day"), field("Capitalization")},
		Data:           []excelize.PivotTableField{sum("US dollars", "Sum of US dollars"), sum("Requests", "Sum of requests"), sum("Tokens", "Sum of tokens")},
		RowGrandTotals: true, ColGrandTotals: true, ShowDrill: true, ShowRowHeaders: true, ShowColHeaders: true, ShowLastColumn: true, PivotTableStyleName: "PivotStyleLight16",
	}); err != nil {
		return nil, fmt.Errorf("add pivot table: %w", err)
	}
	const note = "Worked out anew whenever the workbook is opened, from the sheet " + sheetPivotData + "; the totals of the other sheets stand without it."
	if err := book.SetCellStr(sheetPivot, "J1", note); err != nil { // beside it: what is above it are its filters
		return nil, fmt.Errorf("add pivot table: %w", err)
	}
	book.SetActiveSheet(0)
	var out bytes.Buffer
	if err := book.Write(&out); err != nil {
		return nil, fmt.Errorf("add pivot table: %w", err)
	}
	return out.Bytes(), nil
}

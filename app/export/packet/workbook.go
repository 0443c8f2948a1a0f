package packet

import (
	"archive/zip"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/xuri/excelize/v2"

	"tollbook/app/fault"
	"tollbook/app/money"
)

// FileWorkbook is the workbook in the archive.
const FileWorkbook = "chargeback.xlsx"

// looks are the styles of a workbook's cells.
type looks struct{ title, note, head, headRight, text, code, cents, change, number, totalText, totalCents, totalChange, totalNumber int }

// workbook writes each table on a sheet of its own, behind one that says what all of it is.
// The library gives its parts a fixed time and order, so that the same rows are the same
// bytes.
func (f *Figures) workbook(tables []table) ([]byte, int, error) {
	book := excelize.NewFile()
	defer book.Close()
	look, err := style(book)
	if err != nil {
		return nil, 0, err
	}
	at := f.At.UTC().Format(time.RFC3339)
	if err := book.SetDocProps(&excelize.DocProperties{Creator: "Tollbook", LastModifiedBy: "Tollbook", Title: f.Title(), Created: at, Modified: at}); err != nil {
		return nil, 0, fmt.Errorf("write workbook: %w", err)
	}
	const readMe = "Read me"
	if err := book.SetSheetName(book.GetSheetName(0), readMe); err != nil {
		return nil, 0, fmt.Errorf("write workbook: %w", err)
	}
	if err := f.readMe(book, readMe, look, tables); err != nil {
		return nil, 0, err
	}
	rows := 0
	for i := range tables {
		if _, err := book.NewSheet(tables[i].sheet); err != nil {
			return nil, 0, fmt.Errorf("write sheet %s: %w", tables[i].sheet, err)
		}
		if err := f.sheet(book, &tables[i], look); err != nil {
			return nil, 0, fmt.Errorf("write sheet %s: %w", tables[i].sheet, err)
		}
		rows += len(tables[i].rows)
	}
	book.SetActiveSheet(0)
	var out bytes.Buffer
	if err := book.Write(&out); err != nil {
		return nil, 0, fmt.Errorf("write workbook: %w", err)
	}
	document := out.Bytes()
	if last := &tables[len(tables)-1]; last.sheet == sheetPivotData {
		if document, err = pivot(document, len(last.rows)); err != nil {
			return nil, 0, err
		}
	}
	document, err = inOrder(document)
	return document, rows, err
}

// inOrder packs a workbook's parts anew by name: the library writes the sheets that were
// streamed in the order of a map.
func inOrder(document []byte) ([]byte, error) {
	parts, err := zip.NewReader(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		return nil, fmt.Errorf("order workbook: %w", err)
	}
	// What the parts are comes first: some readers look no further to tell what a file is.
	first := func(f *zip.File) int {
		if f.Name == "[Content_Types].xml" {
			return 0
		}
		return 1
	}
	slices.SortFunc(parts.File, func(a, b *zip.File) int { return cmp.Or(cmp.Compare(first(a), first(b)), cmp.Compare(a.Name, b.Name)) })
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, part := range parts.File {
		if err := repack(w, part); err != nil {
			return nil, fmt.Errorf("order workbook: %s: %w", part.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("order workbook: %w", err)
	}
	return out.Bytes(), nil
}

func repack(w *zip.Writer, part *zip.File) error {
	from, err := part.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := w.CreateHeader(&zip.FileHeader{Name: part.Name, Method: zip.Deflate, Modified: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err == nil {
		_, err = io.Copy(to, io.LimitReader(from, MaxBytes))
	}
	return err
}

func style(book *excelize.File) (looks, error) {
	var l looks
	plainMoney, signs, whole := `#,##0.00`, `+#,##0.00;-#,##0.00;0.00`, `#,##0`
	rule := []excelize.Border{{Type: "bottom", Color: "1B1D21", Style: 1}}
	top := []excelize.Border{{Type: "top", Color: "1B1D21", Style: 1}}
	font := func(size float64, bold bool, color string) *excelize.Font {
		return &excelize.Font{Family: "Inter", Size: size, Bold: bold, Color: color}
	}
	right := &excelize.Alignment{Horizontal: "right"}
	for _, one := range []struct {
		into *int
		as   excelize.Style
	}{
		{&l.title, excelize.Style{Font: font(14, true, "1B1D21")}},
		{&l.note, excelize.Style{Font: font(9, false, "565A63")}},
		{&l.head, excelize.Style{Font: font(9, true, "565A63"), Border: rule}},
		{&l.headRight, excelize.Style{Font: font(9, true, "565A63"), Border: rule, Alignment: right}},
		{&l.text, excelize.Style{Font: font(10, false, "1B1D21"), NumFmt: 49}},
		{&l.code, excelize.Style{Font: &excelize.Font{Family: "JetBrains Mono", Size: 9, Color: "1B1D21"}, NumFmt: 49}},
		{&l.cents, excelize.Style{Font: font(10, false, "1B1D21"), CustomNumFmt: &plainMoney}},
		{&l.change, excelize.Style{Font: font(10, false, "1B1D21"), CustomNumFmt: &signs}},
		{&l.number, excelize.Style{Font: font(10, false, "1B1D21"), CustomNumFmt: &whole}},
		{&l.totalText, excelize.Style{Font: font(10, true, "1B1D21"), Border: top, NumFmt: 49}},
		{&l.totalCents, excelize.Style{Font: font(10, true, "1B1D21"), Border: top, CustomNumFmt: &plainMoney}},
		{&l.totalChange, excelize.Style{Font: font(10, true, "1B1D21"), Border: top, CustomNumFmt: &signs}},
		{&l.totalNumber, excelize.Style{Font: font(10, true, "1B1D21"), Border: top, CustomNumFmt: &whole}},
	} {
		id, err := book.NewStyle(&one.as)
		if err != nil {
			return l, fmt.Errorf("style workbook: %w", err)
		}
		*one.into = id
	}
	return l, nil
}

// readMe says what the workbook is, of what, and what each sheet comes to.
func (f *Figures) readMe(book *excelize.File, name string, look looks, tables []table) error {
	w, err := book.NewStreamWriter(name)
	if err != nil {
		return fmt.Errorf("write sheet %s: %w", name, err)
	}
	at := 0
	row := func(cells ...any) {
		at++
		if err == nil {
			err = w.SetRow("A"+strconv.Itoa(at), cells)
		}
	}
	styled := func(id int, value any) excelize.Cell { return excelize.Cell{StyleID: id, Value: value} }
	if err = w.SetColWidth(1, 1, 26); err == nil {
		err = w.SetColWidth(2, 4, 48)
	}
	row(styled(look.title, "Chargeback, "+monthName(f.Month)))
	row(styled(look.note, stateWords(f.State())))
	row()
	for _, p := range f.provenance() {
		row(styled(look.head, p.Name), styled(look.text, p.Value))
	}
	row()
	row(styled(look.head, "Sheet"), styled(look.head, "What it is"), styled(look.head, "Rows"), styled(look.head, "Control totals"))
	for i := range tables {
		t := &tables[i]
		totals := ""
		for _, c := range t.controls {
			if totals != "" {
				totals += "; "
			}
			totals += c.Name + " " + c.Value
		}
		row(styled(look.text, t.sheet), styled(look.text, t.note), styled(look.number, len(t.rows)), styled(look.text, totals))
	}
	row()
	row(styled(look.note, "Amounts are in US dollars. Those in cents add up to their total at every level; “Exact” columns hold all twelve decimals as text, since a spreadsheet’s numbers keep fewer digits."))
	row(styled(look.note, "The digest of this file is in manifest.json beside it: see VERIFY.txt."))
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return fmt.Errorf("write sheet %s: %w", name, err)
	}
	return nil
}

// sheet writes one table: its title and basis, what it comes to, its rows and its total.
func (f *Figures) sheet(book *excelize.File, t *table, look looks) error {
	w, err := book.NewStreamWriter(t.sheet)
	if err != nil {
		return err
	}
	for i, c := range t.columns {
		if err := w.SetColWidth(i+1, i+1, c.wide()); err != nil {
			return err
		}
	}
	head := 4 + len(t.controls) // the row of the columns' names
	if t.plain {
		head = 1
	}
	if err := w.SetPanes(&excelize.Panes{Freeze: true, YSplit: head, TopLeftCell: "A" + strconv.Itoa(head+1), ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	var lines [][]any
	if !t.plain {
		lines = t.above(f, look)
	}
	names := []any{}
	for _, c := range t.columns {
		id := look.head
		if c.right() {
			id = look.headRight
		}
		names = append(names, excelize.Cell{StyleID: id, Value: c.head})
	}
	lines = append(lines, names)
	for i, line := range lines {
		if err := w.SetRow("A"+strconv.Itoa(i+1), line); err != nil {
			return err
		}
	}
	for i, row := range t.rows {
		cells, err := t.cells(row, look, false)
		if err == nil {
			err = w.SetRow("A"+strconv.Itoa(head+1+i), cells, t.outline(i))
		}
		if err != nil {
			return err
		}
	}
	if t.total != nil {
		cells, err := t.cells(t.total, look, true)
		if err == nil {
			err = w.SetRow("A"+strconv.Itoa(head+1+len(t.rows)), cells)
		}
		if err != nil {
			return err
		}
	}
	return w.Flush()
}

// above is what stands over a table: its title and basis, and what it comes to.
func (t *table) above(f *Figures, look looks) [][]any {
	lines := [][]any{
		{excelize.Cell{StyleID: look.title, Value: t.title + ", " + monthName(f.Month)}},
		{excelize.Cell{StyleID: look.note, Value: f.Title() + ". " + t.note}},
	}
	for _, c := range t.controls {
		lines = append(lines, []any{excelize.Cell{StyleID: look.note, Value: "Control total " + c.Name}, excelize.Cell{StyleID: look.code, Value: c.Value}})
	}
	return append(lines, nil)
}

// maxOutline is as deep as a spreadsheet folds rows.
const maxOutline = 7

// outline folds the rows of a hierarchy below those above them.
func (t *table) outline(i int) excelize.RowOpts {
	if t.indents == nil {
		return excelize.RowOpts{}
	}
	return excelize.RowOpts{OutlineLevel: min(t.indents[i], maxOutline)}
}

func (c *column) right() bool {
	return c.kind == cents || c.kind == change || c.kind == number || c.kind == fraction
}

func (c *column) wide() float64 {
	switch c.kind {
	case cents, change, number, fraction:
		return 15
	case exact:
		return 24
	case code:
		return 68
	case text:
	}
	return 26
}

var errSheetCell = fault.New(fault.KindInternal, "packet_cell", "A table of a packet holds something its column does not.")

func (t *table) cells(row []cell, look looks, total bool) ([]any, error) {
	out := make([]any, len(row))
	for i, value := range row {
		one := excelize.Cell{StyleID: look.of(t.columns[i].kind, total)}
		switch v := value.(type) {
		case nil:
			if !total {
				continue
			}
		case string:
			one.Value = v // a text, whatever it looks like: streamed strings are never formulas
		case int64:
			one.Value = v
		case money.Cents:
			// The number a spreadsheet keeps is a binary one whatever is written: with cents of
			// up to fifteen digits it prints as the decimal it was read from.
			number, err := strconv.ParseFloat(v.String(), 64)
			if err != nil {
				return nil, errSheetCell.Because(err)
			}
			one.Value = number
		default:
			return nil, errSheetCell
		}
		out[i] = one
	}
	return out, nil
}

func (l *looks) of(k kind, total bool) int {
	switch k {
	case cents:
		return pick(total, l.totalCents, l.cents)
	case change:
		return pick(total, l.totalChange, l.change)
	case number:
		return pick(total, l.totalNumber, l.number)
	case code:
		return pick(total, l.totalText, l.code)
	case text, exact, fraction:
	}
	return pick(total, l.totalText, l.text)
}

func pick(yes bool, a, b int) int {
	if yes {
		return a
	}
	return b
}

package packet

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"

	"tollbook/app/export"
	"tollbook/app/money"
)

// reread makes every file that was made of the figures again and compares it with the one in
// the packet, and holds what other parts of the product made to the figures.
func (c *Checked) reread(bundle fs.FS) error {
	m := c.named(FileFigures)
	if m == nil {
		return nil // there was no room for it, or an earlier release made it
	}
	if m.ReportVersion != figuresVersion {
		c.Other = append(c.Other, FileFigures)
		return nil
	}
	content, err := read(bundle, FileFigures)
	if err != nil {
		return err
	}
	f, err := readFigures(content)
	if err != nil {
		return err
	}
	if err := c.sameFigures(f); err != nil {
		return err
	}
	tables, err := f.tables()
	if err != nil {
		return bad(FileFigures, "%s", err.Error())
	}
	for _, p := range parts() {
		if m = c.named(p.name); m == nil {
			continue
		}
		if m.ReportVersion != p.version {
			c.Other = append(c.Other, p.name)
			continue
		}
		again, _, _, _, err := p.make(f, tables)
		if err != nil {
			return bad(p.name, "it cannot be made again: %s", err.Error())
		}
		was, err := read(bundle, p.name)
		if err != nil {
			return err
		}
		if why := p.differs(was, again); why != "" {
			return bad(p.name, "it says otherwise than %s: %s", FileFigures, why)
		}
	}
	if err := c.attached(bundle, f); err != nil {
		return err
	}
	c.Figures = true
	return c.reprint(bundle, f, tables)
}

func (c *Checked) named(file string) *export.Manifest {
	for i := range c.Manifest.Contents {
		if c.Manifest.Contents[i].File == file {
			return &c.Manifest.Contents[i]
		}
	}
	return nil
}

// sameFigures holds the figures to what the manifest says of them, and each table to the one
// it rests on.
func (c *Checked) sameFigures(f *Figures) error {
	digest, err := f.Digest()
	if err != nil || digest != c.Manifest.Figures {
		return bad(FileFigures, "they are not the figures whose SHA-256 the manifest holds")
	}
	m := &c.Manifest
	if f.TenantID != m.TenantID || f.Month.String() != m.Period || f.Revision != m.Revision || f.State() != m.State || f.Scope.Whole() != (m.Scope == nil) {
		return bad(FileFigures, "they are of another packet than the manifest")
	}
	if _, err := f.settle(); err != nil {
		return bad(FileFigures, "%s", err.Error())
	}
	if !slices.Equal(f.controls(), m.Controls) {
		return bad(FileManifest, "its control totals are not those of %s", FileFigures)
	}
	return nil
}

// attached holds the files of other parts of the product to the figures.
func (c *Checked) attached(bundle fs.FS, f *Figures) error {
	if err := c.sidecars(bundle, f); err != nil {
		return err
	}
	for k := range f.Attachments {
		a := &f.Attachments[k]
		m := c.named(a.Name)
		if m == nil {
			if !slices.ContainsFunc(c.Manifest.LeftOut, func(l LeftOut) bool { return l.File == a.Name && l.SHA256 == a.SHA256 }) {
				return bad(a.Name, "it is missing: %s tells of it", FileFigures)
			}
			continue
		}
		content, err := read(bundle, a.Name)
		if err != nil {
			return err
		}
		if err := f.tied(a.Name, content); err != nil {
			return err
		}
		if digest := sha256.Sum256(content); hex.EncodeToString(digest[:]) != a.SHA256 {
			return bad(a.Name, "its bytes are not those that %s tells of", FileFigures)
		}
	}
	return nil
}

// sidecars holds each file that came with a manifest of its own to that, and what the
// manifests of an export say it comes to, to the journal's lines in it.
func (c *Checked) sidecars(bundle fs.FS, f *Figures) error {
	for k := range f.Exported {
		x := &f.Exported[k]
		var debits money.Cents
		last, whole := "", true
		for _, name := range x.Files {
			if c.named(name) == nil || c.named(name+export.Suffix) == nil {
				whole = false // there was no room for it
				continue
			}
			document, err := read(bundle, name+export.Suffix)
			if err != nil {
				return err
			}
			file, err := read(bundle, name)
			if err != nil {
				return err
			}
			m, err := export.Verify(document, file)
			if err != nil {
				return bad(name, "it is not the file that %s is about", name+export.Suffix)
			}
			last = name + export.Suffix
			for _, p := range m.ControlTotals {
				if p.Name != "debit_total" {
					continue
				}
				one, err := money.ParseCents(p.Value)
				if err != nil {
					return bad(last, "its debit_total is no amount")
				}
				debits += one
			}
		}
		if whole && last != "" && debits != x.Total {
			return bad(last, "the files of %s come to debits of %s, and the journal’s lines in it to %s", x.ExternalID, debits, x.Total)
		}
	}
	return nil
}

// tied holds a file that can be read to the figures.
func (f *Figures) tied(name string, content []byte) error {
	switch {
	case name == FileFocus:
		return f.tieFocus(content)
	case strings.HasSuffix(name, billEnd):
		return f.tieBill(name, content)
	}
	return nil
}

// billEnd is how the name of a bill for accounts payable ends.
const billEnd = "-ap.csv"

// The month's charges as FOCUS, in the archive.
const (
	FileFocus        = "focus.csv"
	FileFocusColumns = "focus.parquet"
)

// columns reads some columns of a CSV file with a head.
func columns(content []byte, names ...string) (rows [][]string, why string) {
	list, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil || len(list) == 0 {
		return nil, "it is no CSV"
	}
	at := make([]int, len(names))
	for i, name := range names {
		if at[i] = slices.Index(list[0], name); at[i] < 0 {
			return nil, "it has no column " + name
		}
	}
	for _, row := range list[1:] {
		one := make([]string, len(names))
		for i := range names {
			one[i] = row[at[i]]
		}
		rows = append(rows, one)
	}
	return rows, ""
}

// tieFocus holds FOCUS to the invoices and to the ledger: what is billed of an invoice's
// usage is what it comes to, and effective costs are the charges of the days that are posted.
func (f *Figures) tieFocus(content []byte) error {
	rows, why := columns(content, "BilledCost", "EffectiveCost", "InvoiceId", "ChargeFrequency")
	if why != "" {
		return bad(FileFocus, "%s", why)
	}
	var effective, used money.Sum // used: of requests, without what an invoice bills beside them
	billed := map[string]money.Sum{}
	var all money.Sum
	for n, row := range rows {
		b, err := money.ParseSum(row[0])
		if err != nil {
			return bad(FileFocus, "line %d: BilledCost is no amount", n+2)
		}
		e, err := money.ParseSum(row[1])
		if err != nil {
			return bad(FileFocus, "line %d: EffectiveCost is no amount", n+2)
		}
		var sum money.Sum
		before := billed[row[2]]
		sum.AddSum(&before)
		sum.AddSum(&b)
		billed[row[2]] = sum
		all.AddSum(&b)
		effective.AddSum(&e)
		if row[3] == usageBased {
			used.AddSum(&e)
		}
	}
	if err := f.tieTotals(&all, &effective); err != nil {
		return err
	}
	for k := range f.Invoices {
		i := &f.Invoices[k]
		sum, there := billed[i.Number]
		var total money.Sum
		total.AddCents(i.Total)
		within := !i.From.Before(f.Month.Start()) && !i.To.After(f.Month.End()) // else another month's file has a part
		if there && within && sum.Cmp(&total) != 0 {
			return bad(FileFocus, "its BilledCost of invoice %s sums to %s, and the invoice is %s", i.Number, sum.String(), i.Total)
		}
	}
	if f.Books != nil && f.Books.Waiting == 0 && used.Cmp(&f.settled.total) != 0 {
		return bad(FileFocus, "its EffectiveCost of requests sums to %s, and the month was charged %s", used.String(), f.settled.total.String())
	}
	return nil
}

// tieTotals holds FOCUS to the totals it was made with.
func (f *Figures) tieTotals(billed, effective *money.Sum) error {
	for k := range f.Attachments {
		if f.Attachments[k].Name != FileFocus {
			continue
		}
		for _, p := range f.Attachments[k].ControlTotals {
			switch {
			case p.Name == controlBilled && p.Value != billed.String():
				return bad(FileFocus, "its BilledCost sums to %s, and it was made to come to %s", billed.String(), p.Value)
			case p.Name == controlEffective && p.Value != effective.String():
				return bad(FileFocus, "its EffectiveCost sums to %s, and it was made to come to %s", effective.String(), p.Value)
			}
		}
	}
	return nil
}

// usageBased is the frequency of a charge for requests, in FOCUS.
const usageBased = "Usage-Based"

// The control totals that say what a file of FOCUS comes to.
const (
	controlBilled    = "billed_total_usd"
	controlEffective = "effective_total_usd"
)

// FocusControls sums a file of FOCUS.
func FocusControls(content []byte) ([]export.Pair, error) {
	rows, why := columns(content, "BilledCost", "EffectiveCost")
	if why != "" {
		return nil, bad(FileFocus, "%s", why)
	}
	var sums [2]money.Sum
	for _, row := range rows {
		for k := range sums {
			s, err := money.ParseSum(row[k])
			if err != nil {
				return nil, bad(FileFocus, "%s", err.Error())
			}
			sums[k].AddSum(&s)
		}
	}
	return []export.Pair{{Name: controlBilled, Value: sums[0].String()}, {Name: controlEffective, Value: sums[1].String()}}, nil
}

// tieBill holds a bill to the invoice it is of: its lines and their tax are its total.
func (f *Figures) tieBill(name string, content []byte) error {
	rows, why := columns(content, "invoice_number", "invoice_total", "line_amount", "tax_amount")
	if why != "" {
		return bad(name, "%s", why)
	}
	var sum money.Cents
	for n, row := range rows {
		for _, text := range row[2:] {
			c, err := money.ParseCents(text)
			if err != nil {
				return bad(name, "line %d holds no amount where one belongs", n+2)
			}
			sum += c
		}
	}
	for _, row := range rows {
		k := slices.IndexFunc(f.Invoices, func(i Invoice) bool { return i.Number == row[0] })
		switch {
		case k < 0:
			return bad(name, "it bills invoice %.100q, which %s does not tell of", row[0], FileFigures)
		case row[1] != f.Invoices[k].Total.String() || sum != f.Invoices[k].Total:
			return bad(name, "it says %s and its lines come to %s, and invoice %s is %s", row[1], sum, f.Invoices[k].Number, f.Invoices[k].Total)
		}
	}
	return nil
}

// differs says where a file is another one than was made again; nothing, where it is not.
func (p *part) differs(was, again []byte) string {
	if bytes.Equal(was, again) {
		return ""
	}
	if p.name == FileWorkbook {
		return otherCells(was, again)
	}
	a, b := strings.Split(string(was), "\n"), strings.Split(string(again), "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("line %d", i+1)
		}
	}
	return "it ends too early"
}

// otherCells says which cell of two workbooks is another one: how a library packs them may
// change, what they say may not.
func otherCells(was, again []byte) string {
	sheets := [2]*excelize.File{}
	for i, content := range [][]byte{was, again} {
		book, err := excelize.OpenReader(bytes.NewReader(content))
		if err != nil {
			return "it is no workbook"
		}
		defer book.Close()
		sheets[i] = book
	}
	if !slices.Equal(sheets[0].GetSheetList(), sheets[1].GetSheetList()) {
		return "its sheets are others"
	}
	for _, name := range sheets[0].GetSheetList() {
		var rows [2][][]string
		for i, book := range sheets {
			var err error
			if rows[i], err = book.GetRows(name, excelize.Options{RawCellValue: true}); err != nil {
				return "sheet " + name + " cannot be read"
			}
		}
		if why := otherRow(rows[0], rows[1]); why != "" {
			return "sheet " + name + ", " + why
		}
	}
	return ""
}

func otherRow(was, again [][]string) string {
	if len(was) != len(again) {
		return "its number of rows"
	}
	for r := range was {
		for k := range max(len(was[r]), len(again[r])) {
			if k >= len(was[r]) || k >= len(again[r]) || was[r][k] != again[r][k] {
				at, _ := excelize.CoordinatesToCellName(k+1, r+1)
				return "cell " + at
			}
		}
	}
	return ""
}

// reprint lays the summary out again and compares its pages.
func (c *Checked) reprint(bundle fs.FS, f *Figures, tables []table) error {
	m := c.named(FileSummary)
	if m == nil {
		return bad(FileSummary, "the manifest does not name it")
	}
	if m.ReportVersion != summaryVersion {
		c.Other = append(c.Other, FileSummary)
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(c.Manifest.Contents), func(m export.Manifest) bool { return m.File == FileSummary })
	again, _, err := f.summary(tables, others, c.Manifest.LeftOut)
	if err != nil {
		return bad(FileSummary, "it cannot be printed again: %s", err.Error())
	}
	was, err := read(bundle, FileSummary)
	if err != nil || bytes.Equal(was, again) {
		return err
	}
	a, b := streams(was), streams(again)
	for i := range b {
		if i >= len(a) || !bytes.Equal(a[i], b[i]) {
			return bad(FileSummary, "it prints otherwise than %s says: page %d, or what it is printed with", FileFigures, i+1)
		}
	}
	if len(a) != len(b) {
		return bad(FileSummary, "it has more pages than %s makes", FileFigures)
	}
	return nil
}

// maxStream bounds one stream of a document that is read again.
const maxStream = 16 << 20

// streams are what a document's pages draw, and its faces, unpacked: how they are packed may
// change with the program.
func streams(document []byte) (list [][]byte) {
	const begin, end = "stream\n", "\nendstream"
	for rest := document; ; {
		at := bytes.Index(rest, []byte(begin))
		if at < 0 {
			return list
		}
		rest = rest[at+len(begin):]
		to := bytes.Index(rest, []byte(end))
		if to < 0 {
			return list
		}
		packed := rest[:to]
		rest = rest[to+len(end):]
		r, err := zlib.NewReader(bytes.NewReader(packed))
		if err != nil {
			list = append(list, packed)
			continue
		}
		plain, err := io.ReadAll(io.LimitReader(r, maxStream))
		if err != nil {
			plain = packed
		}
		list = append(list, plain)
	}
}

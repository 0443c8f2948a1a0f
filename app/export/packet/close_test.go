package packet_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"tollbook/app/export"
	"tollbook/app/export/packet"
	"tollbook/app/money"
	"tollbook/app/period"
)

// focusFile is FOCUS of the fixture's month: what it was charged, billed in cents.
const focusFile = "BilledCost,EffectiveCost,InvoiceId,ListCost,ChargeFrequency\r\n600.00,600.005000000000,,600.005,Usage-Based\r\n101.50,101.500000000000,,101.5,Usage-Based\r\n"

// billFile is the bill of the fixture's invoice.
const billFile = "invoice_number,invoice_total,line_amount,tax_amount\r\nINV-1,772.00,700.00,70.00\r\nINV-1,772.00,2.00,0.00\r\n"

const journalFile = "External ID,Debit\r\nTB-1,433.34\r\n"

// closed is the month of figures with all that a close adds: an invoice that is booked, two
// days that were reconciled, signatures, and what other parts of the product made.
func closed(t *testing.T) *packet.Figures {
	t.Helper()
	f := figures(t)
	f.BooksState, f.BooksRevision = period.StateLocked, 1
	sign := func(name string, hour int) *packet.Signature {
		return &packet.Signature{Name: name, Role: "finance admin", Issuer: "https://idp.meridian.test", Subject: "00u" + name, At: at(3, hour), Note: "as it is"}
	}
	f.Invoices = []packet.Invoice{{
		ID: "inv_1", Number: "INV-1", Revision: 1, Workspace: "default", Issuer: "Anthropic", IssuedOn: at(31, 0), DueOn: at(31, 0), From: at(1, 0), To: at(31, 0), Currency: "USD", Total: 77_200, Ledger: usd(t, "701.505000000000"),
		Lines:   []packet.InvoiceLine{{Kind: "usage", Description: "Claude API", Amount: 70_300}, {Kind: "credit", Description: "=goodwill", Amount: -100}, {Kind: "tax", Description: "VAT", Amount: 7_000}},
		Items:   []packet.Reason{{Class: "tax", Amount: usd(t, "70.000000000000")}, {Class: "credit", Amount: usd(t, "-1.000000000000")}, {Class: "unexplained", Amount: usd(t, "1.495000000000")}},
		Accrued: 70_151, Booked: true, Entry: 9, Residual: 150, PaperSHA256: strings.Repeat("cd", 32),
	}}
	share := func(line int, kind, code string, cents money.Cents) packet.Share {
		return packet.Share{Invoice: "INV-1", Line: line, Kind: kind, Code: code, Path: "ENG / " + code, Entity: "DE01", GLAccount: "0600", Capitalization: "expense", Weight: "5", Amount: cents}
	}
	f.Shares = []packet.Share{share(1, "usage", "0041", 50_000), share(1, "usage", "0042", 20_150), share(2, "credit", "0041", -100), share(3, "tax", "0041", 5_000), share(3, "tax", "0042", 2_000)}
	f.Simulated = true
	f.Reconciled = []packet.Reconciled{
		{
			Day: at(1, 0), State: "exception", Number: 3, Ledger: usd(t, "600.001666666665"), Billed: usd(t, "601.001666666665"), Listed: usd(t, "600.001666666665"), ListPrice: usd(t, "601.001666666665"), OurRequests: 550, TheirRequests: 551, OurTokens: 4,
			TheirTokens: 5, Items: []packet.ReconciledClass{{Class: "bypass", Items: 1, Quantity: 1, Amount: usd(t, "0.750000000000")}, {Class: "unknown", Items: 1, Amount: usd(t, "0.250000000000")}}, Unexplained: usd(t, "0.250000000000"), Bps: 9983,
			Open: 1, Preparer: sign("Fiona", 8), Reviewer: sign("Carla", 9), Digest: strings.Repeat("ef", 32),
		},
		{Day: at(2, 0), State: "no_report", Bps: -1},
	}
	f.Variances = []packet.Variance{{Number: 4, Day: at(1, 0), Class: "bypass", Surface: "other_key", Key: "apikey_x", Model: "claude-opus-4-8", Code: "0041", State: "open", Amount: usd(t, "0.750000000000"), Quantity: 1, Owner: "Fiona Admin"}}
	f.Steps = []packet.Step{
		{Step: "usage", Owner: "finance_admin", Due: at(3, 0), Digest: strings.Repeat("12", 32), Preparer: sign("Fiona", 10), Reviewer: sign("Carla", 11)},
		{Step: "invoice", Owner: "finance_admin", Due: at(3, 0), Waived: "nothing is billed here", WaivedBy: 212},
		{Step: "journal", Owner: "tollbook", Due: at(3, 0), Unsigned: true},
	}
	f.Moves = []packet.Move{{From: period.StateOpen, To: period.StateClosing, Revision: 1, Change: 213, Name: "Fiona Admin", At: at(3, 9)}, {From: period.StateClosing, To: period.StateLocked, Revision: 1, Change: 214, Name: "Fiona Admin", Reason: "month end", At: at(3, 12)}}
	f.Elsewhere = []packet.Spend{{Code: "0042", Source: "seats", Memo: "=3 seats", Amount: 9_000}}
	f.Exported = []packet.Exported{{Number: 1, System: "netsuite", Entity: "DE01", Revision: 1, ExternalID: "TB-1", MappingVersion: 2, Entries: []int64{7}, Lines: 2, Total: 43_334, Documents: 1, Digest: strings.Repeat("34", 32), Files: []string{"TB-1-netsuite.csv"}}}
	beside, err := export.Manifest{File: "TB-1-netsuite.csv", Rows: 1, ControlTotals: []export.Pair{{Name: "debit_total", Value: "433.34"}}}.Of([]byte(journalFile)).JSON()
	require.NoError(t, err)
	sums, err := packet.FocusControls([]byte(focusFile))
	require.NoError(t, err)
	f.Attachments = []packet.Attachment{
		packet.Attach(packet.Attachment{Name: "TB-1-netsuite.csv", Report: "journal for netsuite", Where: "/exports/1"}, []byte(journalFile)), packet.Attach(packet.Attachment{Name: "TB-1-netsuite.csv.manifest.json", Report: "manifest beside it"}, beside),
		packet.Attach(packet.Attachment{Name: packet.FileFocus, Report: "FOCUS 1.2", ControlTotals: sums}, []byte(focusFile)), packet.Attach(packet.Attachment{Name: "TB-bill-1-ap.csv", Report: "bill"}, []byte(billFile)),
	}
	plan := money.Cents(30_000)
	f.Comments = []packet.Comment{
		{Code: "0042", Name: "Machine learning", Path: "ENG / 0042", Owner: "Olga Owner", State: "accepted", Text: "The model was trained.\n=a second line", Revision: 2, By: "Olga Owner", At: at(3, 8), AcceptedBy: "Fiona Admin", AcceptedAt: at(3, 9),
			Digest: strings.Repeat("56", 32), Actual: usd(t, "166.668333333334"), Before: usd(t, "266.333333333334"), Plan: &plan, Price: usd(t, "0.000000000001"), Volume: usd(t, "-99.665000000001")},
		{Code: "0041", Name: "Platform", Path: "ENG / 0041", State: "asked"},
	}
	f.Disputes = []packet.Dispute{
		{Number: 3, Code: "0041", To: "0042", Requests: 12, Amount: usd(t, "4.500000000000"), Reason: "=they run in our name", State: "open", Open: true, By: "Olga Owner", RaisedAt: at(2, 8), Since: at(2, 8)},
		{Number: 2, Code: "0042", To: "0041", Requests: 1, Amount: usd(t, "7.770000000000"), Reason: "x", State: "declined", By: "Olga Owner", RaisedAt: at(1, 8), Since: at(2, 8)},
	}
	return f
}

func TestAClosedMonthVerifies(t *testing.T) {
	t.Parallel()
	archive, key := sealed(t, build(t, closed(t)))
	checked, err := packet.Check(unzip(t, archive), []string{key})
	require.NoError(t, err)
	require.True(t, checked.Figures)
	require.Contains(t, checked.Words(), "every file says what they say")
	pages := strings.Join(printed(t, closed(t)), "\n")
	for _, want := range []string{
		"Invoice against ledger", "INV-1", "772.00", "Tested against a simulator", "99.83 %", "Differences above tolerance", "Fiona Admin", "Prepared and reviewed", "by change 212", "214", "TB-1", "90.00", "The model was trained.", "Accepted by Fiona Admin", "Asked, not answered", "Open disputes", "4.50", "=they run in our name", strings.Repeat("12", 32),
	} {
		require.Contains(t, pages, want)
	}
}

// resealed is a packet of which one file is another, with every digest of it made anew and
// the whole sealed again, as one could who held the log's key.
func resealed(t *testing.T, whole *packet.Built, name string, edit func([]byte) []byte) error {
	t.Helper()
	one := *whole
	built := &one
	built.Files, built.Manifest.Contents = slices.Clone(whole.Files), slices.Clone(whole.Manifest.Contents)
	found := false
	for i := range built.Files {
		if built.Files[i].Name != name {
			continue
		}
		found = true
		edited := edit(bytes.Clone(built.Files[i].Content))
		require.NotEqual(t, built.Files[i].Content, edited, name)
		built.Files[i].Content = edited
		for k := range built.Manifest.Contents {
			if built.Manifest.Contents[k].File == name {
				built.Manifest.Contents[k] = built.Manifest.Contents[k].Of(edited)
			}
		}
	}
	require.True(t, found, name)
	var err error
	built.Document, err = json.MarshalIndent(built.Manifest, "", "  ")
	require.NoError(t, err)
	archive, key := sealed(t, built)
	_, err = packet.Check(unzip(t, archive), []string{key})
	return err
}

func swap(was, is string) func([]byte) []byte {
	return func(content []byte) []byte { return bytes.Replace(content, []byte(was), []byte(is), 1) }
}

// TestAnyFigureThatIsAlteredIsNamed changes one figure of each file, makes its digests anew,
// and seals the packet again.
func TestAnyFigureThatIsAlteredIsNamed(t *testing.T) {
	t.Parallel()
	whole := build(t, closed(t))
	for _, c := range []struct {
		file, was, is, why string
	}{
		{packet.FileJournal, "433.34", "433.35", "does not balance"},
		{packet.FileFocus, "600.00,", "600.01,", "BilledCost"},
		{packet.FileFocus, "600.005000000000", "600.005000000001", "EffectiveCost"},
		{packet.FileFocus, ",600.005,", ",600.006,", "bytes"},
		{"TB-bill-1-ap.csv", "700.00", "701.00", "772.00"},
		{"TB-bill-1-ap.csv", "INV-1", "INV-2", "INV-2"},
		{"TB-1-netsuite.csv", "433.34", "433.35", "manifest.json"},
		{"TB-1-netsuite.csv.manifest.json", "433.34", "433.35", "433.35"},
		{packet.FileCommentary, "trained", "retired", "line "},
		{packet.FileVerify, "tollbook verify", "tollbook veriyf", "line"},
		{packet.FileFigures, `"Amount":50000`, `"Amount":50001`, "manifest holds"},
		{packet.FileFigures, `"Residual":150`, `"Residual":151`, "manifest holds"},
	} {
		err := resealed(t, whole, c.file, swap(c.was, c.is))
		var found *packet.BadError
		require.ErrorAs(t, err, &found, c.file)
		require.Equal(t, c.file, found.File, found.Why)
		require.Contains(t, found.Why, c.why)
	}
}

// TestACellThatIsAlteredIsNamed edits a figure on each sheet of the workbook.
func TestACellThatIsAlteredIsNamed(t *testing.T) {
	t.Parallel()
	whole := build(t, closed(t))
	var document []byte
	for i := range whole.Files {
		if whole.Files[i].Name == packet.FileWorkbook {
			document = whole.Files[i].Content
		}
	}
	book, err := excelize.OpenReader(bytes.NewReader(document))
	require.NoError(t, err)
	sheets := book.GetSheetList()
	require.NoError(t, book.Close())
	require.Subset(t, sheets, []string{"Invoices", "Invoice lines", "Residual", "Allocation", "Reconciliation", "Reconciling items", "Exceptions", "Commentary", "Disputes", "Spend elsewhere", "Sign-offs", "Moves", "ERP files", "Pivot data"})
	for _, sheet := range sheets {
		err := resealed(t, whole, packet.FileWorkbook, func(content []byte) []byte {
			book, err := excelize.OpenReader(bytes.NewReader(content))
			require.NoError(t, err)
			defer book.Close()
			require.NoError(t, book.SetCellValue(sheet, "B9", 1234567))
			var out bytes.Buffer
			require.NoError(t, book.Write(&out))
			return out.Bytes()
		})
		var found *packet.BadError
		require.ErrorAs(t, err, &found, sheet)
		require.Equal(t, packet.FileWorkbook, found.File)
		require.Contains(t, found.Why, sheet)
	}
}

// TestAPageThatIsAlteredIsNamed prints another figure on the first page.
func TestAPageThatIsAlteredIsNamed(t *testing.T) {
	t.Parallel()
	other := closed(t)
	other.Suspense = nil // a summary of other figures, in the place of the right one
	var document []byte
	for _, file := range build(t, other).Files {
		if file.Name == packet.FileSummary {
			document = file.Content
		}
	}
	err := resealed(t, build(t, closed(t)), packet.FileSummary, func([]byte) []byte { return document })
	var found *packet.BadError
	require.ErrorAs(t, err, &found)
	require.Equal(t, packet.FileSummary, found.File)
	require.Contains(t, found.Why, "page 1")
}

// TestFiguresThatDoNotTieMakeNoPacket: each table is held to the one it rests on.
func TestFiguresThatDoNotTieMakeNoPacket(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(*packet.Figures)
		why  string
	}{
		"a line of an invoice":    {func(f *packet.Figures) { f.Invoices[0].Lines[2].Amount++ }, "lines of invoice INV-1"},
		"an invoice's total":      {func(f *packet.Figures) { f.Invoices[0].Total++ }, "lines of invoice INV-1"},
		"a reason":                {func(f *packet.Figures) { f.Invoices[0].Items[0].Amount.Add(1) }, "reasons why invoice INV-1"},
		"a share":                 {func(f *packet.Figures) { f.Shares[3].Amount-- }, "Nodes bear"},
		"two shares of two lines": {func(f *packet.Figures) { f.Shares[3].Amount--; f.Shares[2].Amount++ }, "of line"},
		"the residual":            {func(f *packet.Figures) { f.Invoices[0].Residual++ }, "Nodes bear"},
		"a day's items":           {func(f *packet.Figures) { f.Reconciled[0].Items[0].Amount.Add(1) }, "reconciling items of 2026-10-01"},
		"a day's unexplained":     {func(f *packet.Figures) { f.Reconciled[0].Unexplained.Add(1) }, "unexplained"},
		"an entry":                {func(f *packet.Figures) { f.Books.Entries[0].Lines[0].Cents++ }, "Entry 7"},
		"an export's total":       {func(f *packet.Figures) { f.Exported[0].Total++ }, "Export TB-1"},
		"an export's entries":     {func(f *packet.Figures) { f.Exported[0].Entries = []int64{8} }, "Export TB-1"},
	} {
		f := closed(t)
		c.edit(f)
		_, err := packet.Build(f)
		require.ErrorContains(t, err, c.why, name)
	}
}

// TestThePivotCoversEveryRow reads the workbook's parts with no library of spreadsheets.
func TestThePivotCoversEveryRow(t *testing.T) {
	t.Parallel()
	f := closed(t)
	for day := range 25 { // more rows than the fixture has
		f.Days = append(f.Days, packet.Day{Code: "0042", Path: "ENG / 0042", Day: at(day+3, 0)})
	}
	files := unzip(t, must(sealed(t, build(t, f))))
	parts := map[string][]byte{}
	r, err := zip.NewReader(bytes.NewReader(files[packet.FileWorkbook].Data), int64(len(files[packet.FileWorkbook].Data)))
	require.NoError(t, err)
	for _, part := range r.File {
		in, err := part.Open()
		require.NoError(t, err)
		parts[part.Name], err = io.ReadAll(in)
		require.NoError(t, err)
	}
	var cache struct {
		Refresh bool `xml:"refreshOnLoad,attr"`
		Source  struct {
			Ref   string `xml:"ref,attr"`
			Sheet string `xml:"sheet,attr"`
		} `xml:"cacheSource>worksheetSource"`
		Fields []struct {
			Name string `xml:"name,attr"`
		} `xml:"cacheFields>cacheField"`
	}
	require.NoError(t, xml.Unmarshal(parts["xl/pivotCache/pivotCacheDefinition1.xml"], &cache))
	require.True(t, cache.Refresh)
	require.Equal(t, "Pivot data", cache.Source.Sheet)
	require.Len(t, cache.Fields, 10)
	var table struct {
		Data []struct {
			Name string `xml:"name,attr"`
		} `xml:"dataFields>dataField"`
	}
	require.NoError(t, xml.Unmarshal(parts["xl/pivotTables/pivotTable1.xml"], &table))
	require.Len(t, table.Data, 3)
	var sheet struct {
		Rows []struct {
			Number int `xml:"r,attr"`
		} `xml:"sheetData>row"`
	}
	require.NoError(t, xml.Unmarshal(parts[sheetPart(t, parts, "Pivot data")], &sheet))
	require.Len(t, sheet.Rows, 1+len(f.Days))
	require.Equal(t, "A1:J"+strconv.Itoa(len(sheet.Rows)), cache.Source.Ref)
}

// sheetPart finds the part that holds a sheet.
func sheetPart(t *testing.T, parts map[string][]byte, name string) string {
	t.Helper()
	var book struct {
		Sheets []struct {
			Name string `xml:"name,attr"`
			ID   string `xml:"http://schemas.openxmlformats.org/officeDocument/2006/relationships id,attr"`
		} `xml:"sheets>sheet"`
	}
	require.NoError(t, xml.Unmarshal(parts["xl/workbook.xml"], &book))
	var related struct {
		List []struct {
			ID     string `xml:"Id,attr"`
			Target string `xml:"Target,attr"`
		} `xml:"Relationship"`
	}
	require.NoError(t, xml.Unmarshal(parts["xl/_rels/workbook.xml.rels"], &related))
	for _, s := range book.Sheets {
		for _, one := range related.List {
			if s.Name == name && one.ID == s.ID {
				return "xl/" + strings.TrimPrefix(one.Target, "/xl/")
			}
		}
	}
	t.Fatal(name)
	return ""
}

// TestWhatDoesNotFitIsNamed: a file that the packet has no room for is in the manifest with its
// size, its digest and where it is, and on paper.
func TestWhatDoesNotFitIsNamed(t *testing.T) {
	t.Parallel()
	f := closed(t)
	large := bytes.Repeat([]byte("x"), packet.MaxBytes)
	f.Attachments = append(f.Attachments, packet.Attach(packet.Attachment{Name: "TB-9-netsuite.csv", Report: "journal for netsuite", Where: "/exports/9"}, large))
	built := build(t, f)
	digest := sha256.Sum256(large)
	want := packet.LeftOut{File: "TB-9-netsuite.csv", Report: "journal for netsuite", Bytes: len(large), SHA256: hex.EncodeToString(digest[:]), Where: "/exports/9"}
	require.Equal(t, []packet.LeftOut{want}, built.Manifest.LeftOut)
	archive, key := sealed(t, built)
	checked, err := packet.Check(unzip(t, archive), []string{key})
	require.NoError(t, err)
	require.Contains(t, checked.Words(), "TB-9-netsuite.csv")
	require.Contains(t, strings.Join(printed(t, f), "\n"), "/exports/9")
	for n := range packet.MaxFiles {
		f.Attachments = append(f.Attachments, packet.Attach(packet.Attachment{Name: fmt.Sprintf("f%d.csv", n), Where: "/x"}, []byte("y")))
	}
	built = build(t, f)
	require.LessOrEqual(t, len(built.Files), packet.MaxFiles)
	require.Len(t, built.Manifest.Contents, len(built.Files))
	require.Equal(t, len(f.Attachments)+6, len(built.Files)+len(built.Manifest.LeftOut))
}

// TestEveryFieldIsOfTheVersion: with a field more or less, the figures are the next version
// (figuresVersion), and what is here is its digest.
func TestEveryFieldIsOfTheVersion(t *testing.T) {
	t.Parallel()
	h := sha256.New()
	fields(h, reflect.TypeFor[packet.Figures](), map[reflect.Type]bool{})
	require.Equal(t, "98d6fdeb9cf4f484b8f796c2d9cfda23ba37d6f5e8498f43b1f68723e85185dc", hex.EncodeToString(h.Sum(nil)), "raise figuresVersion, and put this digest here")
}

// fields writes the names of all fields that a type's JSON has.
func fields(w io.Writer, of reflect.Type, seen map[reflect.Type]bool) {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		fields(w, of.Elem(), seen)
		return
	case reflect.Struct:
	default:
		return
	}
	if seen[of] || of.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return
	}
	seen[of] = true
	for f := range of.Fields() {
		if f.IsExported() {
			_, _ = fmt.Fprintln(w, of.Name(), f.Name, f.Type, f.Tag)
			fields(w, f.Type, seen)
		}
	}
}

// TestAPacketOfAnotherVersionIsHeldToItsDigests: it is not taken for altered.
func TestAPacketOfAnotherVersionIsHeldToItsDigests(t *testing.T) {
	t.Parallel()
	built := build(t, closed(t))
	for i := range built.Manifest.Contents {
		if m := &built.Manifest.Contents[i]; m.File == packet.FileFigures || m.File == packet.FileSummary {
			m.ReportVersion = 99
		}
	}
	var err error
	built.Document, err = json.MarshalIndent(built.Manifest, "", "  ")
	require.NoError(t, err)
	archive, key := sealed(t, built)
	checked, err := packet.Check(unzip(t, archive), []string{key})
	require.NoError(t, err)
	require.False(t, checked.Figures)
	require.Equal(t, []string{packet.FileFigures}, checked.Other)
	require.Contains(t, checked.Words(), "another version")
}

package packet_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"tollbook/app/auditlog"
	"tollbook/app/export"
	"tollbook/app/export/packet"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/variance"
)

func at(day, hour int) time.Time { return time.Date(2026, 10, day, hour, 30, 0, 0, time.UTC) }

func month(t *testing.T) period.Month {
	t.Helper()
	m, err := period.ParseMonth("2026-10")
	require.NoError(t, err)
	return m
}

func usd(t *testing.T, text string) money.Sum {
	t.Helper()
	s, err := money.ParseSum(text)
	require.NoError(t, err)
	return s
}

// figures are a month of three cost centers below a business unit, one with a project; thirds
// of a cent everywhere.
func figures(t *testing.T) *packet.Figures {
	t.Helper()
	plan := func(c money.Cents) *packet.Plan { return &packet.Plan{Month: c, ToDate: c} }
	capitalized, suspense := usd(t, "100.003333333333"), usd(t, "1.500000000000")
	f := &packet.Figures{
		Company: "Meridian", LegalName: "Meridian Robotics GmbH", Confidentiality: "Confidential – Meridian’s finance, €", Slug: "meridian", TenantID: tenant().String(), Zone: "Europe/Berlin",
		Month: month(t), BooksState: period.StateOpen, Revision: 1, At: time.Date(2026, 11, 3, 7, 0, 0, 0, time.UTC), CodeVersion: "v9.9.9",
		RunBy: export.RunBy{ID: "mem_1", Name: "Fiona Admin", Roles: "finance admin"}, Sequence: export.Sequence{First: 0, Last: 41}, Head: &packet.Head{Origin: auditlog.Origin(tenant()), Size: 40, Root: strings.Repeat("A", 43) + "="},
		Requests: 1234, Tokens: 98765432, Suspense: &suspense, Capitalized: capitalized, Plan: plan(90_000), PlanVersion: 2,
		Nodes: []packet.Node{
			{Code: "ENG", Name: "Engineering", Path: "ENG", Kind: "business_unit", Plan: plan(90_000), Requests: 1200, Tokens: 98000000},
			{Code: "0041", Name: "Platform – core’s €", Path: "ENG / 0041", Kind: "cost_center", Capitalization: "expense", Depth: 1, Plan: plan(60_000), Requests: 700, Tokens: 5},
			{Code: "=1+1", Name: "=cmd()", Path: "ENG / 0041 / =1+1", Kind: "project", Capitalization: "capitalize", Depth: 2, Requests: 100, Tokens: 5},
			{Code: "0042", Name: "Machine learning", Path: "ENG / 0042", Kind: "cost_center", Capitalization: "expense", Depth: 1, Plan: plan(30_000), Requests: 400, Tokens: 5},
			{Code: "SUSPENSE", Name: "Suspense", Path: "SUSPENSE", Kind: "cost_center", Requests: 34, Tokens: 5},
		},
		Leaves: []packet.Leaf{
			{Nodes: []int{0, 1}, Amount: usd(t, "433.333333333333"), Prior: usd(t, "400.333333333333")}, {Nodes: []int{0, 1, 2}, Amount: usd(t, "100.003333333333"), Prior: usd(t, "0.333333333333")},
			{Nodes: []int{0, 3}, Amount: usd(t, "166.668333333334"), Prior: usd(t, "266.333333333334")}, {Nodes: []int{4}, Amount: usd(t, "1.500000000000")},
		},
		Classes: []packet.Class{
			{Model: "claude-opus-4-8", Class: "output", Tokens: 40_000, Amount: usd(t, "600.005000000000")}, {Model: "claude-haiku-4-8", Class: "input", Tokens: 98725432, Amount: usd(t, "101.500000000000")},
		},
		Books: &packet.Books{Accrued: 70_151, Rounding: 1, Entries: []ledger.Entry{entry(t, 7, at(1, 0), 43_334), entry(t, 8, at(2, 0), 26_817)}},
		Decisions: []packet.Decision{{
			Number: 14, Kind: "plan", Name: "Carla Controller", Role: "controller", Issuer: "https://idp.meridian.test", Subject: "00u1x", At: at(2, 9), Verdict: "approved", Digest: strings.Repeat("ab", 32),
		}},
	}
	f.Control = &packet.Control{Total: usd(t, "701.505000000000")}
	for day := range 2 {
		f.Days = append(f.Days,
			packet.Day{Code: "0041", Path: "ENG / 0041", Day: at(day+1, 0), Requests: 350, Tokens: 2, Amount: usd(t, []string{"433.333333333332", "0.000000000001"}[day])},
			packet.Day{Code: "0042", Path: "ENG / 0042", Day: at(day+1, 0), Requests: 200, Tokens: 2, Amount: usd(t, []string{"166.668333333333", "101.503333333334"}[day])})
	}
	f.Movement = packet.Movement{Through: 31, Before: 30, Whole: true, Split: variance.Between(
		[]variance.Cell{{Model: "claude-opus-4-8", Class: "output", Tokens: 50_000, Charge: usd(t, "667.000000000000")}},
		[]variance.Cell{{Model: "claude-opus-4-8", Class: "output", Tokens: 40_000, Charge: usd(t, "600.005000000000")}, {Model: "claude-haiku-4-8", Class: "input", Tokens: 98725432, Charge: usd(t, "101.500000000000")}},
	)}
	return f
}

func tenant() id.Tenant {
	t, err := id.ParseTenant("ten_0199a4d2c7a170008000000000000001")
	if err != nil {
		panic(err)
	}
	return t
}

func entry(t *testing.T, number int64, day time.Time, cents money.Cents) ledger.Entry {
	t.Helper()
	var e id.Entry
	e, err := id.ParseEntry(fmt.Sprintf("jnl_0199a4d2c7a17000800000000000%04x", number))
	require.NoError(t, err)
	return ledger.Entry{ID: e, Number: number, Kind: ledger.KindAccrual, Treatment: ledger.Chargeback, Period: period.MonthOf(day), Date: day.Truncate(24 * time.Hour), Memo: "Accrual", Lines: []ledger.Line{
		{Account: ledger.AccountExpense, Entity: "DE01", NodeCode: "0041", NodePath: "ENG / 0041", GLAccount: "0600", Capitalization: "expense", Currency: "USD", Cents: cents, Memo: "=usage"},
		{Account: ledger.AccountAccrued, Entity: "DE01", Workspace: "default", Currency: "USD", Cents: -cents},
	}}
}

func build(t *testing.T, f *packet.Figures) *packet.Built {
	t.Helper()
	built, err := packet.Build(f)
	require.NoError(t, err)
	return built
}

// sealed is a packet sealed by a log of a few records, and the log's key.
func sealed(t *testing.T, built *packet.Built) (archive []byte, key string) {
	t.Helper()
	authority, err := auditlog.NewAuthority(bytes.Repeat([]byte{7}, auditlog.SeedBytes))
	require.NoError(t, err)
	digest := sha256.Sum256(built.Document)
	named, err := id.ParseRecord("rec_0199a4d2c7a170008000000000000001")
	require.NoError(t, err)
	record, err := auditlog.Record{
		ID: named, Tenant: tenant(), Action: packet.Action, Actor: "mem_1", RecordedAt: at(3, 1), Detail: map[string]any{"manifest_sha256": hex.EncodeToString(digest[:])},
	}.Canonical()
	require.NoError(t, err)
	leaves := []auditlog.Hash{auditlog.Leaf([]byte("before")), auditlog.Leaf(record), auditlog.Leaf([]byte("after"))}
	root := auditlog.Root(leaves)
	signed, err := authority.SignHead(tenant(), 3, root)
	require.NoError(t, err)
	left, right := leaves[0], leaves[2]
	proof := auditlog.Proof{Sequence: 1, Hashes: []auditlog.Hash{left, right}, Checkpoint: signed.Message}
	archive, err = packet.Archive(at(3, 1), built.Document, built.Files, &packet.Seal{Record: record, Proof: proof.Text(), Checkpoint: signed.Message, Keys: signed.Keys})
	require.NoError(t, err)
	return archive, signed.Keys[0].Verifier
}

func unzip(t *testing.T, archive []byte) fstest.MapFS {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	require.NoError(t, err)
	out := fstest.MapFS{}
	for _, file := range r.File {
		in, err := file.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		out[file.Name] = &fstest.MapFile{Data: content}
	}
	return out
}

func TestTheSameFiguresAreTheSameBytes(t *testing.T) {
	t.Parallel()
	first, _ := sealed(t, build(t, figures(t)))
	for range 3 {
		again, _ := sealed(t, build(t, figures(t)))
		require.Equal(t, sha256.Sum256(first), sha256.Sum256(again))
	}
	other := figures(t)
	other.Revision = 2
	second, _ := sealed(t, build(t, other))
	require.NotEqual(t, sha256.Sum256(first), sha256.Sum256(second))
	one, err := figures(t).Digest()
	require.NoError(t, err)
	two, err := other.Digest()
	require.NoError(t, err)
	require.Equal(t, one, two, "a number alone makes no other figures")
	other.Leaves[0].Amount = usd(t, "433.333333333334")
	two, err = other.Digest()
	require.NoError(t, err)
	require.NotEqual(t, one, two, "a pico-dollar does")
}

func TestTheManifestNamesExactlyWhatIsThere(t *testing.T) {
	t.Parallel()
	whole := build(t, figures(t))
	names := func(b *packet.Built) (list []string) {
		for _, m := range b.Manifest.Contents {
			list = append(list, m.File)
			require.NotEmpty(t, m.SHA256)
			require.Equal(t, "v9.9.9", m.CodeVersion)
			require.Equal(t, int64(41), m.AuditSequence.Last)
		}
		return list
	}
	require.Equal(t, []string{"VERIFY.txt", "chargeback.xlsx", "figures.json", "journal.csv", "summary.pdf"}, names(whole))
	part := figures(t)
	part.Books, part.Suspense, part.Control, part.Scope = nil, nil, nil, packet.Scope{Code: "ENG", Name: "Engineering"}
	part.Comments = []packet.Comment{{Code: "0042", Path: "ENG / 0042", State: "written", Text: "The model was trained."}}
	part.Attachments = []packet.Attachment{packet.Attach(packet.Attachment{Name: "focus.csv", Report: "FOCUS 1.2", Rows: 1}, []byte("a\r\n"))}
	require.Equal(t, []string{"VERIFY.txt", "chargeback.xlsx", "commentary.md", "figures.json", "focus.csv", "summary.pdf"}, names(build(t, part)))
	part.Attachments[0].Name = "manifest.json"
	_, err := packet.Build(part)
	require.Error(t, err)
}

func TestFiguresThatDisagreeMakeNoPacket(t *testing.T) {
	t.Parallel()
	f := figures(t)
	f.Classes[0].Amount = usd(t, "600.005000000001")
	_, err := packet.Build(f)
	require.ErrorContains(t, err, "by model and token class")
	f = figures(t)
	f.Days = f.Days[1:]
	_, err = packet.Build(f)
	require.ErrorContains(t, err, "by day")
}

// TestThePaperIsReadBack reads the document with another library than wrote it.
func TestThePaperIsReadBack(t *testing.T) {
	t.Parallel()
	f := figures(t)
	f.Changes = []packet.Change{{What: "Actual", Before: "$700.00", After: "$701.51"}}
	f.Revision = 2
	pages := printed(t, f)
	require.GreaterOrEqual(t, len(pages), 4)
	for _, want := range []string{
		"Meridian Robotics GmbH", "October 2026", "DRAFT", "revision 2", "$701.51", "−66.67", "Confidential – Meridian’s finance, €", "Platform – core’s €", "Page 1 of", "Books", "$1.50",
		"(3 Nov 08:00 Europe/Berlin)", "Changed since revision 1", "$700.00", "Top movers against September 2026",
	} {
		require.Contains(t, pages[0]+pages[1], want)
	}
	all := strings.Join(pages, "\n")
	for _, want := range []string{
		"Sign-off", "Carla Controller, controller", "https://idp.meridian.test", "00u1x", strings.Repeat("ab", 32), "Verification", "tollbook verify PACKET.zip", strings.Repeat("A", 43), "0041", "Accrued liability",
	} {
		require.Contains(t, all, want)
	}
	for _, file := range build(t, f).Files {
		if file.Name != "summary.pdf" {
			digest := sha256.Sum256(file.Content)
			require.Contains(t, strings.ReplaceAll(all, "\n", ""), hex.EncodeToString(digest[:]), file.Name)
		}
	}
	require.Contains(t, pages[len(pages)-1], fmt.Sprintf("Page %d of %d", len(pages), len(pages)))
	f.BooksState = period.StateLocked
	require.Contains(t, printed(t, f)[0], "FINAL")
}

// TestWhatIsNotListedIsSaid has more approvals than there is room for.
func TestWhatIsNotListedIsSaid(t *testing.T) {
	t.Parallel()
	f := figures(t)
	all := strings.Join(printed(t, f), "")
	require.NotContains(t, all, "more approvals")
	f.DecisionsLeft = 7
	words := "7 more approvals that these figures rest on are not listed: they were given from 2 Oct 2026 09:30 UTC on"
	require.Contains(t, strings.Join(strings.Fields(strings.Join(printed(t, f), "")), " "), words)
	built := build(t, f)
	require.Contains(t, string(built.Document), `"approvals_left_out": 7`)
	book, err := excelize.OpenReader(bytes.NewReader(unzip(t, must(sealed(t, built)))["chargeback.xlsx"].Data))
	require.NoError(t, err)
	rows, err := book.GetRows("Decisions")
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(rows), words)
}

func printed(t *testing.T, f *packet.Figures) []string {
	t.Helper()
	document := unzip(t, must(sealed(t, build(t, f))))["summary.pdf"].Data
	read := exec.CommandContext(t.Context(), "pdftotext", "-layout", "-", "-") // scripts/setup-test installs it
	read.Stdin = bytes.NewReader(document)
	text, err := read.Output()
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(text), "\f"), "\f")
}

func must(archive []byte, _ string) []byte { return archive }

func TestTheWorkbookIsReadBack(t *testing.T) {
	t.Parallel()
	files := unzip(t, must(sealed(t, build(t, figures(t)))))
	book, err := excelize.OpenReader(bytes.NewReader(files["chargeback.xlsx"].Data))
	require.NoError(t, err)
	require.Equal(t, []string{"Read me", "Summary", "By cost center", "By project", "By model and class", "Variance", "Why it moved", "Decisions", "Journal", "Detail", "Pivot data", "Pivot"}, book.GetSheetList())
	rows := func(sheet string) (list [][]string, head int) {
		list, err := book.GetRows(sheet, excelize.Options{RawCellValue: true})
		require.NoError(t, err)
		for i, row := range list {
			if len(row) > 2 {
				return list, i
			}
		}
		t.Fatal(sheet)
		return nil, 0
	}
	list, head := rows("By cost center")
	column := func(name string) int {
		at := slices.Index(list[head], name)
		require.GreaterOrEqual(t, at, 0, name)
		return at
	}
	require.Equal(t, "Control total total_usd", list[2][0])
	require.Equal(t, "701.505000000000", list[2][1])
	require.Equal(t, "0041", list[head+2][0], "a code keeps its zeros")
	kind, err := book.GetCellType("By cost center", fmt.Sprintf("A%d", head+3))
	require.NoError(t, err)
	require.Contains(t, []excelize.CellType{excelize.CellTypeInlineString, excelize.CellTypeSharedString}, kind)
	formula, err := book.GetCellFormula("By cost center", fmt.Sprintf("A%d", head+4))
	require.NoError(t, err)
	require.Empty(t, formula, "a text is no formula")
	require.Equal(t, "=1+1", list[head+3][0])
	// Every level adds up to the cent, and the total is the rounded one.
	value := func(row int) money.Cents {
		c, err := money.ParseCents(decimals(list[head+row][column("Actual")]))
		require.NoError(t, err)
		return c
	}
	require.Equal(t, value(1), value(2)+value(4))
	require.Equal(t, value(6), value(1)+value(5))
	require.Equal(t, money.Cents(70_150), value(6), "701.505 rounds half to even")
	for sheet, want := range map[string]string{"By model and class": "701.5", "Detail": "701.5", "Variance": "701.5"} {
		list, _ = rows(sheet)
		require.Contains(t, list[len(list)-1], want, sheet)
	}
	list, head = rows("Journal")
	require.Equal(t, "701.51", list[len(list)-1][column("Debit")])
	require.Equal(t, "701.51", list[len(list)-1][column("Credit")])
	require.Equal(t, "0600", list[head+1][column("GL account")])
	require.Equal(t, "=usage", list[head+1][column("Memo")])
}

// decimals writes a spreadsheet's number with two.
func decimals(text string) string {
	whole, rest, _ := strings.Cut(text, ".")
	return whole + "." + (rest + "00")[:2]
}

func TestTheJournalIsReadBack(t *testing.T) {
	t.Parallel()
	file := unzip(t, must(sealed(t, build(t, figures(t)))))["journal.csv"].Data
	rows, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 5)
	require.Contains(t, rows[1], "'=usage", "people open it in a spreadsheet")
	require.Contains(t, rows[1], "0041")
	require.Contains(t, string(file), "\r\n")
}

func TestAPacketVerifiesOffline(t *testing.T) {
	t.Parallel()
	archive, key := sealed(t, build(t, figures(t)))
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	require.NoError(t, err)
	require.True(t, packet.Is(r))
	checked, err := packet.Check(r, []string{key})
	require.NoError(t, err)
	require.True(t, checked.Trusted)
	require.True(t, checked.Journal)
	require.Equal(t, money.Cents(70_151), checked.Debits)
	require.Contains(t, checked.Words(), "DRAFT")
	checked, err = packet.Check(r, nil)
	require.NoError(t, err)
	require.Contains(t, checked.Words(), "from the packet itself")
	stranger, err := auditlog.NewAuthority(bytes.Repeat([]byte{9}, auditlog.SeedBytes))
	require.NoError(t, err)
	keys, err := stranger.HeadKeys(tenant())
	require.NoError(t, err)
	_, err = packet.Check(r, []string{keys[0].Verifier})
	require.ErrorContains(t, err, "checkpoint.txt: no key that is trusted here signed it")
}

// TestEveryTamperingIsNamed changes, drops and swaps each file, and edits the manifest.
func TestEveryTamperingIsNamed(t *testing.T) {
	t.Parallel()
	archive, key := sealed(t, build(t, figures(t)))
	good := unzip(t, archive)
	bad := func(bundle fstest.MapFS, names ...string) {
		t.Helper()
		for _, keys := range [][]string{{key}, nil} {
			_, err := packet.Check(bundle, keys)
			var found *packet.BadError
			require.ErrorAs(t, err, &found)
			require.Contains(t, names, found.File, found.Why)
		}
	}
	sealing := []string{packet.FileManifest, packet.FileRecord, packet.FileProof, packet.FileCheckpoint, packet.FileKeys, packet.FileKeyStory}
	for _, name := range slices.Sorted(maps.Keys(good)) {
		named := []string{name}
		if slices.Contains(sealing, name) {
			named = sealing // they vouch for one another: which of two disagrees with the other is not known
		}
		for place := 0; place < len(good[name].Data); place += max(1, len(good[name].Data)/40) {
			bundle := maps.Clone(good)
			changed := bytes.Clone(good[name].Data)
			changed[place] ^= 1
			bundle[name] = &fstest.MapFile{Data: changed}
			bad(bundle, named...)
		}
		longer := maps.Clone(good)
		longer[name] = &fstest.MapFile{Data: append(bytes.Clone(good[name].Data), '\n')}
		bad(longer, named...)
		dropped := maps.Clone(good)
		delete(dropped, name)
		bad(dropped, name)
		for _, other := range slices.Sorted(maps.Keys(good)) {
			if other == name {
				continue
			}
			swapped := maps.Clone(good)
			swapped[name], swapped[other] = good[other], good[name]
			bad(swapped, append(slices.Clone(sealing), name, other)...)
		}
	}
	added := maps.Clone(good)
	added["extra.csv"] = &fstest.MapFile{Data: []byte("x")}
	bad(added, "extra.csv")
	edited := maps.Clone(good)
	var m packet.Manifest
	require.NoError(t, json.Unmarshal(good[packet.FileManifest].Data, &m))
	m.Controls[0].Value = "1.000000000000"
	document, err := json.MarshalIndent(m, "", "  ")
	require.NoError(t, err)
	edited[packet.FileManifest] = &fstest.MapFile{Data: append(document, '\n')}
	bad(edited, packet.FileManifest)
	// A manifest that was sealed with a file that does not fit it is caught by its sums.
	built := build(t, figures(t))
	for i := range built.Files {
		if built.Files[i].Name == packet.FileJournal {
			built.Files[i].Content = bytes.Replace(built.Files[i].Content, []byte("433.34"), []byte("433.35"), 1)
			for k := range built.Manifest.Contents {
				if built.Manifest.Contents[k].File == packet.FileJournal {
					built.Manifest.Contents[k] = built.Manifest.Contents[k].Of(built.Files[i].Content)
				}
			}
		}
	}
	built.Document, err = json.MarshalIndent(built.Manifest, "", "  ")
	require.NoError(t, err)
	archive, _ = sealed(t, built)
	bad(unzip(t, archive), packet.FileJournal)
}

func TestARevisionSaysWhatChanged(t *testing.T) {
	t.Parallel()
	before := build(t, figures(t)).Snapshot
	stored, err := json.Marshal(before)
	require.NoError(t, err)
	var again packet.Snapshot
	require.NoError(t, json.Unmarshal(stored, &again))
	f := figures(t)
	f.BooksState = period.StateLocked
	f.Leaves[2].Amount, f.Classes[0].Amount, f.Days[1].Amount = usd(t, "167.668333333334"), usd(t, "601.005000000000"), usd(t, "167.668333333333")
	now := build(t, f).Snapshot
	require.Equal(t, []packet.Change{
		{What: "State", Before: "DRAFT", After: "FINAL"}, {What: "Actual", Before: "$701.50", After: "$702.50"},
		{Of: packet.OfNode, What: "ENG", Before: "$700.00", After: "$701.00"}, {Of: packet.OfNode, What: "ENG / 0042", Before: "$166.67", After: "$167.67"},
	}, now.Since(&again))
	require.Equal(t, "Details alone: no total of this list is another", now.Since(&now)[0].What)
}

func TestOneFunctionDecidesDraftAndFinal(t *testing.T) {
	t.Parallel()
	for state, want := range map[period.State]packet.State{period.StateOpen: packet.Draft, period.StateClosing: packet.Draft, period.StateLocked: packet.Final} {
		require.Equal(t, want, packet.StateOf(state), state)
	}
}

// TestAnArchiveIsTheseVeryBytes holds what was sealed by one release to what another makes of it:
// where the digest is another, packets that were sealed cannot be sent any more.
func TestAnArchiveIsTheseVeryBytes(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("the same again\n"), 100)
	archive, err := packet.Archive(at(5, 1), []byte("{}"), []packet.File{{Name: "a.csv", Content: content}, {Name: "z.txt", Content: []byte("z")}}, &packet.Seal{Record: []byte("r"), Proof: []byte("p"), Checkpoint: []byte("c")})
	require.NoError(t, err)
	digest := sha256.Sum256(archive)
	require.Equal(t, "08266bc66ab0d1b1c1d597d7cb388aa9b8f0178f11572faf99cdc30b81d58669", hex.EncodeToString(digest[:]))
	require.Contains(t, string(archive), string(content), "nothing is compressed")
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	require.NoError(t, err)
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
		require.True(t, at(5, 1).Equal(f.Modified), f.Modified)
		require.Zero(t, f.Flags, "its size is before it")
	}
	require.Equal(t, []string{"a.csv", "checkpoint.txt", "log-keys.json", "log-keys.txt", "manifest.json", "manifest.record.json", "manifest.tlog-proof", "z.txt"}, names)
}

package app_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/export"
	"tollbook/app/export/erp"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/ledger"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

func novemberBooks() period.Month { return period.MonthOf(november(1)) }

// netSuiteRules map all that the fixture's journal of November has.
func netSuiteRules(more ...string) string {
	return strings.Join(append([]string{
		"field,source,code,value", "account,kind,expense,0041", "account,kind,capitalized_asset,1500", "account,kind,accrued_liability,2150", "account,kind,rounding,6999",
		"account,kind,intercompany_due_from,1310", "account,kind,intercompany_due_to,2310", "subsidiary,entity,US01,Parent : US", "subsidiary,entity,US02,Parent : West",
		"period,period,2026-11,Nov 2026", "department,node,CC-1,Platform", "department,node,CC-2,Growth", "department,node,CC-3,Ventures", "department,node,P-1,Platform",
	}, more...), "\n") + "\n"
}

// mapsTo puts a mapping in force, as who sets a company up does.
func (h *house) mapsTo(t *testing.T, c *company, system, rules string) {
	t.Helper()
	m, _, err := h.exports.Mapping(t.Context(), c.who, system)
	require.NoError(t, err)
	require.NoError(t, h.exports.SetMapping(t.Context(), c.who, app.MappingAsk{System: system, InUse: true, Rules: rules, Columns: m.ColumnsFile, Base: m.Version}, "fixture"))
}

// spent posts two days of the fixture in both entities.
func (h *house) spent(t *testing.T, c *company) {
	t.Helper()
	h.flush(t, c, c.event(november(2), "CC-1", costs(100_000)), c.event(november(2), "CC-3", costs(50_000)), c.event(november(3), "P-1", costs(2_500)), c.event(november(3), "CC-2", costs(100)))
	h.accrue(t, c)
}

// opened reads the one file of an export by hand.
func (h *house) opened(t *testing.T, who app.Actor, v app.ExportView) (app.JournalFile, []booked) {
	t.Helper()
	f, err := h.exports.File(t.Context(), who, v.ID, 1)
	require.NoError(t, err)
	m, err := export.Verify(f.Document, f.Content)
	require.NoError(t, err)
	require.Equal(t, f.SHA256, m.SHA256)
	return f, readNetSuite(t, f.Content)
}

// booked is a line of a NetSuite file, as a reader that shares nothing with the writer has it.
type booked struct {
	id, period, subsidiary, account, department string
	debit, credit                               int64
}

func readNetSuite(t *testing.T, content []byte) []booked {
	t.Helper()
	rows := strings.Split(strings.TrimSuffix(string(content), "\r\n"), "\r\n")
	head := strings.Split(rows[0], ",")
	at := func(name string) int { return slices.Index(head, name) }
	var out []booked
	sums := map[string]int64{}
	for _, row := range rows[1:] {
		require.NotContains(t, row, `"`, "the fixture has nothing to quote")
		cells := strings.Split(row, ",")
		one := booked{
			id: cells[at("External ID")], period: cells[at("Posting Period")], subsidiary: cells[at("Subsidiary")], account: cells[at("Journal Entry - Line: Account")],
			department: cells[at("Journal Entry - Line: Department")], debit: hundredths(t, cells[at("Journal Entry - Line: Debit")]), credit: hundredths(t, cells[at("Journal Entry - Line: Credit")]),
		}
		require.NotEqual(t, one.debit == 0, one.credit == 0, "one side: %s", row)
		sums[one.id] += one.debit - one.credit
		out = append(out, one)
	}
	for document, sum := range sums {
		require.Zero(t, sum, document)
	}
	return out
}

func hundredths(t *testing.T, text string) int64 {
	t.Helper()
	if text == "" {
		return 0
	}
	var whole, part int64
	_, err := fmt.Sscanf(text, "%d.%02d", &whole, &part)
	require.NoError(t, err, text)
	return whole*100 + part
}

func TestACheckNamesAllThatLacksAMapping(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.spent(t, h.one)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	_, err := h.exports.Make(t.Context(), fin, "netsuite", novemberBooks())
	require.ErrorContains(t, err, "does not export to that system")
	h.mapsTo(t, h.one, "netsuite", "field,source,code,value\naccount,kind,expense,0041\ndepartment,node,CC-1,Platform\nsubsidiary,entity,US02,Parent : West\n")

	month, err := h.exports.Month(t.Context(), fin, novemberBooks())
	require.NoError(t, err)
	require.Len(t, month.Systems, 1)
	require.Equal(t, []string{"journal", "oracle", "quickbooks", "sap", "workday", "xero"}, month.Unused)
	var lacks []string
	for _, p := range month.Systems[0].Problems {
		require.Equal(t, "unmapped", p.Problem.Code, p.Message)
		lacks = append(lacks, strings.Join([]string{p.Field, p.Source, p.Code}, " "))
	}
	slices.Sort(lacks)
	require.Equal(t, []string{
		"account kind accrued_liability", "account kind capitalized_asset", "account kind intercompany_due_from", "account kind intercompany_due_to",
		"department node CC-3", "department node P-1", "period" + " period 2026-11", "subsidiary entity US01",
	}, lacks)

	before := h.contents(t)
	_, err = h.exports.Make(t.Context(), fin, "netsuite", novemberBooks())
	require.ErrorIs(t, err, erp.ErrRefused)
	require.Equal(t, before, h.contents(t), "nothing is half-exported")
}

func TestADraftIsMadeOnceAndAgainWhenItsMonthMoves(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.spent(t, h.one)
	fin, auditor := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleAuditor, "auditor")
	h.mapsTo(t, h.one, "netsuite", netSuiteRules())
	none, err := h.exports.Current(t.Context(), auditor, "netsuite", novemberBooks())
	require.NoError(t, err)
	require.Empty(t, none, "who only reads makes nothing")
	_, err = h.exports.Make(t.Context(), auditor, "netsuite", novemberBooks())
	require.ErrorIs(t, err, app.ErrNotAllowed)

	made, err := h.exports.Make(t.Context(), fin, "netsuite", novemberBooks())
	require.NoError(t, err)
	require.Len(t, made, 2)
	require.Equal(t, []string{"TB-one-202611-US01-DRAFT-1", "TB-one-202611-US02-DRAFT-1"}, []string{made[0].ExternalID, made[1].ExternalID})
	file, lines := h.opened(t, auditor, made[0])
	require.Equal(t, "TB-one-202611-US01-DRAFT-1-netsuite.csv", file.Name)
	require.Contains(t, file.Manifest.Filters, export.Pair{Name: "state", Value: "DRAFT"})
	require.Contains(t, file.Manifest.ControlTotals, export.Pair{Name: "zero_lines_left_out", Value: "1"}, "CC-2 has not come to a cent")
	require.Equal(t, []int64{1, 2}, []int64{file.Manifest.Entries[0].Number, file.Manifest.Entries[1].Number})
	require.Contains(t, string(file.Content), "DRAFT: Claude usage of 2026-11 in US01")
	require.Equal(t, booked{"TB-one-202611-US01-DRAFT-1", "Nov 2026", "Parent : US", "0041", "Platform", 40, 0}, lines[0])

	again, err := h.exports.Make(t.Context(), fin, "netsuite", novemberBooks())
	require.NoError(t, err)
	require.Equal(t, made, again, "the same state is the same files")
	require.Equal(t, int64(2), h.records(t, h.one.tenant, "journal.exported"))

	h.flush(t, h.one, h.one.event(november(4), "CC-1", costs(100_000)))
	h.accrue(t, h.one)
	moved, err := h.exports.Make(t.Context(), fin, "netsuite", novemberBooks())
	require.NoError(t, err)
	require.Equal(t, []string{"TB-one-202611-US01-DRAFT-2", "TB-one-202611-US02-DRAFT-1"}, []string{moved[0].ExternalID, moved[1].ExternalID}, "only what moved is made anew")
	kept, _ := h.opened(t, fin, made[0])
	require.Equal(t, file.Content, kept.Content)
	flaws, err := h.exports.Acknowledge(t.Context(), fin, app.AcknowledgeAsk{System: "netsuite", File: []byte("external_id,erp_id,posted_on\nTB-one-202611-US01-DRAFT-2,JE-1,2026-11-10\n")})
	require.NoError(t, err)
	require.Contains(t, flaws[0].Message, "is a draft")

	other := h.person(t, h.two, app.RoleFinanceAdmin, "other")
	_, err = h.exports.File(t.Context(), other, made[0].ID, 1)
	require.ErrorIs(t, err, app.ErrExportAbsent)
	_, err = h.exports.Export(t.Context(), other, made[0].ID)
	require.ErrorIs(t, err, app.ErrExportAbsent)
}

// final makes the files of a month that is over.
func (h *house) final(t *testing.T, c *company, who app.Actor) []app.ExportView {
	t.Helper()
	h.lock(t, c, novemberBooks())
	made, err := h.exports.Make(t.Context(), who, "netsuite", novemberBooks())
	require.NoError(t, err)
	return made
}

func TestAFinalExportHoldsOnlyWhatNoEarlierOneDid(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.spent(t, h.one)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	h.mapsTo(t, h.one, "netsuite", netSuiteRules())
	first := h.final(t, h.one, fin)
	require.Equal(t, []string{"TB-one-202611-US01-1", "TB-one-202611-US02-1"}, []string{first[0].ExternalID, first[1].ExternalID})
	file, _ := h.opened(t, fin, first[0])
	require.Contains(t, file.Manifest.Filters, export.Pair{Name: "state", Value: "FINAL"})
	require.Equal(t, first, h.final(t, h.one, fin))

	h.exec(t, `update period set state = 'open' where tenant_id = $1`, h.one.tenant)
	h.flush(t, h.one, h.one.event(november(2), "CC-1", costs(25_000)))
	h.accrue(t, h.one)
	second := h.final(t, h.one, fin)
	require.Equal(t, []string{"TB-one-202611-US01-1", "TB-one-202611-US01-2", "TB-one-202611-US02-1"}, []string{second[0].ExternalID, second[1].ExternalID, second[2].ExternalID})
	_, lines := h.opened(t, fin, second[1])
	require.Len(t, lines, 2)
	require.Equal(t, int64(10), lines[0].debit)
	again, _ := h.opened(t, fin, second[0])
	require.Equal(t, file.Content, again.Content)

	all, err := h.exports.Download(t.Context(), fin, second, false)
	require.NoError(t, err)
	archive, err := zip.NewReader(bytes.NewReader(all.Content), int64(len(all.Content)))
	require.NoError(t, err)
	require.Len(t, archive.File, 6, "each file with its manifest")
	in, err := archive.File[0].Open()
	require.NoError(t, err)
	content, err := io.ReadAll(in)
	require.NoError(t, err)
	require.Equal(t, file.Content, content)
}

func TestAMappingIsDecidedByASecondPersonAndReplacesWhatWasNotImported(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.spent(t, h.one)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	want := app.MappingAsk{System: "netsuite", InUse: true, Rules: netSuiteRules()}
	require.ErrorIs(t, h.exports.SetMapping(t.Context(), fin, want, "at once"), app.ErrMustPropose)
	change := h.propose(t, fin, app.AskAccounts(want, "our accounts"))
	_, err := h.approveChange(t, fin, change)
	require.Error(t, err)
	_, err = h.approveChange(t, cfo, change)
	require.NoError(t, err)
	first := h.final(t, h.one, fin)
	_, err = h.exports.Replace(t.Context(), fin, first[0].ID)
	require.Equal(t, "export_same", fault.From(err).Code)

	want.Rules, want.Base = strings.ReplaceAll(netSuiteRules(), "expense,0041", "expense,0042"), 1
	draft, err := h.exports.DryRun(t.Context(), fin, want)
	require.NoError(t, err)
	require.Len(t, draft.Added, 1)
	require.Len(t, draft.Removed, 1)
	_, err = h.approveChange(t, cfo, h.propose(t, fin, app.AskAccounts(want, "another account")))
	require.NoError(t, err)
	month, err := h.exports.Month(t.Context(), fin, novemberBooks())
	require.NoError(t, err)
	require.True(t, month.Systems[0].Outdated)
	require.Empty(t, month.Systems[0].Fresh, "what was exported is not exported again by itself")

	next, err := h.exports.Replace(t.Context(), fin, first[0].ID)
	require.NoError(t, err)
	require.Equal(t, "TB-one-202611-US01-2", next.ExternalID)
	require.Equal(t, first[0].ID, next.Supersedes)
	_, lines := h.opened(t, fin, next)
	require.Equal(t, "0042", lines[0].account)
	_, err = h.exports.Replace(t.Context(), fin, first[0].ID)
	require.Equal(t, "export_superseded", fault.From(err).Code)

	flaws, err := h.exports.Acknowledge(t.Context(), fin, app.AcknowledgeAsk{System: "netsuite", File: []byte("external_id,erp_id,posted_on\nTB-one-202611-US02-1,JE-9,2026-11-10\n")})
	require.NoError(t, err)
	require.Empty(t, flaws)
	_, err = h.exports.Replace(t.Context(), fin, first[1].ID)
	require.Equal(t, "export_acknowledged", fault.From(err).Code, "an acknowledged entry is not exported twice")
}

func TestAMappingWithFlawsIsRefusedWhole(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	draft, err := h.exports.DryRun(t.Context(), fin, app.MappingAsk{System: "netsuite", InUse: true, Rules: netSuiteRules("account,kind,expense,0042", "colour,node,CC-1,red", "account,account,1,=1+1")})
	require.NoError(t, err)
	require.Equal(t, []int{15, 16, 17}, []int{draft.Flaws[0].Line, draft.Flaws[1].Line, draft.Flaws[2].Line})
	draft, err = h.exports.DryRun(t.Context(), fin, app.MappingAsk{System: "workday", InUse: true, Rules: "field,source,code,value\n", Columns: "header,source\nKey,journal_key\nWhat,nothing\n"})
	require.NoError(t, err)
	require.Equal(t, "columns", draft.Flaws[0].File)
	require.Equal(t, 3, draft.Flaws[0].Line)
	_, err = h.approvals.Propose(t.Context(), fin, app.AskAccounts(app.MappingAsk{System: "netsuite", InUse: true, Rules: "field\n"}, "r"), "")
	require.Equal(t, fault.KindInvalid, fault.KindOf(err))
	_, err = h.exports.DryRun(t.Context(), fin, app.MappingAsk{System: "abacus"})
	require.ErrorIs(t, err, erp.ErrFormat)
}

// TestANodeSpeaksForItself: what the node, or the nearest above it, states on the day of
// an entry comes before the mapping.
func TestANodeSpeaksForItself(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	set := func(code, text string) {
		t.Helper()
		codes := map[string]map[string]string{"netsuite": {"Department": text, "Region": "EMEA"}}
		made := h.propose(t, fin, nodesAsk(t, []map[string]any{{"op": "dimensions", "code": code, "dimensions": codes}}))
		require.NotEmpty(t, made.Number)
		if made.State != "applied" {
			_, err := h.approveChange(t, h.person(t, h.one, app.RoleController, "cfo"+code), made)
			require.NoError(t, err)
		}
	}
	set("CC-1", "Own")
	h.clock.add(24 * time.Hour)
	h.flush(t, h.one, h.one.event(november(10).Add(5*time.Hour), "CC-1", costs(100_000)), h.one.event(november(10).Add(5*time.Hour), "P-1", costs(100_000)), h.one.event(november(10).Add(5*time.Hour), "CC-2", costs(100_000)))
	h.clock.add(48 * time.Hour)
	h.accrue(t, h.one)
	h.mapsTo(t, h.one, "netsuite", netSuiteRules())
	made := h.final(t, h.one, fin)
	f, lines := h.opened(t, fin, made[0])
	got := map[string]bool{}
	for _, l := range lines {
		got[l.department] = true
	}
	require.Equal(t, map[string]bool{"Own": true, "Growth": true, "": true}, got, "P-1 is below CC-1, CC-2 is as the mapping says")
	require.Contains(t, string(f.Content), "Journal Entry - Line: Region")
}

func nodesAsk(t *testing.T, operations []map[string]any) app.Ask {
	t.Helper()
	payload, err := json.Marshal(map[string]any{"operations": operations})
	require.NoError(t, err)
	return app.Ask{Kind: "node", Payload: payload, Reason: "fixture"}
}

func TestIdsOfASystemAreKeptWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.spent(t, h.one)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	h.mapsTo(t, h.one, "netsuite", netSuiteRules())
	made := h.final(t, h.one, fin)
	say := func(corrects bool, lines ...string) []string {
		t.Helper()
		flaws, err := h.exports.Acknowledge(t.Context(), fin, app.AcknowledgeAsk{System: "netsuite", Corrects: corrects, File: []byte(strings.Join(append([]string{"external_id,erp_id,posted_on"}, lines...), "\n"))})
		require.NoError(t, err)
		var said []string
		for _, f := range flaws {
			said = append(said, fmt.Sprintf("%d:%d %s", f.Line, f.Column, f.Message))
		}
		return said
	}
	one, two := made[0].ExternalID, made[1].ExternalID
	for _, bad := range []struct {
		lines []string
		want  string
	}{
		{[]string{one + ",JE-1,2026-11-05", "TB-one-202611-US09-1,JE-2,2026-11-05"}, "3:1 "},
		{[]string{one + ",JE-1,2026-11-05", one + ",JE-2,2026-11-05"}, "3:1 "},
		{[]string{one + ",JE-1,2026-11-05", two + ",JE-1,2026-11-05"}, "3:2 "},
		{[]string{one + ",,2026-11-05"}, "2:2 "},
		{[]string{one + ",JE-1,05.11.2026"}, "2:3 "},
		{[]string{one + ",JE-1,2026-10-31"}, "2:3 "},
		{[]string{one + ",JE-1,2027-01-01"}, "2:3 "},
		{[]string{one + ",JE-1"}, "2:0 "},
		{[]string{one + ",=JE-1,2026-11-05"}, "2:2 "},
		{nil, "1:0 "},
	} {
		said := say(false, bad.lines...)
		require.NotEmpty(t, said, bad.lines)
		require.True(t, strings.HasPrefix(said[0], bad.want), "%v: %v", bad.lines, said)
	}
	require.Zero(t, h.number(t, `select count(*) from export_acknowledgment`))
	require.Empty(t, say(false, one+",JE-1,2026-11-05", two+",JE-2,2026-11-06"))
	require.Contains(t, say(false, one+",JE-3,2026-11-05")[0], "acknowledged already, as JE-1")
	require.Contains(t, say(true, one+",JE-1,2026-11-05")[0], "that already")
	require.Empty(t, say(true, one+",JE-3,2026-11-05"))
	seen, err := h.exports.Export(t.Context(), fin, made[0].ID)
	require.NoError(t, err)
	require.Equal(t, "JE-3", seen.Journals[0].ERPID)
	require.Equal(t, 2, seen.Journals[0].Place, "what was said before is kept")
	require.Equal(t, 1, seen.Acknowledged)
	require.Equal(t, int64(3), h.number(t, `select count(*) from export_acknowledgment where tenant_id = $1`, h.one.tenant))
}

func TestFiguresOfALedgerAreTiedToWhatWasExported(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.spent(t, h.one)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	h.mapsTo(t, h.one, "netsuite", netSuiteRules())
	ask := func(debit, credit string, lines ...string) app.ActualsAsk {
		head := "entity,account,period,debit,credit,external_id,erp_id,currency"
		return app.ActualsAsk{System: "netsuite", Month: novemberBooks(), Debit: debit, Credit: credit, File: []byte(strings.Join(append([]string{head}, lines...), "\n"))}
	}
	_, err := h.exports.ImportActuals(t.Context(), fin, ask("1", "1", "Parent : US,0041,2026-11,1,1,,,"))
	require.Equal(t, "actuals_nothing_exported", fault.From(err).Code)
	h.final(t, h.one, fin)

	us, west := "TB-one-202611-US01-1", "TB-one-202611-US02-1"
	whole := []string{
		"Parent : US,0041,2026-11,0.40,," + us + ",JE-1,USD", "Parent : US,1310,Nov 2026,0.20,," + us + ",JE-1,", "Parent : US,1500,2026-11,0.01,," + us + ",JE-1,",
		"Parent : US,2150,2026-11,,0.61," + us + ",JE-1,", "Parent : West,0041,2026-11,0.20,," + west + ",JE-2,", "Parent : West,2310,2026-11,,0.20," + west + ",JE-2,",
	}
	for _, bad := range []struct {
		ask  app.ActualsAsk
		want string
	}{
		{ask("0.81", "0.82", whole...), "1: Credits sum to 0.81"},
		{ask("0.81", "0.81", append(slices.Clone(whole), whole[0])...), "8: Line 2 has that account"},
		{ask("0.81", "0.81", strings.Replace(whole[0], "USD", "EUR", 1)), "2: The books are in USD"},
		{ask("0.81", "0.81", strings.Replace(whole[0], "2026-11", "2026-10", 1)), "2: This import is of 2026-11"},
		{ask("0.81", "0.81", strings.Replace(whole[0], "0.40", "0.405", 1)), `2: "0.405" is no amount`},
		{ask("0.81", "0.81", strings.Replace(whole[0], "0.40", "-0.40", 1)), "2: A cell is UTF-8 on one line"},
		{app.ActualsAsk{System: "netsuite", Month: novemberBooks(), Debit: "1", Credit: "1", File: []byte("entity,account,debit,credit\n")}, "1: The column period is missing"},
	} {
		flaws, err := h.exports.ImportActuals(t.Context(), fin, bad.ask)
		require.NoError(t, err)
		require.NotEmpty(t, flaws, bad.want)
		require.Contains(t, fmt.Sprintf("%d: %s", flaws[0].Line, flaws[0].Message), bad.want)
	}
	require.Zero(t, h.number(t, `select count(*) from gl_actuals`))

	tie := func(a app.ActualsAsk) app.TieOut {
		t.Helper()
		flaws, err := h.exports.ImportActuals(t.Context(), fin, a)
		require.NoError(t, err)
		require.Empty(t, flaws)
		out, err := h.exports.TieOut(t.Context(), fin, "netsuite", novemberBooks())
		require.NoError(t, err)
		return out
	}
	out := tie(ask("0.81", "0.81", whole...))
	require.True(t, out.Tied(), "%+v", out.Findings)
	require.Len(t, out.Accounts, 6)
	require.Equal(t, money.Cents(81), out.Posted)
	require.Equal(t, out.Exported, out.Posted)

	altered := slices.Clone(whole[:4])
	altered[0] = strings.Replace(altered[0], "0041", "0099", 1)
	out = tie(ask("5.61", "5.61", append(altered, "Parent : US,7000,2026-11,5.00,5.00,PAYROLL-1,JE-7,")...))
	var said []string
	for _, f := range out.Findings {
		said = append(said, strings.TrimSpace(fmt.Sprintf("%s %s %s %d %d", f.Kind, f.Document, f.Account, f.Exported, f.Posted)))
	}
	require.Equal(t, []string{"unposted " + west + "  20 0", "altered " + us + " 0041 40 0", "altered " + us + " 0099 0 40"}, said)
	require.Equal(t, 1, out.LeftOut, "what others post is not ours to compare")

	out = tie(ask("0.62", "0.61", "Parent : US,0041,2026-11,0.41,,,,", "Parent : US,1310,2026-11,0.20,,,,", "Parent : US,1500,2026-11,0.01,,,,", "Parent : US,2150,2026-11,,0.61,,,"))
	require.Equal(t, []string{app.TieAccounts, app.TieAccounts, app.TieAccounts}, []string{out.Findings[0].Kind, out.Findings[1].Kind, out.Findings[2].Kind})
	require.Equal(t, money.Cents(1), out.Findings[0].Posted-out.Findings[0].Exported)
	none, err := h.exports.TieOut(t.Context(), h.person(t, h.two, app.RoleFinanceAdmin, "other"), "netsuite", novemberBooks())
	require.NoError(t, err)
	require.Empty(t, none.Imports)
}

// TestLongMonthsAreCutAsSystemsTakeThem exports 25,001 lines.
func TestLongMonthsAreCutAsSystemsTakeThem(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	total := 0
	for n, lines := range []int{1_001, 10_001, 13_999} {
		h.long(t, h.one, int64(n+1), lines)
		total += lines
	}
	require.Equal(t, 25_001, total)
	rules := "field,source,code,value\naccount,kind,*,*\n"
	h.mapsTo(t, h.one, "netsuite", rules+"subsidiary,entity,US01,US\nperiod,period,2026-11,Nov 2026\n")
	made := h.final(t, h.one, fin)
	require.Len(t, made, 1)
	require.Equal(t, 2, made[0].Files, "25,000 rows a file")
	perDocument, sum := map[string]int{}, int64(0)
	for place := 1; place <= 2; place++ {
		f, err := h.exports.File(t.Context(), fin, made[0].ID, place)
		require.NoError(t, err)
		rows := readNetSuite(t, f.Content)
		require.LessOrEqual(t, len(rows), 25_000)
		for _, r := range rows {
			perDocument[r.id]++
			sum += r.debit
		}
	}
	require.Equal(t, int64(made[0].Total), sum)
	for document, n := range perDocument {
		require.LessOrEqual(t, n, 1_000, document)
	}
	for system, more := range map[string]string{
		"xero": "tax_rate,always,,Tax Exempt\n", "sap": "company_code,entity,US01,0010\nfiscal_period,period,2026-11,11\n",
	} {
		text := rules
		if system == "sap" {
			text = "field,source,code,value\naccount,kind,expense,41\naccount,kind,accrued_liability,2150\n"
		}
		h.mapsTo(t, h.one, system, text+more)
		list, err := h.exports.Make(t.Context(), fin, system, novemberBooks())
		require.NoError(t, err, system)
		require.Positive(t, list[0].Documents)
	}
}

// long posts an entry with so many lines.
func (h *house) long(t *testing.T, c *company, number int64, lines int) {
	t.Helper()
	require.NoError(t, h.clone.InTenant(t.Context(), c.tenant, func(tx *db.Tx) error {
		e := &ledger.Entry{
			ID: id.NewEntry(tx.Now), Number: number, Kind: ledger.KindAccrual, Treatment: ledger.Chargeback, Period: novemberBooks(), Date: november(int(number)).Truncate(24 * time.Hour), Memo: "long",
			Source: ledger.Source{Period: novemberBooks(), Day: november(int(number)).Truncate(24 * time.Hour)},
		}
		owed := money.Cents(0)
		for i := range lines - 1 {
			e.Lines = append(e.Lines, ledger.Line{Account: ledger.AccountExpense, Entity: "US01", NodeCode: fmt.Sprint("N-", i), Currency: ledger.USD, Cents: money.Cents(i%97 + 1)})
			owed += money.Cents(i%97 + 1)
		}
		e.Lines = append(e.Lines, ledger.Line{Account: ledger.AccountAccrued, Entity: "US01", Workspace: "default", Currency: ledger.USD, Cents: -owed})
		if _, err := tx.PostingState(novemberBooks()); err != nil {
			return err
		}
		record := id.NewRecord(tx.Now)
		if err := tx.AppendAudit(auditlog.Record{ID: record, Action: "journal.posted", Actor: "system", Subject: e.ID.String()}); err != nil {
			return err
		}
		return tx.AddEntry(&db.FreshEntry{Entry: e, Fingerprint: "f", Canonical: []byte(fmt.Sprint("canonical ", number)), Record: record})
	}))
}

package app_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/export"
	"tollbook/app/export/packet"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

// packet builds the packet of November of a scope.
func (h *house) packet(t *testing.T, c *company, scope string) (id.Packet, bool) {
	t.Helper()
	made, fresh, err := h.packets.Build(t.Context(), c.who, period.MonthOf(november(1)), scope)
	require.NoError(t, err)
	return made, fresh
}

// archive downloads a packet and verifies it as anybody would.
func (h *house) archive(t *testing.T, who app.Actor, made id.Packet) (packet.Checked, map[string]string) {
	t.Helper()
	down, err := h.packets.Download(t.Context(), who, made, "")
	require.NoError(t, err)
	r, err := zip.NewReader(bytes.NewReader(down.Content), int64(len(down.Content)))
	require.NoError(t, err)
	checked, err := packet.Check(r, nil)
	require.NoError(t, err)
	files := map[string]string{}
	for _, f := range r.File {
		in, err := f.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		files[f.Name] = string(content)
	}
	return checked, files
}

// twoMonths is a company with charges in two months and a journal.
func (h *house) twoMonths(t *testing.T, c *company) {
	t.Helper()
	h.flush(t, c, c.event(november(2), "CC-1", costs(100_000)), c.event(november(3), "CC-2", costs(25_001)), c.event(november(3), "CC-3", costs(50_003)), c.event(november(4), "P-1", costs(2_500)),
		c.event(time.Date(2026, 10, 30, 9, 0, 0, 0, time.UTC), "CC-1", costs(75_000)))
	h.accrue(t, c)
}

func TestAPacketIsBuiltAndVerifies(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.twoMonths(t, h.one)
	made, fresh := h.packet(t, h.one, "")
	require.True(t, fresh)
	checked, files := h.archive(t, h.one.who, made)
	require.Equal(t, packet.Draft, checked.Manifest.State)
	require.Equal(t, 1, checked.Manifest.Revision)
	require.True(t, checked.Journal)
	total := h.text(t, `select (sum(charge_pico) / 1e12)::numeric(38, 12)::text from rollup_placement_day where tenant_id = $1 and posting_period = '2026-11-01'`, h.one.tenant)
	require.Contains(t, files["manifest.json"], total)
	require.Contains(t, files["journal.csv"], "US02")
	require.Equal(t, int64(1), h.number(t, `select count(*) from audit_record where tenant_id = $1 and action = 'packet.built' and subject = $2`, h.one.tenant, made.String()))
	require.Equal(t, int64(1), h.number(t, `select count(*) from audit_record where tenant_id = $1 and action = 'packet.downloaded' and subject = $2`, h.one.tenant, made.String()))
	again, _ := h.packets.Download(t.Context(), h.one.who, made, "")
	other, _ := h.packets.Download(t.Context(), h.one.who, made, "")
	require.Equal(t, again.SHA256, other.SHA256, "a sealed packet is always the same bytes")
	page, err := h.packets.Packets(t.Context(), h.one.who, app.PacketQuery{})
	require.NoError(t, err)
	require.Equal(t, again.SHA256, page.Packets[0].Archive)
}

func TestAPacketIsRebuiltOnlyWhenFiguresChanged(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.twoMonths(t, h.one)
	first, _ := h.packet(t, h.one, "")
	h.clock.add(time.Hour)
	same, fresh := h.packet(t, h.one, "")
	require.False(t, fresh)
	require.Equal(t, first, same)
	h.flush(t, h.one, h.one.event(november(4), "CC-1", costs(250_000)))
	second, fresh := h.packet(t, h.one, "")
	require.True(t, fresh)
	checked, _ := h.archive(t, h.one.who, second)
	require.Equal(t, 2, checked.Manifest.Revision)
	require.Contains(t, checked.Manifest.Changes, packet.Change{Of: packet.OfNode, What: "BU-1", Before: "$0.51", After: "$1.51"})

	h.clock.add(25 * 24 * time.Hour)
	h.accrue(t, h.one)
	h.closed(t, h.one)
	final, fresh := h.packet(t, h.one, "")
	require.True(t, fresh)
	checked, _ = h.archive(t, h.one.who, final)
	require.Equal(t, packet.Final, checked.Manifest.State)
	require.Equal(t, 3, checked.Manifest.Revision)
	require.Equal(t, "State", checked.Manifest.Changes[0].What)
	h.clock.add(40 * 24 * time.Hour)
	require.NoError(t, h.nodes.Create(t.Context(), h.one.who, []app.NewNode{{Code: "CC-9", Name: "Later", Kind: "cost_center", ParentCode: "BU-1", Capitalization: "expense"}}, h.clock.now(), "later"))
	same, fresh = h.packet(t, h.one, "")
	require.False(t, fresh, "what comes after the close is not its")
	require.Equal(t, final, same)
}

// closed ends November's books, by the house's clock.
func (h *house) closed(t *testing.T, c *company) {
	t.Helper()
	h.lock(t, c, period.MonthOf(november(1)))
	h.exec(t, `update period set changed_at = $2 where tenant_id = $1 and month = '2026-11-01'`, c.tenant, h.clock.now())
}

// TestAPacketSealedWhenArchivesWereCompressed is made again as it was, and one whose bytes are not those that were
// sealed is not given out.
func TestAPacketSealedWhenArchivesWereCompressed(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.twoMonths(t, h.one)
	made, _ := h.packet(t, h.one, "")
	down, err := h.packets.Download(t.Context(), h.one.who, made, "")
	require.NoError(t, err)
	r, err := zip.NewReader(bytes.NewReader(down.Content), int64(len(down.Content)))
	require.NoError(t, err)
	var parts []export.Part
	recorded, err := time.Parse(time.RFC3339, h.text(t, `select to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') from packet`))
	require.NoError(t, err)
	for _, f := range r.File {
		in, err := f.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		parts = append(parts, export.Part{Name: f.Name, At: recorded, Content: content})
	}
	before, err := export.Bind(parts)
	require.NoError(t, err)
	require.Less(t, len(before), len(down.Content))
	digest := sha256.Sum256(before)
	h.superuser(t, `update packet_seal set archive_digest = $1, archive_bytes = $2`, digest[:], len(before))
	down, err = h.packets.Download(t.Context(), h.one.who, made, "")
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, down.Content))
	h.archive(t, h.one.who, made)

	h.superuser(t, `update packet_seal set archive_digest = sha256('another')`)
	_, err = h.packets.Download(t.Context(), h.one.who, made, "")
	require.Equal(t, "packet_changed", codeOf(err))
}

// TestApprovalsThatAreNotListedAreSaid has five hundred and some of one month.
func TestApprovalsThatAreNotListedAreSaid(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	h.twoMonths(t, h.one)
	change := h.propose(t, fin, discount(1000))
	_, err := h.approveChange(t, cfo, change)
	require.NoError(t, err)
	h.clock.add(time.Hour)
	made, _ := h.packet(t, h.one, "")
	checked, _ := h.archive(t, h.one.who, made)
	require.Len(t, checked.Manifest.Decisions, 1)
	require.Zero(t, checked.Manifest.Unlisted)
	h.superuser(t, `insert into change_vote (tenant_id, change_id, vote_id, step, member_id, person_id, digest, basis, reason, decided_at)
		select tenant_id, change_id, gen_random_uuid(), step, member_id, gen_random_uuid(), digest, basis, reason, decided_at + make_interval(secs => n) from change_vote, generate_series(1, 502) n where change_id = $1`, change.ID)
	made, fresh := h.packet(t, h.one, "")
	require.True(t, fresh)
	checked, files := h.archive(t, h.one.who, made)
	require.Len(t, checked.Manifest.Decisions, 500)
	require.Equal(t, 3, checked.Manifest.Unlisted)
	require.Contains(t, h.printed(t, files), "3 more approvals that these figures rest on are not listed")
}

// TestAPartOfACompanyHoldsNothingElse looks for everything of the rest in every file.
func TestAPartOfACompanyHoldsNothingElse(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.twoMonths(t, h.one)
	made, _ := h.packet(t, h.one, "CC-3")
	checked, files := h.archive(t, h.one.who, made)
	require.False(t, checked.Journal)
	require.NotContains(t, files, "journal.csv")
	require.Equal(t, "CC-3", checked.Manifest.Scope.Code)
	all := h.printed(t, files)
	require.Contains(t, all, "CC-3")
	for _, other := range []string{"CC-1", "CC-2", "P-1", "BU-1", "Unit 1", "SUSPENSE", "US01", "Company two"} {
		require.NotContains(t, all, other)
	}
	owner := h.personAt(t, h.one, app.RoleBudgetOwner, "owner", "CC-3")
	_, err := h.packets.Download(t.Context(), owner, made, "")
	require.NoError(t, err)
	whole, _ := h.packet(t, h.one, "")
	_, err = h.packets.Download(t.Context(), owner, whole, "")
	require.ErrorIs(t, err, db.ErrPacketAbsent)
	elsewhere := h.personAt(t, h.one, app.RoleBudgetOwner, "elsewhere", "CC-1")
	_, err = h.packets.Packet(t.Context(), elsewhere, made, id.Delivery{})
	require.ErrorIs(t, err, db.ErrPacketAbsent)
	page, err := h.packets.Packets(t.Context(), owner, app.PacketQuery{})
	require.NoError(t, err)
	require.Len(t, page.Packets, 1)
	require.Equal(t, "CC-3", page.Packets[0].Scope)
	_, _, err = h.packets.Build(t.Context(), owner, period.MonthOf(november(1)), "CC-3")
	require.ErrorIs(t, err, app.ErrNotAllowed)
	developer := h.person(t, h.one, app.RoleDeveloper, "dev")
	_, err = h.packets.Packets(t.Context(), developer, app.PacketQuery{})
	require.ErrorIs(t, err, app.ErrNotAllowed)
	stranger := h.person(t, h.two, app.RoleFinanceAdmin, "theirs")
	_, err = h.packets.Packet(t.Context(), stranger, whole, id.Delivery{})
	require.ErrorIs(t, err, db.ErrPacketAbsent)
}

// printed is everything that can be read in a packet's files: of a workbook its parts, of a
// document its text.
func (h *house) printed(t *testing.T, files map[string]string) string {
	t.Helper()
	var all strings.Builder
	for name, content := range files {
		switch {
		case strings.HasSuffix(name, ".xlsx"):
			r, err := zip.NewReader(strings.NewReader(content), int64(len(content)))
			require.NoError(t, err)
			for _, f := range r.File {
				in, err := f.Open()
				require.NoError(t, err)
				part, err := io.ReadAll(in)
				require.NoError(t, err)
				all.Write(part)
			}
		case strings.HasSuffix(name, ".pdf"):
			all.WriteString(pdfText(t, content))
		default:
			all.WriteString(content)
		}
	}
	return all.String()
}

// TestNoDeveloperIsNamed declares a developer on every request.
func TestNoDeveloperIsNamed(t *testing.T) {
	t.Parallel()
	h := build(t)
	const label = "zelda.unmistakable@one.test"
	who := h.developer(t, h.one, label)
	h.flush(t, h.one, h.one.event(november(2), "CC-1", costs(100_000), func(e *usage.Event) {
		e.Developer, e.DeveloperLabel = who, app.NewLabels(h.ring).Seal(who, label)
	}))
	made, _ := h.packet(t, h.one, "")
	_, files := h.archive(t, h.one.who, made)
	require.NotContains(t, h.printed(t, files), "unmistakable")
	require.NotContains(t, h.printed(t, files), who.String())
	require.NotContains(t, h.printed(t, files), who.UUID())
}

func TestWithoutALogKeyThereIsNoPacket(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.log.SignBy(nil)
	_, _, err := h.packets.Build(t.Context(), h.one.who, period.MonthOf(november(1)), "")
	require.Equal(t, "log_unsigned", fault.From(err).Code)
}

func TestAnAskIsBuiltByAJobAndToldOf(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.twoMonths(t, h.one)
	fin := h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	ask, err := h.packets.Ask(t.Context(), fin, period.MonthOf(november(1)), "CC-1")
	require.NoError(t, err)
	told, err := h.packets.Asked(t.Context(), fin, ask)
	require.NoError(t, err)
	require.False(t, told.Ended)
	require.NoError(t, h.packets.BuildAsked(t.Context(), h.one.tenant, ask))
	require.NoError(t, h.packets.BuildAsked(t.Context(), h.one.tenant, ask), "twice is once")
	told, err = h.packets.Asked(t.Context(), fin, ask)
	require.NoError(t, err)
	require.True(t, told.Ended && told.Fresh)
	view, err := h.packets.Packet(t.Context(), fin, told.Packet, id.Delivery{})
	require.NoError(t, err)
	require.Equal(t, "CC-1", view.Scope)
	require.Equal(t, fin.Member, view.By.Member)
	again, err := h.packets.Ask(t.Context(), fin, period.MonthOf(november(1)), "CC-1")
	require.NoError(t, err)
	require.NoError(t, h.packets.BuildAsked(t.Context(), h.one.tenant, again))
	told, err = h.packets.Asked(t.Context(), fin, again)
	require.NoError(t, err)
	require.False(t, told.Fresh, "no figure changed")
	_, err = h.packets.Ask(t.Context(), fin, period.MonthOf(november(1)).Next(), "")
	require.Equal(t, "period_future", fault.From(err).Code)
	_, err = h.packets.Ask(t.Context(), fin, period.MonthOf(november(1)), "NOWHERE")
	require.Equal(t, "scope_unknown", fault.From(err).Code)
}

// pdfText reads a document's text with poppler, which scripts/setup-test installs.
func pdfText(t *testing.T, document string) string {
	t.Helper()
	read := exec.CommandContext(t.Context(), "pdftotext", "-layout", "-", "-")
	read.Stdin = strings.NewReader(document)
	text, err := read.Output()
	require.NoError(t, err)
	return string(text)
}

package app_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/pricing"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/db/dbtest"
)

func (h *house) exported(t *testing.T, who app.Actor, asOf time.Time) string {
	t.Helper()
	sheet, err := h.nodes.Export(t.Context(), who, app.TreeQuery{AsOf: asOf})
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, csv.NewWriter(&out).WriteAll(append([][]string{sheet.Head}, sheet.Rows...)))
	return out.String()
}

func TestAFileOfTheHierarchyBecomesOneChange(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.Equal(t, 1, h.flush(t, h.one, h.one.event(october(5), "P-1")))
	engineer, checker := h.person(t, h.one, app.RoleEngineeringAdmin, "eng"), h.person(t, h.one, app.RoleFinanceAdmin, "fin")
	file := h.exported(t, engineer, time.Time{})
	dry := func(text string, retire bool, keysTo string) app.NodeImportPlan {
		planned, err := h.nodes.DryRun(t.Context(), engineer, app.NodeImport{File: []byte(text), From: december(), RetireMissing: retire, KeysTo: keysTo})
		require.NoError(t, err)
		return planned
	}
	before := h.contents(t)
	same := dry(file, true, "")
	require.Empty(t, same.Problems)
	require.Equal(t, map[hierarchy.EffectKind]int{hierarchy.EffectUnchanged: 7}, same.Drift)
	_, err := same.Ask(december(), "x")
	require.Equal(t, "nodes_same", fault.From(err).Code)

	// The master list knows no CC-1 any more, and P-1 below CC-3.
	var lines []string
	for line := range strings.Lines(file) {
		switch {
		case strings.HasPrefix(line, "CC-1,"):
		case strings.HasPrefix(line, "P-1,"):
			lines = append(lines, strings.Replace(line, ",CC-1,", ",CC-3,", 1))
		default:
			lines = append(lines, line)
		}
	}
	wanted := strings.Join(lines, "")
	blocked := dry(wanted, true, "")
	require.Len(t, blocked.Problems, 1)
	require.Contains(t, blocked.Problems[0].Message, `CC-1: Virtual keys charge CC-1 then, "laptop" among them.`)
	require.Equal(t, 0, blocked.Problems[0].Line)
	_, err = blocked.Ask(december(), "x")
	require.Equal(t, "nodes_file", fault.From(err).Code)
	moved := dry(wanted, true, "CC-2")
	require.Empty(t, moved.Problems)
	require.Equal(t, map[hierarchy.EffectKind]int{hierarchy.EffectUnchanged: 5, hierarchy.EffectMoved: 1, hierarchy.EffectRetired: 1}, moved.Drift)
	require.Equal(t, "0.014000000000", moved.Impact.Moved.String())
	require.Equal(t, before, h.contents(t), "a dry run writes nothing")

	ask, err := moved.Ask(december(), "the master list of December")
	require.NoError(t, err)
	made := h.propose(t, engineer, ask)
	applied, err := h.approveChange(t, checker, made)
	require.NoError(t, err)
	require.Equal(t, approval.StateApplied, applied.State)
	require.Equal(t, "BU-1 CC-2 BU-2 CC-3 P-1 SUSPENSE", h.list(t, h.one.who, december()))
	require.Equal(t, map[hierarchy.EffectKind]int{hierarchy.EffectUnchanged: 6}, dry(wanted, true, "").Drift)
	bad := dry("code,name\nCC-2,=cmd\n", false, "")
	require.Equal(t, "Line 2, column 2", bad.Problems[0].Where())
	_, err = h.nodes.DryRun(t.Context(), h.person(t, h.one, app.RoleDeveloper, "dev"), app.NodeImport{File: []byte(file)})
	require.ErrorIs(t, err, app.ErrNotAllowed)
	owner := h.personAt(t, h.one, app.RoleBudgetOwner, "own", "CC-3")
	theirs, err := h.nodes.DryRun(t.Context(), owner, app.NodeImport{File: []byte("code,name,kind,parent_code\nCC-3,Center 3,cost_center,BU-2\nP-7,Seven,project,CC-3\n"), RetireMissing: true})
	require.NoError(t, err)
	require.Empty(t, theirs.Problems)
	require.Equal(t, map[hierarchy.EffectKind]int{hierarchy.EffectUnchanged: 1, hierarchy.EffectCreated: 1}, theirs.Drift, "P-1 lies below theirs only from December on")
}

// masterList is a file of many nodes, eight below each.
func masterList(nodes int) []byte {
	var file bytes.Buffer
	file.WriteString("code,name,kind,parent_code,entity,gl_account,capitalization,netsuite.department\n")
	for i := range nodes {
		parent := ""
		if i > 0 {
			parent = fmt.Sprintf("N-%d", (i-1)/8)
		}
		fmt.Fprintf(&file, "N-%d,Node %d,cost_center,%s,US01,6100,expense,%d\n", i, i, parent, i)
	}
	return file.Bytes()
}

// BenchmarkImport takes a file of 5,000 nodes from its bytes to the applied change: dry run,
// proposal with its impact, decision, versions, spans, placements and the check at commit.
func BenchmarkImport(b *testing.B) {
	file := masterList(hierarchy.MaxNodes)
	for b.Loop() {
		b.StopTimer()
		clock := newClock()
		clone := dbtest.New(b, func(c *db.Config) { c.Now = clock.now })
		ring, err := secret.NewKeyring(secret.NewMaster())
		require.NoError(b, err)
		access, err := app.NewAccess()
		require.NoError(b, err)
		changes := app.NewChanges(access)
		nodes := app.NewNodes(clone.DB, access, changes)
		members := app.NewMembers(clone.DB, changes, ring)
		tenants := app.NewTenants(clone.DB, changes, nodes, ring, clock.now)
		app.NewPrices(clone.DB, access, changes, pricing.VendorList())
		approvals := app.NewApprovals(clone.DB, access, changes, members, ring)
		tenant, err := tenants.Create(b.Context(), "one", "One", founded())
		require.NoError(b, err)
		who := app.Command(tenant)
		signIns := app.NewSignIns(clone.DB, changes, members, ring)
		_, err = members.Add(b.Context(), who, app.NewMember{Issuer: "https://idp.test", Subject: "fin", Name: "fin", Role: app.RoleFinanceAdmin}, "fixture")
		require.NoError(b, err)
		cookie, err := signIns.Accept(b.Context(), tenant, app.Claims{Issuer: "https://idp.test", Subject: "fin", SignedInAt: clock.now()})
		require.NoError(b, err)
		checker, err := signIns.BySession(b.Context(), cookie)
		require.NoError(b, err)
		b.StartTimer()

		planned, err := nodes.DryRun(b.Context(), who, app.NodeImport{File: file})
		require.NoError(b, err)
		require.Empty(b, planned.Problems)
		ask, err := planned.Ask(time.Time{}, "master list")
		require.NoError(b, err)
		made, err := approvals.Propose(b.Context(), who, ask, "")
		require.NoError(b, err)
		_, err = approvals.Rule(b.Context(), checker, made.ID, app.Ruling{Ruling: approval.Ruling{Verdict: approval.VerdictApprove, Seen: made.Digest, Reason: "as shown"}})
		require.NoError(b, err)
	}
}

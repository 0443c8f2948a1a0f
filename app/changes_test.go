package app_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// notices listens for the tenants whose snapshot changed, until the test ends.
func (h *house) notices(t *testing.T) <-chan id.Tenant {
	t.Helper()
	heard, connected := make(chan id.Tenant, 100), make(chan struct{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = h.clone.Listen(ctx, func() { close(connected) }, func(tenant id.Tenant) { heard <- tenant })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	<-connected
	return heard
}

func TestAChangeItsMovesItsRecordItsJobAndItsNoticeAreOneCommit(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.exec(t, `delete from river.river_job`)
	heard := h.notices(t)
	before := h.number(t, `select count(*) from change where tenant_id = $1`, h.one.tenant)
	require.NoError(t, h.nodes.Create(t.Context(), h.one.who, []app.NewNode{
		{Code: "CC-9", Name: "Nine", Kind: "cost_center", ParentCode: "BU-1", Capitalization: "expense"},
	}, november(1), "a new team"))

	var change id.Change
	var number int64
	var digest, payload []byte
	require.NoError(t, h.admin.QueryRow(`select change_id, number, digest, payload from change where tenant_id = $1 order by number desc limit 1`, h.one.tenant).
		Scan(&change, &number, &digest, &payload))
	require.Equal(t, before+1, number, "numbers have no gap")
	require.Equal(t, "0 proposed command,1 approved policy:none,2 applied command", h.text(t, `select string_agg(place || ' ' || state || ' ' || actor, ',' order by place)
		from change_move where tenant_id = $1 and change_id = $2 and digest = $3`, h.one.tenant, change, digest))
	require.EqualValues(t, 1, h.number(t, `select count(*) from node_version where tenant_id = $1 and change_id = $2`, h.one.tenant, change))

	var canonical []byte
	require.NoError(t, h.admin.QueryRow(`select r.canonical from audit_record r join audit_pending p using (tenant_id, record_id)
		where r.tenant_id = $1 order by r.recorded_at desc limit 1`, h.one.tenant).Scan(&canonical))
	var record struct {
		Action, Actor, Subject string
		Detail                 map[string]any
	}
	require.NoError(t, json.Unmarshal(canonical, &record))
	require.Equal(t, "change.applied", record.Action)
	require.Equal(t, "command", record.Actor)
	require.Equal(t, change.String(), record.Subject)
	require.Equal(t, hex.EncodeToString(digest), record.Detail["digest"])
	require.Equal(t, "policy:none", record.Detail["approved_by"])
	require.Equal(t, "a new team", record.Detail["reason"])
	require.Equal(t, string(payload), record.Detail["payload"])
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant))
	require.Zero(t, h.jobs(t, "sequence_audit", h.two.tenant))
	require.Equal(t, h.one.tenant, <-heard)
}

func TestAFailingApplyLeavesNothingAtAll(t *testing.T) {
	t.Parallel()
	h := build(t)
	heard := h.notices(t)
	before := h.contents(t)
	err := h.nodes.Create(t.Context(), h.one.who, []app.NewNode{
		{Code: "CC-9", Name: "Nine", Kind: "cost_center", Capitalization: "expense"},
		{Code: "CC-10", Name: "Ten", Kind: "cost_center", ParentCode: "nobody", Capitalization: "expense"},
	}, november(1), "half of it is wrong")
	require.Equal(t, "parent_absent", fault.From(err).Code)
	require.Equal(t, before, h.contents(t))
	// Tenant two's notice is the first heard: tenant one's was never sent.
	require.NoError(t, h.nodes.Create(t.Context(), h.two.who, []app.NewNode{{Code: "CC-9", Name: "Nine", Kind: "cost_center", Capitalization: "expense"}}, november(1), "marker"))
	require.Equal(t, h.two.tenant, <-heard)
}

func TestARefusedActorLeavesNothingApplied(t *testing.T) {
	t.Parallel()
	h := build(t)
	developer, analyst := h.member(t, h.one, app.RoleDeveloper, ""), h.member(t, h.one, app.RoleAnalyst, "")
	before := h.contents(t)
	for name, err := range map[string]error{
		"node": h.nodes.Create(t.Context(), developer, []app.NewNode{{Code: "X", Name: "X", Kind: "cost_center", Capitalization: "expense"}}, november(1), "x"),
		"key": func() error {
			_, err := h.keys.Create(t.Context(), analyst, app.NewKey{Label: "x", CostCenter: "CC-1"}, "x")
			return err
		}(),
		"revocation": h.keys.Revoke(t.Context(), analyst, h.one.key.ID, "x"),
		"member": func() error {
			_, err := h.members.Add(t.Context(), analyst, app.NewMember{Issuer: "i", Subject: "s", Name: "n", Role: app.RoleTenantOwner}, "x")
			return err
		}(),
		"token": func() error {
			_, err := h.members.AddToken(t.Context(), analyst, analyst.Member, "x", time.Hour, "x")
			return err
		}(),
	} {
		require.ErrorIs(t, err, app.ErrNotAllowed, name)
	}
	require.Equal(t, before, h.contents(t))
}

func TestAReasonIsAskedFor(t *testing.T) {
	t.Parallel()
	h := build(t)
	before := h.contents(t)
	for _, reason := range []string{"", " \t", strings.Repeat("x", 2001)} {
		require.Equal(t, "reason_missing", fault.From(h.keys.Revoke(t.Context(), h.one.who, h.one.key.ID, reason)).Code)
	}
	require.Equal(t, before, h.contents(t))
}

// TestAStoredChangeIsWhatItsDigestSays reads a change back and lets it move: its
// digest covers an instant, and the database keeps microseconds of it.
func TestAStoredChangeIsWhatItsDigestSays(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.NoError(t, h.nodes.Create(t.Context(), h.one.who, []app.NewNode{{Code: "CC-9", Name: "Nine", Kind: "cost_center", Capitalization: "expense"}},
		november(1).Add(123_456_789), "with nanoseconds"))
	rows, err := h.admin.Query(`select kind, payload, digest, reason, effective_from from change where tenant_id = $1`, h.one.tenant)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		c := approval.Change{State: approval.StateProposed}
		var digest []byte
		require.NoError(t, rows.Scan(&c.Kind, &c.Payload, &digest, &c.Reason, &c.EffectiveFrom))
		c.Digest = [32]byte(digest)
		_, err := c.Move(approval.StateApproved)
		require.NoError(t, err, c.Reason)
		canonical, err := auditlog.CanonicalJSON(c.Payload)
		require.NoError(t, err)
		require.Equal(t, string(c.Payload), string(canonical), "a payload is stored in its canonical form")
	}
	require.NoError(t, rows.Err())
}

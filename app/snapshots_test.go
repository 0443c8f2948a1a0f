package app_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/attribution"
	"tollbook/app/id"
	"tollbook/app/secret"
)

func (h *house) load(t *testing.T, only id.Tenant) *app.Snapshot {
	t.Helper()
	require.NoError(t, h.snapshots.Load(t.Context(), only))
	return h.snapshots.Current()
}

func TestASnapshotHoldsWhatAGatewayNeeds(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.True(t, h.snapshots.Current().LoadedAt.IsZero())
	require.NoError(t, h.tenants.SetUpstream(t.Context(), h.one.who, "https://api.anthropic.com", secret.NewText("sk-one"), "x"))
	all := h.load(t, id.Tenant{})
	require.Len(t, all.Tenants, 2)
	require.False(t, all.LoadedAt.IsZero())
	one := all.Tenants["one"]
	require.Equal(t, h.one.tenant, one.ID)
	require.Equal(t, "https://api.anthropic.com sk-one", one.Upstream.String()+" "+one.Credential.Reveal())
	require.Nil(t, all.Tenants["two"].Upstream)
	require.Equal(t, h.number(t, `select max(number) from change where tenant_id = $1`, h.one.tenant), one.Number)
	key, ok := h.snapshots.Find(one, h.one.key.Secret.Reveal())
	require.True(t, ok)
	require.Equal(t, h.one.key.ID, key.ID)
	require.Equal(t, attribution.RuleKey, key.Answer.Rule)
	require.Equal(t, h.one.places["CC-1"], key.Answer.Shares[0].Placement)
	for _, presented := range []string{"", "tbk_", h.two.key.Secret.Reveal(), h.one.key.Secret.Reveal() + "x", "x" + h.one.key.Secret.Reveal(), secret.Mint("tbk_").Reveal()} {
		_, ok = h.snapshots.Find(one, presented)
		require.False(t, ok, presented)
	}
}

func TestOneTenantIsLoadedWithoutTheOthers(t *testing.T) {
	t.Parallel()
	h := build(t)
	before := h.load(t, id.Tenant{})
	for _, c := range []*company{h.one, h.two} {
		require.NoError(t, h.nodes.Create(t.Context(), c.who, []app.NewNode{center("CC-9", "BU-1")}, november(1), "x"))
	}
	after := h.load(t, h.one.tenant)
	_, ok := after.Tenants["one"].Tree.Code("CC-9")
	require.True(t, ok)
	require.Same(t, before.Tenants["two"], after.Tenants["two"])
	require.Equal(t, before.LoadedAt, after.LoadedAt, "only a full load is a confirmation of everything")
	_, ok = before.Tenants["one"].Tree.Code("CC-9")
	require.False(t, ok, "a snapshot in use never changes")
	h.load(t, id.NewTenant(founded()))
	require.Len(t, h.snapshots.Current().Tenants, 2)
}

func TestABrokenTenantDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.NoError(t, h.tenants.SetUpstream(t.Context(), h.one.who, "https://api.anthropic.com", secret.NewText("sk-one"), "x"))
	h.load(t, id.Tenant{})
	h.exec(t, `alter table upstream disable trigger append_only`)
	h.exec(t, `update upstream set credential_sealed = 'x'`)
	one := h.load(t, h.one.tenant)
	require.NotContains(t, one.Tenants, "one", "what cannot be read is not served from what was")
	require.Contains(t, one.Tenants, "two")
	all := h.load(t, id.Tenant{})
	require.NotContains(t, all.Tenants, "one")
	loads, tenants := h.snapshots.Failures()
	require.Zero(t, loads)
	require.EqualValues(t, 2, tenants, "each time it was left out")
	_, ok := h.snapshots.Find(all.Tenants["two"], h.two.key.Secret.Reveal())
	require.True(t, ok)
}

func TestAKeyEndsWhenItExpiresOrIsRevoked(t *testing.T) {
	t.Parallel()
	h := build(t)
	short, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "short", CostCenter: "CC-1", ExpiresAt: h.clock.now().Add(time.Hour)}, "x")
	require.NoError(t, err)
	one := h.load(t, id.Tenant{}).Tenants["one"]
	_, ok := h.snapshots.Find(one, short.Secret.Reveal())
	require.True(t, ok)
	h.clock.add(time.Hour)
	_, ok = h.snapshots.Find(one, short.Secret.Reveal())
	require.False(t, ok, "without a reload")
	_, ok = h.snapshots.Find(h.load(t, id.Tenant{}).Tenants["one"], short.Secret.Reveal())
	require.False(t, ok)
	require.NoError(t, h.keys.Revoke(t.Context(), h.one.who, h.one.key.ID, "lost"))
	_, ok = h.snapshots.Find(h.load(t, h.one.tenant).Tenants["one"], h.one.key.Secret.Reveal())
	require.False(t, ok)
}

func TestAFutureNodeEntersTheSnapshotAtItsInstant(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.NoError(t, h.nodes.Create(t.Context(), h.one.who, []app.NewNode{center("CC-F", "BU-1")}, h.clock.now().Add(time.Hour), "later"))
	_, ok := h.load(t, id.Tenant{}).Tenants["one"].Tree.Code("CC-F")
	require.False(t, ok)
	h.clock.add(time.Hour)
	_, ok = h.load(t, id.Tenant{}).Tenants["one"].Tree.Code("CC-F")
	require.True(t, ok)
}

// TestAGatewayTurnsAtTheInstant moves a project for a later instant: the snapshot knows of
// it, waits for no notice, and places requests anew from that instant on.
func TestAGatewayTurnsAtTheInstant(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.load(t, id.Tenant{})
	require.Equal(t, time.Second, h.snapshots.Turn(t.Context()), "nothing is to come")
	at := h.clock.now().Add(time.Hour).Truncate(time.Microsecond)
	h.reorganize(t, at, movesP1, `{"op":"merge","code":"CC-1","into":"CC-2"}`)
	placed := func() string {
		tenant := h.snapshots.Current().Tenants["one"]
		project, ok := tenant.Tree.Code("P-1")
		require.True(t, ok)
		key, ok := h.snapshots.Find(tenant, h.one.key.Secret.Reveal())
		require.True(t, ok)
		return tenant.Tree.Path(project.Node) + ", " + key.Answer.Code
	}
	h.load(t, h.one.tenant)
	require.Equal(t, []time.Time{at}, h.snapshots.Current().Tenants["one"].Upcoming)
	before := h.snapshots.Current()
	require.Equal(t, time.Second, h.snapshots.Turn(t.Context()))
	require.Same(t, before, h.snapshots.Current(), "nothing is loaded before its time")
	require.Equal(t, "BU-1 / CC-1 / P-1, CC-1", placed())

	h.clock.add(at.Sub(h.clock.now()) - 100*time.Millisecond)
	require.Less(t, h.snapshots.Turn(t.Context()), 100*time.Millisecond)
	require.Same(t, before, h.snapshots.Current())
	h.clock.add(100 * time.Millisecond)
	require.Equal(t, time.Second, h.snapshots.Turn(t.Context()))
	require.Equal(t, "BU-2 / CC-3 / P-1, CC-2", placed())
	require.Same(t, before.Tenants["two"], h.snapshots.Current().Tenants["two"], "the others are left alone")
	require.Empty(t, h.snapshots.Current().Tenants["one"].Upcoming)
}

// TestGatewaysTurnByThemselves leaves a snapshot to itself while the clock passes an
// instant.
func TestGatewaysTurnByThemselves(t *testing.T) {
	t.Parallel()
	h := build(t)
	at := h.clock.now().Add(time.Hour).Truncate(time.Microsecond)
	h.reorganize(t, at, movesP1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var following sync.WaitGroup
	following.Go(func() { h.snapshots.Follow(ctx) })
	t.Cleanup(func() { cancel(); following.Wait() })
	path := func() string {
		tenant := h.snapshots.Current().Tenants["one"]
		if tenant == nil {
			return ""
		}
		project, _ := tenant.Tree.Code("P-1")
		return tenant.Tree.Path(project.Node)
	}
	require.Eventually(t, func() bool { return path() == "BU-1 / CC-1 / P-1" }, 20*time.Second, 10*time.Millisecond)
	h.clock.add(time.Hour)
	require.Eventually(t, func() bool { return path() == "BU-2 / CC-3 / P-1" }, 20*time.Second, 10*time.Millisecond, "well before the next full load")
}

// TestGatewaysFollowChanges leaves a snapshot to itself: a new key is known, and a
// revoked one unknown, by notice alone.
func TestGatewaysFollowChanges(t *testing.T) {
	t.Parallel()
	h := build(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var following sync.WaitGroup
	following.Go(func() { h.snapshots.Follow(ctx) })
	t.Cleanup(func() { cancel(); following.Wait() })
	knows := func(key app.MadeKey, want bool) {
		require.Eventually(t, func() bool {
			tenant := h.snapshots.Current().Tenants["one"]
			if tenant == nil {
				return false
			}
			_, ok := h.snapshots.Find(tenant, key.Secret.Reveal())
			return ok == want
		}, 10*time.Second, time.Millisecond)
	}
	knows(h.one.key, true)
	made, err := h.keys.Create(t.Context(), h.one.who, app.NewKey{Label: "new", CostCenter: "CC-2"}, "x")
	require.NoError(t, err)
	knows(made, true)
	require.NoError(t, h.keys.Revoke(t.Context(), h.one.who, made.ID, "x"))
	knows(made, false)
}

func TestALoadThatFailsIsCounted(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.load(t, id.Tenant{})
	h.clone.Close()
	require.Error(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	loads, tenants := h.snapshots.Failures()
	require.EqualValues(t, 1, loads)
	require.Zero(t, tenants)
	require.Len(t, h.snapshots.Current().Tenants, 2, "what was known is served on")
}

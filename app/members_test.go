package app_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

func ada() app.NewMember {
	return app.NewMember{Issuer: "https://idp.test", Subject: "4711", Name: "Ada Lovelace", Email: "Ada.Lovelace@example.test", Role: app.RoleFinanceAdmin}
}

// TestNamesAreSealedEverywhere looks at the raw bytes of every table, audit records
// and changes among them: neither name nor address is in any.
func TestNamesAreSealedEverywhere(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.exec(t, `delete from river.river_job`)
	records := h.records(t, h.one.tenant, "change.applied")
	member, err := h.members.Add(t.Context(), h.one.who, ada(), "a new colleague")
	require.NoError(t, err)
	_, err = h.members.AddToken(t.Context(), h.one.who, member, "laptop", time.Hour, "a token")
	require.NoError(t, err)
	_, err = h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: "https://idp.test", Subject: "4711", SignedInAt: h.clock.now(), Raw: "Ada Lovelace"})
	require.NoError(t, err)
	label := app.NewLabels(h.ring)
	developer := h.developer(t, h.one, "ada.lovelace@example.test")
	e := h.one.event(november(2), "CC-1")
	e.Developer, e.DeveloperLabel = developer, label.Seal(developer, "ada.lovelace@example.test")
	h.flush(t, h.one, e)

	require.EqualValues(t, records+2, h.records(t, h.one.tenant, "change.applied"))
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant))
	require.Equal(t, "member,api_token", h.text(t, `select string_agg(kind, ',' order by number) from change where tenant_id = $1 and kind in ('member', 'api_token')`, h.one.tenant))
	for _, table := range h.tables(t) {
		text := h.text(t, `select coalesce(string_agg(r::text, ' '), '') from `+table+` r`)
		// bytea prints as hexadecimal: what it spells is looked at too.
		for _, secret := range []string{"Lovelace", "lovelace", "example.test"} {
			require.NotContains(t, text, secret, table)
			require.NotContains(t, text, hex.EncodeToString([]byte(secret)), table)
		}
	}
}

func TestAMemberIsRefusedUnlessComplete(t *testing.T) {
	t.Parallel()
	h := build(t)
	before := h.contents(t)
	for name, set := range map[string]func(*app.NewMember){
		"no issuer":              func(m *app.NewMember) { m.Issuer = "" },
		"no subject":             func(m *app.NewMember) { m.Subject = " " },
		"long subject":           func(m *app.NewMember) { m.Subject = strings.Repeat("x", 256) },
		"NUL in the subject":     func(m *app.NewMember) { m.Subject = "a\x00b" },
		"no name":                func(m *app.NewMember) { m.Name = " " },
		"long name":              func(m *app.NewMember) { m.Name = strings.Repeat("x", 201) },
		"long address":           func(m *app.NewMember) { m.Email = strings.Repeat("x", 255) },
		"no role":                func(m *app.NewMember) { m.Role = "" },
		"a role that is none":    func(m *app.NewMember) { m.Role = "superuser" },
		"two roles in one":       func(m *app.NewMember) { m.Role = "developer,tenant_owner" },
		"budget owner of what":   func(m *app.NewMember) { m.Role = app.RoleBudgetOwner },
		"an absent node":         func(m *app.NewMember) { m.Role, m.NodeCode = app.RoleBudgetOwner, "nobody" },
		"a service in a role":    func(m *app.NewMember) { m.Service = true },
		"a person as a service":  func(m *app.NewMember) { m.Role = app.RoleServiceAccount },
		"a tenant owner of part": func(m *app.NewMember) { m.Role, m.NodeCode = app.RoleTenantOwner, "CC-1" },
	} {
		want := ada()
		set(&want)
		_, err := h.members.Add(t.Context(), h.one.who, want, "x")
		require.Equal(t, fault.KindInvalid, fault.KindOf(err), "%s: %v", name, err)
	}
	require.Equal(t, before, h.contents(t))
	_, err := h.members.Add(t.Context(), h.one.who, ada(), "x")
	require.NoError(t, err)
	before = h.contents(t)
	_, err = h.members.Add(t.Context(), h.one.who, ada(), "the same identity again")
	require.Equal(t, fault.KindConflict, fault.KindOf(err))
	require.Equal(t, before, h.contents(t))
	_, err = h.members.Add(t.Context(), h.two.who, ada(), "another tenant may know the same identity")
	require.NoError(t, err)
}

func TestATokenIsItsMembersRights(t *testing.T) {
	t.Parallel()
	h := build(t)
	who := h.member(t, h.one, app.RoleBudgetOwner, "CC-1")
	require.Equal(t, app.ActorToken, who.Kind)
	require.Equal(t, h.one.tenant, who.Tenant)
	require.Equal(t, "Member budget_owner", who.Name)
	require.Equal(t, who.Token.String(), who.ID())
	require.Equal(t, h.developer(t, h.one, "Budget_Owner@one.test"), who.Developer)
	require.Len(t, who.Grants, 1)
	require.Equal(t, app.RoleBudgetOwner, who.Grants[0].Role)
	require.Equal(t, "CC-1", h.text(t, `select code from node_version where node_id = $1`, who.Grants[0].Node))
}

func TestATokenEndsWithinTheNextRequest(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*house, *testing.T, id.Member){
		"expired": func(h *house, _ *testing.T, _ id.Member) { h.clock.add(time.Hour) },
		"revoked": func(h *house, t *testing.T, _ id.Member) {
			t.Helper()
			h.exec(t, `update api_token set revoked_at = now()`)
		},
		"suspended": func(h *house, t *testing.T, m id.Member) {
			t.Helper()
			h.exec(t, `update member set suspended_at = now() where member_id = $1`, m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			member, err := h.members.Add(t.Context(), h.one.who, ada(), "x")
			require.NoError(t, err)
			token, err := h.members.AddToken(t.Context(), h.one.who, member, "laptop", time.Hour, "x")
			require.NoError(t, err)
			_, err = h.members.ByToken(t.Context(), token)
			require.NoError(t, err)
			end(h, t, member)
			_, err = h.members.ByToken(t.Context(), token)
			require.ErrorIs(t, err, app.ErrToken)
			require.Equal(t, app.ErrToken.Error(), err.Error(), "how it ended is not told")
		})
	}
}

func TestATokenNobodyMadeIsUnknown(t *testing.T) {
	t.Parallel()
	h := build(t)
	for _, text := range []string{"", "tbt_", "tbt_nothing", "x", h.one.key.Secret.Reveal(), secret.Mint("tbt_").Reveal(), strings.Repeat("tbt_", 1000), "tbt_\x00"} {
		_, err := h.members.ByToken(t.Context(), secret.NewText(text))
		require.ErrorIs(t, err, app.ErrToken, "%q", text)
	}
}

func TestATokenIsRefusedWithoutLifeLabelOrMember(t *testing.T) {
	t.Parallel()
	h := build(t)
	theirs := h.member(t, h.two, app.RoleAuditor, "")
	mine := h.member(t, h.one, app.RoleAuditor, "")
	before := h.contents(t)
	for _, life := range []time.Duration{0, -1, 367 * 24 * time.Hour} {
		_, err := h.members.AddToken(t.Context(), h.one.who, mine.Member, "x", life, "x")
		require.Equal(t, "token_life", fault.From(err).Code)
	}
	for _, label := range []string{"", " ", strings.Repeat("x", 201), "a\x00b"} {
		_, err := h.members.AddToken(t.Context(), h.one.who, mine.Member, label, time.Hour, "x")
		require.Equal(t, fault.KindInvalid, fault.KindOf(err), "%q", label)
	}
	_, err := h.members.AddToken(t.Context(), h.one.who, theirs.Member, "x", time.Hour, "x")
	require.ErrorIs(t, err, db.ErrMemberAbsent)
	require.Equal(t, before, h.contents(t))
}

// TestRotatingTheMasterKeyKeepsWhatWasStored replaces the master key: the old one is
// second, and tokens and virtual keys made under it are still accepted.
func TestRotatingTheMasterKeyKeepsWhatWasStored(t *testing.T) {
	t.Parallel()
	h := empty(t)
	old, fresh := secret.NewMaster(), secret.NewText("2:"+secret.NewMaster().Reveal())
	ring, err := secret.NewKeyring(old)
	require.NoError(t, err)
	h.wire(t, ring)
	c := h.company(t, "one")
	member, err := h.members.Add(t.Context(), c.who, ada(), "x")
	require.NoError(t, err)
	token, err := h.members.AddToken(t.Context(), c.who, member, "laptop", time.Hour, "x")
	require.NoError(t, err)
	require.NoError(t, h.tenants.SetUpstream(t.Context(), c.who, "https://api.anthropic.com", secret.NewText("sk-1"), "x"))

	ring, err = secret.NewKeyring(fresh, old)
	require.NoError(t, err)
	h.wire(t, ring)
	who, err := h.members.ByToken(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, "Ada Lovelace", who.Name)
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	tenant := h.snapshots.Current().Tenants["one"]
	require.Equal(t, "sk-1", tenant.Credential.Reveal())
	key, ok := h.snapshots.Find(tenant, c.key.Secret.Reveal())
	require.True(t, ok)
	require.Equal(t, c.key.ID, key.ID)
	made, err := h.keys.Create(t.Context(), c.who, app.NewKey{Label: "new", CostCenter: "CC-1"}, "x")
	require.NoError(t, err)
	require.NoError(t, h.snapshots.Load(t.Context(), id.Tenant{}))
	_, ok = h.snapshots.Find(h.snapshots.Current().Tenants["one"], made.Secret.Reveal())
	require.True(t, ok)

	ring, err = secret.NewKeyring(fresh)
	require.NoError(t, err)
	h.wire(t, ring)
	_, err = h.members.ByToken(t.Context(), token)
	require.ErrorIs(t, err, app.ErrToken, "without the old key its hashes are nothing")
}

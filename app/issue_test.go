package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
)

// TestASecretWorksOnlyOnceItsChangeIsDecided gives out keys, tokens and invitations under a
// policy: each is nothing before its approval, and never anything after a refusal.
func TestASecretWorksOnlyOnceItsChangeIsDecided(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer := h.issuer(t, h.one)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	h.adopt(t, fin, cfo, `{"code":"secrets","kinds":["key","key_secret","api_token","invitation"],`+oneStep+`}`)
	owner, eng := h.owner(t, h.one), h.person(t, h.one, app.RoleEngineeringAdmin, "eng-issue")

	for name, c := range map[string]struct {
		maker app.Actor
		make  func(t *testing.T, once string) (approval.Change, func() bool)
	}{
		"key": {eng, func(t *testing.T, once string) (approval.Change, func() bool) {
			t.Helper()
			made, err := h.keys.CreateOnce(t.Context(), eng, app.NewKey{Label: "k " + once, CostCenter: "CC-2", Projects: []string{"P-1"}, Models: []string{"claude-opus-5-5"}, RequestsPerMinute: 7}, "to test", once)
			require.NoError(t, err)
			again, err := h.keys.CreateOnce(t.Context(), eng, app.NewKey{Label: "k " + once, CostCenter: "CC-2", Projects: []string{"P-1"}, Models: []string{"claude-opus-5-5"}, RequestsPerMinute: 7}, "to test", once)
			require.NoError(t, err)
			require.Equal(t, made, again)
			return made.Change, func() bool {
				found, ok := h.snapshots.Find(h.load(t, h.one.tenant).Tenants["one"], made.Secret.Reveal())
				require.True(t, !ok || found.Answer.Code == "CC-2" && found.RequestsPerMinute == 7)
				return ok
			}
		}},
		"rotation": {eng, func(t *testing.T, once string) (approval.Change, func() bool) {
			t.Helper()
			made, err := h.keys.RotateOnce(t.Context(), eng, app.Rotation{Key: h.one.key.ID}, "to test", once)
			require.NoError(t, err)
			return made.Change, func() bool {
				tenant := h.load(t, h.one.tenant).Tenants["one"]
				_, before := h.snapshots.Find(tenant, h.one.key.Secret.Reveal())
				require.True(t, before, "the secret before goes on meanwhile")
				_, ok := h.snapshots.Find(tenant, made.Secret.Reveal())
				return ok
			}
		}},
		"token": {owner, func(t *testing.T, once string) (approval.Change, func() bool) {
			t.Helper()
			made, err := h.members.MakeToken(t.Context(), owner, app.NewToken{Member: eng.Member, Label: "t", Roles: []app.Role{app.RoleEngineeringAdmin}, Life: time.Hour}, "to test", once)
			require.NoError(t, err)
			return made.Change, func() bool {
				who, err := h.members.ByToken(t.Context(), made.Secret)
				require.True(t, err != nil || who.Member == eng.Member && len(who.Grants) == 1)
				return err == nil
			}
		}},
		"invitation": {owner, func(t *testing.T, once string) (approval.Change, func() bool) {
			t.Helper()
			made, err := h.members.Invite(t.Context(), owner, app.NewInvitation{Issuer: issuer.ID, Name: "Ada Waits", Email: once + "@example.test", Role: app.RoleFinanceAdmin, Life: 24 * time.Hour}, "to test", once)
			require.NoError(t, err)
			return made.Change, func() bool {
				invited, err := h.members.ByInvitation(t.Context(), made.Code)
				require.True(t, err != nil || invited.Name == "Ada Waits" && invited.Role == app.RoleFinanceAdmin)
				return err == nil
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			change, works := c.make(t, name+"-approved")
			require.True(t, change.Waits())
			require.False(t, works(), "before anybody decided")
			_, err := h.approvals.Decide(t.Context(), c.maker, change.ID, approval.VerdictApprove, change.Digest, "mine")
			require.Error(t, err)
			require.False(t, works())
			open, err := h.approvals.Case(t.Context(), cfo, change.ID)
			require.NoError(t, err)
			require.NotEmpty(t, open.Impact.Sentence)
			require.NotContains(t, open.Impact.Sentence, "Ada")
			_, err = h.approvals.Decide(t.Context(), cfo, change.ID, approval.VerdictApprove, change.Digest, "as shown")
			require.NoError(t, err)
			require.True(t, works(), "from the decision on")

			change, works = c.make(t, name+"-refused")
			_, err = h.approvals.Decide(t.Context(), cfo, change.ID, approval.VerdictReject, change.Digest, "not now")
			require.NoError(t, err)
			require.False(t, works(), "refused")

			_, err = h.approvals.Propose(t.Context(), c.maker, app.Ask{Kind: change.Kind, Payload: change.Payload, Reason: "by the side door"}, "")
			require.Equal(t, "asked_in_place", codeOf(err))
		})
	}
	require.Zero(t, h.number(t, `select count(*) from audit_record where position('Ada'::bytea in canonical) > 0`))
}

// TestASecretDoesNotOutliveItsMakersAccount has a request for a key under way while its maker
// is suspended: what suspending could not see cannot be approved afterwards.
func TestASecretDoesNotOutliveItsMakersAccount(t *testing.T) {
	t.Parallel()
	h := build(t)
	fin, cfo := h.person(t, h.one, app.RoleFinanceAdmin, "fin"), h.person(t, h.one, app.RoleController, "cfo")
	h.adopt(t, fin, cfo, `{"code":"secrets","kinds":["key"],`+oneStep+`}`)
	owner, eng := h.owner(t, h.one), h.person(t, h.one, app.RoleEngineeringAdmin, "eng-leaves")
	_, err := h.members.Suspend(t.Context(), owner, eng.Member, "left")
	require.NoError(t, err)
	made, err := h.keys.CreateOnce(t.Context(), eng, app.NewKey{Label: "late", CostCenter: "CC-2"}, "was under way", "")
	require.NoError(t, err)
	_, err = h.approvals.Decide(t.Context(), cfo, made.Change.ID, approval.VerdictApprove, made.Change.Digest, "as shown")
	require.Equal(t, "maker_suspended", codeOf(err))
	_, works := h.snapshots.Find(h.load(t, h.one.tenant).Tenants["one"], made.Secret.Reveal())
	require.False(t, works)
	_, err = h.approvals.Decide(t.Context(), cfo, made.Change.ID, approval.VerdictReject, made.Change.Digest, "gone")
	require.NoError(t, err)
}

package app_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/job"
)

func TestOperatorsAreNamedByPairs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]app.Identity{
		"": nil, "  ": nil,
		"https://idp.test 00u1":                               {{Issuer: "https://idp.test", Subject: "00u1"}},
		" https://idp.test/a\t00u1 , http://127.0.0.1:1/i u2": {{Issuer: "https://idp.test/a", Subject: "00u1"}, {Issuer: "http://127.0.0.1:1/i", Subject: "u2"}},
		"http://localhost:1/i u,https://[::1]/i u":            {{Issuer: "http://localhost:1/i", Subject: "u"}, {Issuer: "https://[::1]/i", Subject: "u"}},
	} {
		list, err := app.ParseOperators(text)
		require.NoError(t, err, text)
		require.Equal(t, want, list, text)
	}
	for text, says := range map[string]string{
		"https://idp.test":                             "is not an issuer and a subject",
		"https://idp.test u1,":                         "is not an issuer and a subject",
		"https://idp.test u1 u2":                       "is not an issuer and a subject",
		"u1 https://idp.test":                          "is no issuer's https address",
		"http://idp.test u1":                           "is no issuer's https address",
		"https://me:secret@idp.test u1":                "is no issuer's https address",
		"https://idp.test?x=1 u1":                      "is no issuer's https address",
		"https://idp.test u1,https://idp.test u1":      "is named twice",
		"https://idp.test " + strings.Repeat("u", 300): "at most 255 bytes",
		"https://idp.test u" + strings.Join(strings.Split(strings.Repeat("x", 101), ""), ",https://idp.test u"): "is named twice",
	} {
		_, err := app.ParseOperators(text)
		require.Equal(t, fault.KindInvalid, fault.KindOf(err), text)
		require.Contains(t, fault.From(err).Message, says)
	}
	var many []string
	for i := range 101 {
		many = append(many, "https://idp.test u"+strings.Repeat("x", i))
	}
	_, err := app.ParseOperators(strings.Join(many, ","))
	require.ErrorContains(t, err, "101 pairs are more than 100")
}

// TestOnlyAListedPersonInASessionOperates tries everybody else who could come.
func TestOnlyAListedPersonInASessionOperates(t *testing.T) {
	t.Parallel()
	h := build(t)
	listed := []app.Identity{{Issuer: "https://idp.test", Subject: "olu"}, {Issuer: "https://other.test", Subject: "fin"}}
	operators := app.NewOperators(h.clone.DB, listed, func() app.Health { return app.Health{Ready: true} }, slog.New(slog.DiscardHandler))
	olu := h.person(t, h.one, app.RoleDeveloper, "olu")
	there := h.person(t, h.two, app.RoleDeveloper, "olu")
	fin := h.person(t, h.one, app.RoleTenantOwner, "fin") // of another issuer than the one listed
	token, err := h.members.AddToken(t.Context(), app.Command(h.one.tenant), olu.Member, "script", time.Hour, "x")
	require.NoError(t, err)
	byToken, err := h.members.ByToken(t.Context(), token)
	require.NoError(t, err)

	for name, who := range map[string]app.Actor{
		"another issuer's": fin, "a token of theirs": byToken, "the product": app.System(h.one.tenant), "the command line": app.Command(h.one.tenant), "nobody": {},
	} {
		require.False(t, operators.Is(who), name)
		_, err := operators.Platform(t.Context(), who, app.PlatformQuery{})
		require.ErrorIs(t, err, app.ErrNotOperator, name)
		if _, err := operators.Pulse(t.Context(), who); name != "the product" {
			require.ErrorIs(t, err, app.ErrNotOperator, name)
		}
		require.ErrorIs(t, operators.StepJobs(t.Context(), who, app.JobRetry, []int64{1}), app.ErrNotOperator, name)
		require.ErrorIs(t, operators.StepQueue(t.Context(), who, "pause", "audit"), app.ErrNotOperator, name)
	}
	require.Equal(t, fault.KindNotFound, app.ErrNotOperator.Kind)
	for _, who := range []app.Actor{olu, there} {
		p, err := operators.Platform(t.Context(), who, app.PlatformQuery{})
		require.NoError(t, err)
		require.Equal(t, 2, p.Of)
		require.True(t, p.Health.Ready)
	}
	// What they are in a company is their role there: no more, and nowhere else.
	_, err = h.members.List(t.Context(), olu, app.MemberFilter{Limit: 1})
	require.ErrorIs(t, err, app.ErrNotAllowed)
	_, err = h.members.Suspend(t.Context(), h.owner(t, h.one), olu.Member, "gone")
	require.NoError(t, err)
	_, err = h.signIns.Accept(t.Context(), h.one.tenant, app.Claims{Issuer: "https://idp.test", Subject: "olu", SignedInAt: h.clock.now()})
	require.Error(t, err, "who may not come in, does not operate")
}

// TestAPulseOfTheInstallationTellsOfChangeAlone asks for marks around changes, and around
// what moves by itself.
func TestAPulseOfTheInstallationTellsOfChangeAlone(t *testing.T) {
	t.Parallel()
	h := build(t)
	health := app.Health{Ready: true, Gateway: &app.GatewayHealth{SnapshotAge: 16 * time.Second}, Pools: []app.PoolHealth{{Role: "app", InUse: 1}}}
	operators := app.NewOperators(h.clone.DB, []app.Identity{{Issuer: "https://idp.test", Subject: "olu"}}, func() app.Health { return health }, slog.New(slog.DiscardHandler))
	olu := h.person(t, h.one, app.RoleDeveloper, "olu")
	ask := func(who app.Actor) string {
		mark, err := operators.Pulse(t.Context(), who)
		require.NoError(t, err)
		require.Len(t, mark, 64)
		return mark
	}
	first := ask(olu)
	health.Gateway.SnapshotAge, health.Pools[0].InUse = 17*time.Second, 2
	require.Equal(t, first, ask(app.System(h.two.tenant)), "the same for everybody")
	require.Equal(t, 17*time.Second, health.Gateway.SnapshotAge, "what is asked stays as it is")
	marks := []string{first}
	for _, change := range []func(){
		func() { health.Gateway.SnapshotAge = time.Minute },
		func() { health.Gateway.Pending = 7 },
		func() { health.Ready = false },
		func() {
			require.NoError(t, h.clone.EnqueueNow(t.Context(), job.ProveSums{Tenant: h.one.tenant.String()}))
		},
		func() { h.company(t, "three") },
	} {
		change()
		mark := ask(olu)
		require.NotContains(t, marks, mark)
		marks = append(marks, mark)
	}
}

// TestThePlatformCounts compares what an operator sees with what there is.
func TestThePlatformCounts(t *testing.T) {
	t.Parallel()
	h := build(t)
	operators := app.NewOperators(h.clone.DB, []app.Identity{{Issuer: "https://idp.test", Subject: "olu"}}, func() app.Health { return app.Health{} }, slog.New(slog.DiscardHandler))
	olu := h.person(t, h.one, app.RoleDeveloper, "olu")
	see := func(q app.PlatformQuery) app.Platform {
		p, err := operators.Platform(t.Context(), olu, q)
		require.NoError(t, err)
		return p
	}
	before := see(app.PlatformQuery{})
	require.Len(t, before.Tenants, 2)
	_, err := h.audit.Sequence(t.Context(), h.one.tenant)
	require.NoError(t, err)
	after := see(app.PlatformQuery{})
	for i := range after.Tenants {
		one, was := after.Tenants[i], before.Tenants[i]
		require.Positive(t, was.Waiting, one.Slug)
		if one.ID == h.one.tenant {
			require.Zero(t, one.Waiting, "all have their place")
		} else {
			require.Equal(t, was.Waiting, one.Waiting, "the other's are its own")
		}
	}
	h.clock.add(time.Hour)
	_, err = h.tenants.Create(t.Context(), "a-new-one", "A new one", founded())
	require.NoError(t, err)
	slugs := func(sort string) (list []string) {
		for _, one := range see(app.PlatformQuery{Sort: sort}).Tenants {
			list = append(list, one.Slug)
		}
		return list
	}
	require.Equal(t, []string{"a-new-one", h.one.slug, h.two.slug}, slugs(app.TenantsBySlug))
	require.Equal(t, "a-new-one", slugs(app.TenantsByCreated)[0])
	require.Equal(t, h.one.slug, slugs(app.TenantsByWaiting)[2])
	_, err = h.clone.Admin(t).Exec(`insert into usage_batch (tenant_id, batch_id, posting_period, requests, amount_pico, root, canonical, record_id, recorded_at)
		select tenant_id, gen_random_uuid(), '2026-11-01', 1, 1, sha256('x'), 'x', (select record_id from audit_record r where r.tenant_id = t.tenant_id limit 1), $1 from tenant t where slug <> $2`,
		h.clock.now(), h.one.slug)
	require.NoError(t, err)
	require.Equal(t, h.one.slug, slugs(app.TenantsByQuiet)[0], "it never had a request")
	require.Len(t, see(app.PlatformQuery{Text: " Company " + strings.ToUpper(h.one.slug)}).Tenants, 1)
	_, err = operators.Platform(t.Context(), olu, app.PlatformQuery{Sort: "name; drop table tenant"})
	require.Equal(t, "sort", fault.From(err).Field)

	require.NoError(t, h.clone.EnqueueNow(t.Context(), job.ProveSums{Tenant: h.two.tenant.String()}, job.Tick{}))
	queued := map[string]int64{}
	for _, j := range see(app.PlatformQuery{}).Jobs {
		queued[j.Queue+" "+j.Kind+" "+j.State] += j.Count
	}
	require.Equal(t, int64(1), queued["default prove_sums available"])
	require.Equal(t, int64(1), queued["default tick available"])
}

package app_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// issuer points a company at an issuer and returns it.
func (h *house) issuer(t *testing.T, c *company) app.Issuer {
	t.Helper()
	require.NoError(t, h.signIns.SetIssuer(t.Context(), c.who, app.Issuer{Name: "idp", URL: "https://idp.test", ClientID: "tollbook", Secret: secret.NewText("client-secret")}, "fixture"))
	list, err := h.signIns.Issuers(t.Context(), c.tenant)
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0]
}

func (h *house) begin(t *testing.T, c *company, issuer id.Issuer) string {
	t.Helper()
	var state string
	require.NoError(t, h.signIns.Begin(t.Context(), c.tenant, issuer, func(s string) ([]byte, error) { state = s; return []byte("verifier"), nil }, "/back"))
	return state
}

func TestAnIssuerIsTheOnlyOneAndItsSecretIsSealed(t *testing.T) {
	t.Parallel()
	h := build(t)
	first := h.issuer(t, h.one)
	require.Equal(t, "client-secret", first.Secret.Reveal())
	before := h.contents(t)
	require.Equal(t, first, h.issuer(t, h.one), "what is set already changes nothing")
	require.Equal(t, before, h.contents(t))
	for _, table := range h.tables(t) {
		require.NotContains(t, h.text(t, `select string_agg(r::text, '') from `+table+` r`), "client-secret", table)
	}
	list, err := h.signIns.Issuers(t.Context(), h.two.tenant)
	require.NoError(t, err)
	require.Empty(t, list)
	developer := h.member(t, h.one, app.RoleDeveloper, "")
	require.ErrorIs(t, h.signIns.SetIssuer(t.Context(), developer, first, "the same, without the right"), app.ErrNotAllowed)

	var all sync.WaitGroup
	for _, client := range []string{"a", "b", "c"} {
		all.Go(func() {
			_ = h.signIns.SetIssuer(t.Context(), h.one.who, app.Issuer{Name: client, URL: "https://idp.test", ClientID: client, Secret: secret.NewText("s")}, "race")
		})
	}
	all.Wait()
	require.EqualValues(t, 1, h.number(t, `select count(*) from issuer where tenant_id = $1 and retired_at is null`, h.one.tenant))
}

func TestAStateIsUsedOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer := h.issuer(t, h.one)
	state := h.begin(t, h.one, issuer.ID)
	taken, err := h.signIns.Take(t.Context(), state)
	require.NoError(t, err)
	require.Equal(t, app.Attempt{Tenant: h.one.tenant, Issuer: issuer, Ticket: []byte("verifier"), ReturnTo: "/back"}, taken)
	_, err = h.signIns.Take(t.Context(), state)
	require.ErrorIs(t, err, app.ErrSignIn)
	require.NotContains(t, h.text(t, `select string_agg(r::text, '') from sign_in r`), state[len(state)-20:])

	state = h.begin(t, h.one, issuer.ID)
	var all sync.WaitGroup
	won := make([]error, 4)
	for i := range won {
		all.Go(func() { _, won[i] = h.signIns.Take(t.Context(), state) })
	}
	all.Wait()
	used := 0
	for _, err := range won {
		if err == nil {
			used++
		}
	}
	require.Equal(t, 1, used)
}

func TestAStateThatIsNotTheOneGivenOutIsRefused(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer := h.issuer(t, h.one)
	theirs := h.issuer(t, h.two)
	state := h.begin(t, h.one, issuer.ID)
	parts := strings.Split(state, ".")
	require.Len(t, parts, 3)
	for name, forged := range map[string]string{
		"nothing":            "",
		"no parts":           "x",
		"no secret":          parts[0] + "." + parts[1],
		"another tenant":     parts[0] + "." + h.two.tenant.String() + "." + parts[2],
		"nobody's tenant":    parts[0] + "." + id.NewTenant(founded()).String() + "." + parts[2],
		"unknown attempt":    id.NewSignIn(founded()).String() + "." + parts[1] + "." + parts[2],
		"far too long":       strings.Repeat(state, 1000),
		"with a NUL":         state + "\x00",
		"zero ids":           "sig_00000000000000000000000000000000.ten_00000000000000000000000000000000.x",
		"zero tenant":        parts[0] + ".ten_00000000000000000000000000000000." + parts[2],
		"another's attempt":  h.begin(t, h.two, theirs.ID)[:36] + state[36:],
		"the secret changed": parts[0] + "." + parts[1] + "." + secret.Mint("").Reveal(),
	} {
		_, err := h.signIns.Take(t.Context(), forged)
		require.ErrorIs(t, err, app.ErrSignIn, name)
	}
	// A forged secret burns the attempt: guessing gets one try.
	_, err := h.signIns.Take(t.Context(), state)
	require.ErrorIs(t, err, app.ErrSignIn)
	// An attempt with another tenant's issuer cannot begin.
	err = h.signIns.Begin(t.Context(), h.one.tenant, theirs.ID, func(string) ([]byte, error) { return nil, nil }, "/")
	require.Equal(t, fault.KindInvalid, fault.KindOf(err))
	boom := errors.New("no randomness")
	require.ErrorIs(t, h.signIns.Begin(t.Context(), h.one.tenant, issuer.ID, func(string) ([]byte, error) { return nil, boom }, "/"), boom)
}

func TestAStateExpiresAndItsIssuerMayRetire(t *testing.T) {
	t.Parallel()
	h := build(t)
	issuer := h.issuer(t, h.one)
	state := h.begin(t, h.one, issuer.ID)
	h.clock.add(10 * time.Minute)
	_, err := h.signIns.Take(t.Context(), state)
	require.ErrorIs(t, err, app.ErrSignIn)
	h.clock.add(time.Hour)
	state = h.begin(t, h.one, issuer.ID)
	require.EqualValues(t, 1, h.number(t, `select count(*) from sign_in`), "old attempts are forgotten")
	require.NoError(t, h.signIns.SetIssuer(t.Context(), h.one.who, app.Issuer{Name: "new", URL: "https://new.test", ClientID: "x", Secret: secret.NewText("s")}, "moved"))
	_, err = h.signIns.Take(t.Context(), state)
	require.ErrorIs(t, err, app.ErrSignIn, "an issuer that is no longer trusted completes nothing")
}

func (h *house) claims() app.Claims {
	return app.Claims{Issuer: ada().Issuer, Subject: ada().Subject, SignedInAt: h.clock.now(), Raw: "id-token"}
}

// signedIn admits Ada and opens a session for her.
func (h *house) signedIn(t *testing.T) (id.Member, secret.Text) {
	t.Helper()
	member, err := h.members.Add(t.Context(), h.one.who, ada(), "fixture")
	require.NoError(t, err)
	cookie, err := h.signIns.Accept(t.Context(), h.one.tenant, h.claims())
	require.NoError(t, err)
	return member, cookie
}

func TestAnAcceptedIdentityHasASessionAndARecord(t *testing.T) {
	t.Parallel()
	h := build(t)
	member, cookie := h.signedIn(t)
	who, err := h.signIns.BySession(t.Context(), cookie)
	require.NoError(t, err)
	require.Equal(t, app.ActorPerson, who.Kind)
	require.Equal(t, member, who.Member)
	require.Equal(t, member.String(), who.ID())
	require.Equal(t, "Ada Lovelace", who.Name)
	require.Equal(t, []app.Grant{{Role: app.RoleFinanceAdmin}}, who.Grants)
	require.NoError(t, h.access.Check(who, "finance", "approve"))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "sign_in.accepted"))
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant))
	require.NotContains(t, h.text(t, `select string_agg(r::text, '') from session r`), cookie.Reveal()[len(cookie.Reveal())-20:])
	require.NoError(t, h.signIns.End(t.Context(), who))
	require.EqualValues(t, 1, h.records(t, h.one.tenant, "session.ended"))
	_, err = h.signIns.BySession(t.Context(), cookie)
	require.ErrorIs(t, err, app.ErrSession)
}

// TestARefusedIdentityIsRecorded tries whoever may not come in: the refusal itself is
// committed, and no session is.
func TestARefusedIdentityIsRecorded(t *testing.T) {
	t.Parallel()
	for name, admit := range map[string]func(*house, *testing.T){
		"unknown": func(*house, *testing.T) {},
		"of another tenant": func(h *house, t *testing.T) {
			t.Helper()
			_, err := h.members.Add(t.Context(), h.two.who, ada(), "x")
			require.NoError(t, err)
		},
		"suspended": func(h *house, t *testing.T) {
			t.Helper()
			_, err := h.members.Add(t.Context(), h.one.who, ada(), "x")
			require.NoError(t, err)
			h.exec(t, `update member set suspended_at = now()`)
		},
		"a service account": func(h *house, t *testing.T) {
			t.Helper()
			want := ada()
			want.Service, want.Role = true, app.RoleServiceAccount
			_, err := h.members.Add(t.Context(), h.one.who, want, "x")
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			admit(h, t)
			h.exec(t, `delete from river.river_job`)
			cookie, err := h.signIns.Accept(t.Context(), h.one.tenant, h.claims())
			require.ErrorIs(t, err, app.ErrNotMember)
			require.True(t, cookie.IsZero())
			require.EqualValues(t, 1, h.records(t, h.one.tenant, "sign_in.refused"))
			require.EqualValues(t, 1, h.jobs(t, "sequence_audit", h.one.tenant))
			require.Zero(t, h.records(t, h.two.tenant, "sign_in.refused"))
			require.Zero(t, h.number(t, `select count(*) from session`))
		})
	}
}

func TestASessionEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*house, *testing.T, id.Member, secret.Text){
		"idle": func(h *house, _ *testing.T, _ id.Member, _ secret.Text) { h.clock.add(time.Hour) },
		"after eight hours, however busy": func(h *house, t *testing.T, _ id.Member, cookie secret.Text) {
			t.Helper()
			for range 15 {
				h.clock.add(31 * time.Minute)
				_, err := h.signIns.BySession(t.Context(), cookie)
				require.NoError(t, err)
			}
			h.clock.add(16 * time.Minute)
		},
		"suspended": func(h *house, t *testing.T, m id.Member, _ secret.Text) {
			t.Helper()
			h.exec(t, `update member set suspended_at = now() where member_id = $1`, m)
		},
		"revoked": func(h *house, t *testing.T, _ id.Member, _ secret.Text) {
			t.Helper()
			h.exec(t, `update session set revoked_at = now()`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			member, cookie := h.signedIn(t)
			_, err := h.signIns.BySession(t.Context(), cookie)
			require.NoError(t, err)
			end(h, t, member, cookie)
			_, err = h.signIns.BySession(t.Context(), cookie)
			require.ErrorIs(t, err, app.ErrSession)
			require.Equal(t, app.ErrSession.Error(), err.Error())
		})
	}
}

func TestASeenSessionStays(t *testing.T) {
	t.Parallel()
	h := build(t)
	_, cookie := h.signedIn(t)
	h.clock.add(59 * time.Minute)
	_, err := h.signIns.BySession(t.Context(), cookie)
	require.NoError(t, err)
	h.clock.add(59 * time.Minute)
	_, err = h.signIns.BySession(t.Context(), cookie)
	require.NoError(t, err)
}

func TestACookieThatIsNotTheOneGivenOutIsRefused(t *testing.T) {
	t.Parallel()
	h := build(t)
	_, cookie := h.signedIn(t)
	parts := strings.Split(cookie.Reveal(), ".")
	for _, forged := range []string{
		"", "x", parts[0], parts[0] + "." + parts[1], parts[0] + "." + parts[1] + "." + secret.Mint("").Reveal(),
		h.two.tenant.String() + "." + parts[1] + "." + parts[2], parts[0] + "." + id.NewSession(founded()).String() + "." + parts[2],
		"ten_00000000000000000000000000000000." + parts[1] + "." + parts[2], cookie.Reveal() + "x", cookie.Reveal() + "\x00",
	} {
		_, err := h.signIns.BySession(t.Context(), secret.NewText(forged))
		require.ErrorIs(t, err, app.ErrSession, "%q", forged)
	}
	_, err := h.signIns.BySession(t.Context(), cookie)
	require.NoError(t, err)
}

package app_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/secret"
	"tollbook/simulator"
)

func TestAProfileChangesWithItsRecordAndOnlyThere(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.member(t, h.one, app.RoleTenantOwner, "")
	before, slug, err := h.tenants.Profile(t.Context(), owner)
	require.NoError(t, err)
	require.Equal(t, "one", slug)
	require.Equal(t, app.Profile{Name: "Company one", TimeZone: "UTC", FiscalMonth: time.January}, before)

	first := app.Profile{Name: "One Limited", TimeZone: "Asia/Kolkata", FiscalMonth: time.April}
	require.NoError(t, h.settings.SetProfile(t.Context(), owner, first, "a new name"))
	second := app.Profile{Name: "One Limited", TimeZone: "Asia/Kolkata", FiscalMonth: time.July}
	require.NoError(t, h.settings.SetProfile(t.Context(), owner, second, "a new calendar"))
	now, _, err := h.tenants.Profile(t.Context(), owner)
	require.NoError(t, err)
	require.Equal(t, second, now)
	require.Equal(t, "Asia/Kolkata", now.Location().String())
	require.Equal(t, time.July, now.Fiscal().First)
	_, name, err := h.tenants.BySlug(t.Context(), "one")
	require.NoError(t, err)
	require.Equal(t, "One Limited", name)

	view, err := h.settings.Show(t.Context(), owner)
	require.NoError(t, err)
	require.Len(t, view.Steps, 2)
	latest, earliest := view.Steps[0], view.Steps[1]
	require.Equal(t, []any{first, second, "a new calendar"}, []any{*latest.Before, *latest.After, latest.Reason})
	require.Equal(t, []any{before, first, "a new name"}, []any{*earliest.Before, *earliest.After, earliest.Reason})
	require.Greater(t, latest.Number, earliest.Number)
	require.Contains(t, latest.By.Name, "Member tenant_owner")
	require.EqualValues(t, 2, h.number(t, `select count(*) from change where kind = 'tenant_profile' and tenant_id = $1`, h.one.tenant))
	require.EqualValues(t, 1, h.number(t, `select count(*) from tenant_profile a join tenant_profile b on a.effective_to = b.effective_from and b.effective_to is null`))

	other, _, err := h.tenants.Profile(t.Context(), h.two.who)
	require.NoError(t, err)
	require.Equal(t, "Company two", other.Name)
	view, err = h.settings.Show(t.Context(), h.two.who)
	require.NoError(t, err)
	require.Empty(t, view.Steps)
	require.Nil(t, view.Upstream)
}

func TestAProfileIsRefusedWholly(t *testing.T) {
	t.Parallel()
	h := build(t)
	owner := h.member(t, h.one, app.RoleTenantOwner, "")
	fine := app.Profile{Name: "One", TimeZone: "Europe/Berlin", FiscalMonth: time.May}
	set := func(who app.Actor, p app.Profile, reason string) error {
		return h.settings.SetProfile(t.Context(), who, p, reason)
	}
	before := h.contents(t)
	for _, zone := range []string{
		"", "Local", "local", "Mars/Base", "../etc/passwd", "/etc/localtime", "Europe/../UTC", "Europe\\Berlin", "UTC ", "a\x00b", "-05:00", strings.Repeat("a", 65), "a/b/c/d",
	} {
		p := fine
		p.TimeZone = zone
		require.Equal(t, "time_zone_unknown", fault.From(set(owner, p, "x")).Code, "%q", zone)
	}
	for _, name := range []string{"", "  ", "a\x00b", "a\xffb", strings.Repeat("n", 201)} {
		p := fine
		p.Name = name
		require.Equal(t, "name_length", fault.From(set(owner, p, "x")).Code, "%q", name)
	}
	for _, month := range []time.Month{-1, 0, 13} {
		p := fine
		p.FiscalMonth = month
		require.Equal(t, "fiscal_month_unknown", fault.From(set(owner, p, "x")).Code, month)
	}
	require.Equal(t, "reason_missing", fault.From(set(owner, fine, " ")).Code)
	require.Equal(t, "profile_same", fault.From(set(owner, app.Profile{Name: "Company one", TimeZone: "UTC", FiscalMonth: time.January}, "x")).Code)
	require.Equal(t, before, h.contents(t), "refused: nothing is written, no number is used up")
	for _, role := range []app.Role{app.RoleFinanceAdmin, app.RoleController, app.RoleEngineeringAdmin, app.RoleAuditor, app.RoleDeveloper} {
		require.ErrorIs(t, set(h.member(t, h.one, role, ""), fine, "x"), app.ErrNotAllowed, role)
	}
	for _, role := range []app.Role{app.RoleAnalyst, app.RoleDeveloper} {
		_, err := h.settings.Show(t.Context(), h.member(t, h.one, role, ""))
		require.ErrorIs(t, err, app.ErrNotAllowed, role)
	}
}

func TestACredentialIsReplacedAndTheAddressStays(t *testing.T) {
	t.Parallel()
	h := build(t)
	rotate := func(who app.Actor, credential string) error {
		return h.carries(t, who, app.AskUpstream("", secret.NewText(credential), "yearly"))
	}
	require.Equal(t, "upstream_missing", fault.From(rotate(h.one.who, "sk-1")).Code)
	require.NoError(t, h.tenants.SetUpstream(t.Context(), h.one.who, "https://api.anthropic.com", secret.NewText("sk-1"), "first"))
	admin := h.member(t, h.one, app.RoleEngineeringAdmin, "")
	require.NoError(t, rotate(admin, "sk-2"))
	require.Equal(t, "https://api.anthropic.com sk-2", h.load(t, h.one.tenant).Tenants["one"].Upstream.String()+" "+h.load(t, h.one.tenant).Tenants["one"].Credential.Reveal())
	view, err := h.settings.Show(t.Context(), admin)
	require.NoError(t, err)
	require.Equal(t, "The command line", view.Upstream.By.Name, "who set the address, not who replaced the credential")
	require.True(t, view.Upstream.Stored.After(view.Upstream.Since))
	require.True(t, view.Steps[0].Rotated)
	require.False(t, view.Steps[1].Rotated)
	before := h.contents(t)
	for credential, code := range map[string]string{
		"": "upstream_credential", " ": "upstream_credential", "a b": "upstream_credential", "a\nX-Other: b": "upstream_credential", "é": "upstream_credential",
		strings.Repeat("k", 501): "upstream_credential", "sk-2": "upstream_same", h.one.key.Secret.Reveal(): "upstream_loop", " " + h.one.key.Secret.Reveal(): "upstream_loop",
	} {
		require.Equal(t, code, fault.From(rotate(admin, credential)).Code, "%q", credential)
	}
	require.ErrorIs(t, rotate(h.member(t, h.two, app.RoleFinanceAdmin, ""), "sk-3"), app.ErrNotAllowed)
	require.Equal(t, before["public.upstream"], h.contents(t)["public.upstream"])
}

// TestAnUpstreamIsAskedOnce lets real servers answer: the provider's stand-in, one that
// wants another credential, one that is busy, one that is something else, and nobody.
func TestAnUpstreamIsAskedOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	sim, err := simulator.Open(simulator.Config{Dir: t.TempDir(), Seed: 1})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sim.Close() })
	count := 0
	serve := func(handler http.HandlerFunc) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { count++; handler(w, r) }))
		t.Cleanup(server.Close)
		return server.URL
	}
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = w.Write([]byte(body)) }
	}
	elsewhere := serve(says(200, `{"data":[{"id":"stolen"}]}`))
	untrusted := httptest.NewUnstartedServer(says(200, `{"data":[{"id":"a"}]}`))
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // it will not like being distrusted
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct {
		address, outcome, detail string
		status                   int
	}{
		"the stand-in":         {serve(sim.Handler().ServeHTTP), app.UpstreamWorks, "", 200},
		"another credential":   {serve(says(401, `{"type":"error","error":{"type":"authentication_error","message":"m"}}`)), app.UpstreamRefused, "", 401},
		"a forbidden one":      {serve(says(403, `{"type":"error","error":{"type":"permission_error"}}`)), app.UpstreamRefused, "", 403},
		"overloaded":           {serve(says(529, `{"type":"error","error":{"type":"overloaded_error"}}`)), app.UpstreamFailing, "overloaded_error", 529},
		"a word not its own":   {serve(says(500, `{"type":"error","error":{"type":"<b>secret</b>"}}`)), app.UpstreamFailing, "", 500},
		"a web page":           {serve(says(200, "<html></html>")), app.UpstreamForeign, "", 200},
		"another API":          {serve(says(200, `{"object":"list","data":[]}`)), app.UpstreamForeign, "", 200},
		"nothing there":        {serve(says(404, "not found")), app.UpstreamForeign, "", 404},
		"a proxy that forbids": {serve(says(403, "no")), app.UpstreamForeign, "", 403},
		"very much":            {serve(says(200, `{"data":[{"id":"`+strings.Repeat("x", 2<<20)+`"}]}`)), app.UpstreamForeign, "", 200},
		"a way elsewhere": {serve(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
		}), app.UpstreamForeign, "", 307},
		"nobody":         {gone.URL, app.UpstreamUnreached, app.UnreachedConnection, 0},
		"no certificate": {untrusted.URL, app.UpstreamUnreached, app.UnreachedCertificate, 0},
		"TLS where there is none": {
			strings.Replace(serve(says(200, "")), "http:", "https:", 1), app.UpstreamUnreached, app.UnreachedCertificate, 0,
		},
	} {
		require.NoError(t, h.tenants.SetUpstream(t.Context(), h.one.who, c.address, secret.NewText("sk-ant-one"), name))
		count = 0
		got, err := h.settings.TestUpstream(t.Context(), h.one.who)
		require.NoError(t, err, name)
		require.Equal(t, []any{c.outcome, c.detail, c.status}, []any{got.Outcome, got.Detail, got.HTTPStatus}, name)
		require.LessOrEqual(t, count, 1, "%s: asked once, and no redirect followed", name)
		view, err := h.settings.Show(t.Context(), h.one.who)
		require.NoError(t, err)
		require.Equal(t, c.outcome, view.Upstream.Tested.Outcome, name)
		require.Equal(t, "The command line", view.Upstream.Tested.By.Name)
		h.clock.add(time.Minute)
	}
	require.EqualValues(t, 14, h.records(t, h.one.tenant, "upstream.tested"))
	require.Zero(t, h.number(t, `select count(*) from audit_record where position('sk-ant'::bytea in canonical) > 0 or position('stolen'::bytea in canonical) > 0`))
	require.Zero(t, h.records(t, h.two.tenant, "upstream.tested"))
}

func TestTestsOfUpstreamsAreBounded(t *testing.T) {
	t.Parallel()
	h := build(t)
	_, err := h.settings.TestUpstream(t.Context(), h.one.who)
	require.Equal(t, fault.KindConflict, fault.KindOf(err), "nothing to test")
	require.NoError(t, h.tenants.SetUpstream(t.Context(), h.one.who, "https://provider.test", secret.NewText("sk"), "x"))
	require.NoError(t, h.tenants.SetUpstream(t.Context(), h.two.who, "https://provider.test", secret.NewText("sk"), "x"))
	_, err = h.settings.TestUpstream(t.Context(), h.member(t, h.one, app.RoleFinanceAdmin, ""))
	require.ErrorIs(t, err, app.ErrNotAllowed)

	var within time.Duration
	asks := 0
	bounded := app.NewSettings(h.clone.DB, h.changes, h.members, h.ring, func(r *http.Request) (*http.Response, error) {
		asks++
		until, ok := r.Context().Deadline()
		require.True(t, ok)
		within = time.Until(until)
		return nil, errors.Join(errors.New("waited"), context.DeadlineExceeded)
	})
	for range 10 {
		got, err := bounded.TestUpstream(t.Context(), h.one.who)
		require.NoError(t, err)
		require.Equal(t, app.UnreachedTimeout, got.Detail)
		require.LessOrEqual(t, within, 10*time.Second)
	}
	_, err = bounded.TestUpstream(t.Context(), h.one.who)
	require.Equal(t, fault.KindLimited, fault.KindOf(err))
	require.Equal(t, 10, asks)
	_, err = bounded.TestUpstream(t.Context(), h.two.who)
	require.NoError(t, err, "another company's tests are its own")
	h.clock.add(time.Minute)
	_, err = bounded.TestUpstream(t.Context(), h.one.who)
	require.NoError(t, err)
}

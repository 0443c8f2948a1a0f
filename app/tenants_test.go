package app_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/pricing"
	"tollbook/app/secret"
	"tollbook/db"
)

func TestATenantBeginsWithPricesSuspenseAndRecords(t *testing.T) {
	t.Parallel()
	h := empty(t)
	tenant, err := h.tenants.Create(t.Context(), "acme", "Acme GmbH", founded())
	require.NoError(t, err)
	require.Equal(t, "tenant,prices,node", h.text(t, `select string_agg(kind, ',' order by number) from change where tenant_id = $1`, tenant))
	require.EqualValues(t, 9, h.number(t, `select count(*) from change_move where tenant_id = $1`, tenant))
	require.EqualValues(t, 3, h.records(t, tenant, "change.applied"))
	require.EqualValues(t, 1, h.jobs(t, "sequence_audit", tenant))
	require.Equal(t, string(pricing.VendorList()), h.text(t, `select convert_from(document, 'UTF8') from price_version where tenant_id = $1 and version = 1`, tenant))
	require.EqualValues(t, 1, h.number(t, `select count(*) from price_version where tenant_id = $1`, tenant))
	require.Equal(t, "SUSPENSE cost_center expense", h.text(t, `select code || ' ' || kind || ' ' || capitalization from node_version where tenant_id = $1`, tenant))
	require.EqualValues(t, 1, h.number(t, `select count(*) from placement where tenant_id = $1 and path = array['SUSPENSE']`, tenant))

	found, name, err := h.tenants.BySlug(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, tenant, found)
	require.Equal(t, "Acme GmbH", name)
	name, slug, err := h.tenants.Name(t.Context(), app.System(tenant))
	require.NoError(t, err)
	require.Equal(t, "Acme GmbH acme", name+" "+slug)
	list, err := h.tenants.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func TestASlugIsTakenOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	before := h.contents(t)
	_, err := h.tenants.Create(t.Context(), "one", "Another", founded())
	require.Equal(t, fault.KindConflict, fault.KindOf(err))
	require.Equal(t, "slug_taken", fault.From(err).Code)
	require.Equal(t, before, h.contents(t))
}

func TestASlugAndANameHaveAForm(t *testing.T) {
	t.Parallel()
	h := empty(t)
	for _, slug := range []string{"", "a", "A1", "1a", "-a", "a b", "a/b", "a..b", "ä1", strings.Repeat("a", 41), "a\x00b", "ab\n"} {
		_, err := h.tenants.Create(t.Context(), slug, "Name", founded())
		require.Equal(t, "slug_syntax", fault.From(err).Code, "%q", slug)
		_, _, err = h.tenants.BySlug(t.Context(), slug)
		require.ErrorIs(t, err, db.ErrTenantAbsent, "%q", slug)
	}
	for _, name := range []string{"", strings.Repeat("n", 201), "a\x00b", "a\xffb"} {
		_, err := h.tenants.Create(t.Context(), "acme", name, founded())
		require.Equal(t, fault.KindInvalid, fault.KindOf(err), "%q", name)
	}
	require.Zero(t, h.number(t, `select count(*) from tenant`))
	_, _, err := h.tenants.Name(t.Context(), app.System(id.NewTenant(founded())))
	require.ErrorIs(t, err, db.ErrTenantAbsent)
}

func TestAnUpstreamIsSetOnceAndTheOldOneEnds(t *testing.T) {
	t.Parallel()
	h := build(t)
	set := func(who app.Actor, url, credential string) error {
		return h.tenants.SetUpstream(t.Context(), who, url, secret.NewText(credential), "upstream")
	}
	require.NoError(t, set(h.one.who, "https://api.anthropic.com", "sk-1"))
	before := h.contents(t)
	require.NoError(t, set(h.one.who, "https://api.anthropic.com", "sk-1"))
	require.Equal(t, before, h.contents(t), "what is set already changes nothing")
	require.NoError(t, set(h.one.who, "https://api.anthropic.com", "sk-2"))
	require.Equal(t, "1 1", h.text(t, `select count(*) filter (where effective_to is null) || ' ' || count(*) filter (where closed_at is not null) from upstream`))
	require.EqualValues(t, 1, h.number(t, `select count(*) from upstream a join upstream b on a.effective_to = b.effective_from and b.effective_to is null`))
	require.Zero(t, h.number(t, `select count(*) from upstream where position('sk-'::bytea in credential_sealed) > 0`))
	require.Zero(t, h.number(t, `select count(*) from audit_record where position('sk-'::bytea in canonical) > 0`))
	for _, url := range []string{"", "api.anthropic.com", "ftp://x", "https://", "https://u:p@x", "https://x?y=1", "https://x#y", "https://x/\x7f", "https://" + strings.Repeat("x", 2000)} {
		require.Equal(t, "upstream_url", fault.From(set(h.one.who, url, "sk")).Code, "%q", url)
	}
	// Whoever may not set it learns nothing from trying what is set.
	developer := h.member(t, h.one, app.RoleDeveloper, "")
	require.ErrorIs(t, set(developer, "https://api.anthropic.com", "sk-2"), app.ErrNotAllowed)
	require.ErrorIs(t, set(developer, "https://api.anthropic.com", "sk-1"), app.ErrNotAllowed)
}

func TestPriceVersionsAreNumberedPerTenant(t *testing.T) {
	t.Parallel()
	h := build(t)
	require.NoError(t, h.clone.InTenant(t.Context(), h.one.tenant, func(tx *db.Tx) error {
		var change id.Change
		require.NoError(t, tx.SQL().QueryRow(`select change_id from change order by number limit 1`).Scan(&change))
		version, err := tx.AddPriceVersion(pricing.VendorList(), [32]byte{1}, change)
		require.Equal(t, 2, version)
		require.NoError(t, err)
		return tx.AppendAudit(auditlog.Record{Action: "test.noted", Actor: "test"})
	}))
	require.NoError(t, h.clone.InTenant(t.Context(), h.two.tenant, func(tx *db.Tx) error {
		version, err := tx.PriceVersion()
		require.Equal(t, 1, version)
		return err
	}))
}

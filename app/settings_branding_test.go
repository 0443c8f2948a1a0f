package app_test

import (
	"bytes"
	"encoding/hex"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// mark is a picture of one color.
func mark(t *testing.T, c color.Color) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 64, 32))
	for x := range 64 {
		for y := range 32 {
			m.Set(x, y, c)
		}
	}
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, m))
	return out.Bytes()
}

func TestWhatPapersCarryChangesWithItsRecordAndOnlyThere(t *testing.T) {
	t.Parallel()
	h := build(t)
	finance := h.member(t, h.one, app.RoleFinanceAdmin, "")
	here, err := h.tenants.Here(t.Context(), finance)
	require.NoError(t, err)
	require.Equal(t, app.Here{Slug: "one", Profile: app.Profile{Name: "Company one", TimeZone: "UTC", FiscalMonth: 1}}, here)

	red, blue := mark(t, color.NRGBA{R: 200, A: 255}), mark(t, color.NRGBA{B: 200, A: 255})
	require.NoError(t, h.settings.SetBranding(t.Context(), finance, app.BrandingAsk{LegalName: "One Inc.", Accent: "#1D4ED8", Confidentiality: "Confidential", Logo: red}, "our papers"))
	here, err = h.tenants.Here(t.Context(), finance)
	require.NoError(t, err)
	first := here.Branding
	require.Equal(t, []any{"One Inc.", "#1d4ed8", "Confidential", true}, []any{first.LegalName, string(first.Accent), first.Confidentiality, first.HasLogo})
	kind, content, err := h.settings.Logo(t.Context(), finance, first.Version)
	require.NoError(t, err)
	require.Equal(t, "image/png", kind)
	require.NotEmpty(t, content)

	require.NoError(t, h.settings.SetBranding(t.Context(), finance, app.BrandingAsk{LegalName: "One Inc.", Accent: "#1d4ed8", Logo: blue}, "a new logo"))
	require.NoError(t, h.settings.SetBranding(t.Context(), finance, app.BrandingAsk{LegalName: "One Inc."}, "ink"))
	owner := h.member(t, h.one, app.RoleTenantOwner, "")
	require.NoError(t, h.settings.SetBranding(t.Context(), owner, app.BrandingAsk{LegalName: "One Inc.", NoLogo: true}, "no logo"))
	view, err := h.settings.Show(t.Context(), owner)
	require.NoError(t, err)
	require.Len(t, view.Steps, 4)
	require.Equal(t, []string{"no logo", "ink", "a new logo", "our papers"}, []string{view.Steps[0].Reason, view.Steps[1].Reason, view.Steps[2].Reason, view.Steps[3].Reason})
	require.Nil(t, view.Branding.Logo)
	require.NotNil(t, view.Steps[1].Branding.Logo, "the logo in force stays unless it is taken away")
	require.Equal(t, view.Steps[2].Branding.Logo, view.Steps[1].Branding.Logo)
	require.NotEqual(t, view.Steps[3].Branding.Logo, view.Steps[2].Branding.Logo)
	require.Equal(t, &app.Branding{}, view.Steps[3].BrandingBefore)
	require.EqualValues(t, 2, h.number(t, `select count(*) from logo where tenant_id = $1`, h.one.tenant))
	_, again, err := h.settings.Logo(t.Context(), finance, first.Version)
	require.NoError(t, err)
	require.Equal(t, content, again, "an earlier version prints as it did")
	_, _, err = h.settings.Logo(t.Context(), finance, view.Branding.Version)
	require.ErrorIs(t, err, app.ErrLogoAbsent)

	payload := h.text(t, `select convert_from(payload, 'UTF8') from change where kind = 'branding' and number = $1 and tenant_id = $2`, view.Steps[3].Number, h.one.tenant)
	require.Contains(t, payload, view.Steps[3].Branding.Logo.SHA256)
	require.NotContains(t, payload, hex.EncodeToString(content[:16]))
	require.EqualValues(t, 4, h.number(t, `select count(*) from audit_record where action = 'change.applied' and convert_from(canonical, 'UTF8') like '%"kind":"branding"%'`))

	two := h.member(t, h.two, app.RoleFinanceAdmin, "")
	_, _, err = h.settings.Logo(t.Context(), two, first.Version)
	require.ErrorIs(t, err, app.ErrLogoAbsent)
	_, err = h.settings.Accent(t.Context(), two, first.Version)
	require.ErrorIs(t, err, app.ErrLogoAbsent)
	there, err := h.tenants.Here(t.Context(), two)
	require.NoError(t, err)
	require.Equal(t, app.Branding{}, there.Branding)
	accent, err := h.settings.Accent(t.Context(), finance, first.Version)
	require.NoError(t, err)
	require.Equal(t, "#1d4ed8", string(accent))
}

func TestWhatPapersCarryIsRefusedWholly(t *testing.T) {
	t.Parallel()
	h := build(t)
	finance := h.member(t, h.one, app.RoleFinanceAdmin, "")
	fine := app.BrandingAsk{LegalName: "One Inc.", Logo: mark(t, color.Black)}
	for name, c := range map[string]struct {
		change func(*app.BrandingAsk)
		field  string
	}{
		"a name too long":     {func(a *app.BrandingAsk) { a.LegalName = strings.Repeat("x", 201) }, "legal_name"},
		"a name of two lines": {func(a *app.BrandingAsk) { a.LegalName = "One\nTwo" }, "legal_name"},
		"a line too long":     {func(a *app.BrandingAsk) { a.Confidentiality = strings.Repeat("x", 201) }, "confidentiality"},
		"a pale accent":       {func(a *app.BrandingAsk) { a.Accent = "#cccccc" }, "accent"},
		"no color":            {func(a *app.BrandingAsk) { a.Accent = "blue" }, "accent"},
		"no picture":          {func(a *app.BrandingAsk) { a.Logo = []byte("<svg/>") }, "logo"},
		"an empty file":       {func(a *app.BrandingAsk) { a.Logo = []byte{} }, "logo"},
		"both":                {func(a *app.BrandingAsk) { a.NoLogo = true }, "logo"},
		"nothing new":         {func(a *app.BrandingAsk) { *a = app.BrandingAsk{} }, "legal_name"},
	} {
		ask := fine
		c.change(&ask)
		err := h.settings.SetBranding(t.Context(), finance, ask, "why")
		require.Equal(t, fault.KindInvalid, fault.KindOf(err), name)
		require.Equal(t, c.field, fault.From(err).Field, name)
	}
	require.Equal(t, "reason", fault.From(h.settings.SetBranding(t.Context(), finance, fine, " ")).Field)
	for _, role := range []app.Role{app.RoleAnalyst, app.RoleController, app.RoleEngineeringAdmin, app.RoleDeveloper, app.RoleAuditor} {
		require.ErrorIs(t, h.settings.SetBranding(t.Context(), h.member(t, h.one, role, ""), fine, "why"), app.ErrNotAllowed, role)
	}
	require.Zero(t, h.number(t, `select count(*) from branding`)+h.number(t, `select count(*) from logo`)+h.number(t, `select count(*) from change where kind = 'branding'`))
	_, _, err := h.settings.Logo(t.Context(), finance, id.NewVersion(founded()))
	require.ErrorIs(t, err, app.ErrLogoAbsent)
}

package web_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app"
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

// brand sends the form of what is printed; a nil logo is none chosen.
func (w *world) brand(t *testing.T, cookie *http.Cookie, fields map[string]string, logo []byte) answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range fields {
		require.NoError(t, form.WriteField(name, value))
	}
	if logo != nil {
		part, err := form.CreateFormFile("logo", "logo.png")
		require.NoError(t, err)
		_, err = part.Write(logo)
		require.NoError(t, err)
	}
	require.NoError(t, form.Close())
	r := request(http.MethodPost, "/settings/branding", body.String())
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.AddCookie(cookie)
	return w.do(r)
}

func printedLogo(body string) string {
	return regexp.MustCompile(`/branding/[^"]*/logo`).FindString(body)
}

func TestWhatIsPrintedIsChangedOnAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cookie := w.session(t, w.one, app.RoleFinanceAdmin)
	was := printedLogo(w.see(t, w.one, app.RoleFinanceAdmin, "/").body)
	got := w.brand(t, cookie, map[string]string{
		"legal_name": "Acme Rockets & Sons <Inc.>", "accent": "#A84A00", "confidentiality": "Not for resale", "reason": "new papers",
	}, append(mark(t, color.NRGBA{G: 120, A: 255}), "<script>alert(1)</script>"...))
	require.Equal(t, 303, got.status, got.body)
	page := w.see(t, w.one, app.RoleDeveloper, "/connect")
	for _, text := range []string{`<p class="legal">Acme Rockets &amp; Sons &lt;Inc.&gt;</p>`, `<div class="paper-foot"><p>Not for resale</p></div>`, `/print.css"`} {
		require.Contains(t, page.body, text, "who has no right to settings prints as well")
	}
	wholesome(t, page)
	logo := printedLogo(page.body)
	require.NotEqual(t, was, logo)
	picture := w.see(t, w.one, app.RoleDeveloper, logo)
	require.Equal(t, 200, picture.status)
	require.Equal(t, "image/png", picture.header.Get("Content-Type"))
	require.Equal(t, "nosniff", picture.header.Get("X-Content-Type-Options"))
	require.Contains(t, picture.header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, picture.header.Get("Content-Security-Policy"), "sandbox")
	require.Contains(t, picture.header.Get("Cache-Control"), "private")
	require.NotContains(t, picture.body, "script")
	style := w.see(t, w.one, app.RoleDeveloper, strings.TrimSuffix(logo, "/logo")+"/print.css")
	require.Equal(t, "text/css; charset=utf-8", style.header.Get("Content-Type"))
	require.Equal(t, ":root { --paper-accent: #a84a00; }\n", style.body)
	require.Equal(t, 200, w.see(t, w.one, app.RoleAuditor, was).status, "an earlier version is there")

	settings := w.see(t, w.one, app.RoleAuditor, "/settings").body
	for _, text := range []string{"PNG of 64 × 32 pixels", "On paper: Legal name Acme Rockets &amp; Sons &lt;Inc.&gt;, before: acme Incorporated; Accent #a84a00, before: #1d4ed8", "new papers", "on paper", "Not for resale"} {
		require.Contains(t, settings, text)
	}
	require.NotContains(t, settings, `action="/settings/branding"`)
	require.Contains(t, w.see(t, w.one, app.RoleAuditor, "/settings.csv").body, "new papers")

	require.Equal(t, 303, w.brand(t, cookie, map[string]string{"no_logo": "1", "reason": "plain"}, nil).status)
	plain := w.see(t, w.one, app.RoleDeveloper, "/connect").body
	require.Contains(t, plain, `<p class="legal">Acme Rockets</p>`, "without a legal name, the company's")
	for _, text := range []string{"/branding/", "paper-foot"} {
		require.NotContains(t, plain, text)
	}
}

// TestNobodySeesAnothersPapers asks for the other company's logo and accent, and looks for
// them on every printed page.
func TestNobodySeesAnothersPapers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ours, theirs := printedLogo(w.see(t, w.one, app.RoleAnalyst, "/").body), printedLogo(w.see(t, w.two, app.RoleAnalyst, "/").body)
	require.NotEmpty(t, ours)
	require.NotEqual(t, ours, theirs)
	one, two := w.see(t, w.one, app.RoleAnalyst, ours), w.see(t, w.two, app.RoleAnalyst, theirs)
	require.Equal(t, []int{200, 200}, []int{one.status, two.status})
	require.NotEqual(t, one.body, two.body)
	nobodys := regexp.MustCompile(`[0-9a-f]{12}/`).ReplaceAllString(theirs, "0123456789ab/")
	for _, role := range app.Roles() {
		if role == app.RoleServiceAccount {
			continue
		}
		for _, path := range []string{theirs, strings.TrimSuffix(theirs, "logo") + "print.css"} {
			got, never := w.see(t, w.one, role, path), w.see(t, w.one, role, strings.Replace(path, strings.TrimSuffix(theirs, "/logo"), strings.TrimSuffix(nobodys, "/logo"), 1))
			require.Equal(t, 404, got.status, path)
			require.Equal(t, 404, never.status, path)
			require.NotContains(t, got.body, "PNG")
		}
	}
	stranger := w.do(request(http.MethodGet, ours, ""))
	require.Equal(t, 303, stranger.status)
	require.Equal(t, 404, w.see(t, w.one, app.RoleAnalyst, "/branding/ver_x/logo").status)
	require.NotContains(t, w.do(request(http.MethodGet, "/sign-in/acme", "")).body, "/branding/")
}

// TestWhatIsPrintedTellsWhatIsWrong sends garbage: the same page, what was typed, the field
// at fault, and nothing kept.
func TestWhatIsPrintedTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cookie := w.session(t, w.one, app.RoleFinanceAdmin)
	before := printedLogo(w.see(t, w.one, app.RoleFinanceAdmin, "/").body)
	bomb := mark(t, color.Black)
	copy(bomb[16:24], []byte{0, 0, 0x40, 0, 0, 0, 0x40, 0}) // says it has 268 million pixels
	noise := bytes.Repeat([]byte("\x89PNG\r\n\x1a\n"), 60_000)
	for name, c := range map[string]struct {
		field, value string
		logo         []byte
		at, must     string
	}{
		"a pale accent":  {"accent", "#ffae66", nil, "accent", "has a contrast of 1.8"},
		"no color":       {"accent", "red;}*{", nil, "accent", "such as #1d4ed8"},
		"a long name":    {"legal_name", strings.Repeat("x", 300), nil, "legal_name", "at most 200 bytes"},
		"a long line":    {"confidentiality", strings.Repeat("x", 300), nil, "confidentiality", "at most 200 bytes"},
		"no reason":      {"reason", "", nil, "branding-reason", "Say why"},
		"a drawing":      {"legal_name", "Typed Inc.", []byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`), "logo", "a PNG or a JPEG"},
		"a bomb":         {"legal_name", "Typed Inc.", bomb, "logo", "a PNG or a JPEG"},
		"too many bytes": {"legal_name", "Typed Inc.", noise, "logo", "at most 256 KiB"},
		"a whole form":   {"legal_name", "Typed Inc.", make([]byte, 5<<20), "logo", "did not arrive whole"},
		"an empty file":  {"legal_name", "Typed Inc.", []byte{}, "logo", "a PNG or a JPEG"},
		"both ways":      {"no_logo", "1", mark(t, color.Black), "logo", "Either send a logo"},
	} {
		fields := map[string]string{"legal_name": "Typed Inc.", "accent": "#1d4ed8", "confidentiality": "Typed line", "reason": "typed reason", c.field: c.value}
		got := w.brand(t, cookie, fields, c.logo)
		require.Equal(t, 422, got.status, "%s: %s", name, got.body)
		for _, text := range []string{`role="alert"`, c.must} {
			require.Contains(t, got.body, text, name)
		}
		require.Regexp(t, `id="`+c.at+`"[^>]*aria-invalid="true"`, got.body, name)
		if name != "a whole form" {
			for field, value := range fields {
				if field != "no_logo" {
					require.Contains(t, got.body, strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(value), "%s: what was typed stays", name)
				}
			}
		}
		wholesome(t, got)
	}
	require.Equal(t, before, printedLogo(w.see(t, w.one, app.RoleFinanceAdmin, "/").body))
	require.Equal(t, 422, w.send(cookie, "/settings/branding", map[string][]string{"accent": {"#ffffff"}, "reason": {"x"}}).status, "a form without a file")
	for _, role := range []app.Role{app.RoleEngineeringAdmin, app.RoleAuditor, app.RoleController, app.RoleDeveloper} {
		require.Equal(t, 403, w.brand(t, w.session(t, w.one, role), map[string]string{"legal_name": "Mine", "reason": "x"}, nil).status, role)
	}
}

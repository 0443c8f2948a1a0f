package web

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"tollbook/app"
	"tollbook/app/branding"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/web/ui"
)

func (w *Web) brandingPages() []Route {
	return []Route{
		w.page(http.MethodPost, "/settings/branding", w.setBranding, "branding", "propose"),
		// Whoever prints a page needs them.
		w.page(http.MethodGet, logoPath, w.showLogo, "", ""),
		w.page(http.MethodGet, "/branding/:id/print.css", w.showAccent, "", ""),
	}
}

const logoPath = "/branding/:id/logo"

// paper is what a printed page carries of the company. The addresses name a version, so
// that what they give never changes.
func (v *visit) paper() ui.Paper { return paperOf(v.branding, v.tenant) }

func paperOf(b app.Branding, name string) ui.Paper {
	p := ui.Paper{LegalName: cmp.Or(b.LegalName, name), Line: b.Confidentiality}
	at := "/branding/" + b.Version.String()
	if b.HasLogo {
		p.Logo = at + "/logo"
	}
	if b.Accent != "" {
		p.Style = at + "/print.css"
	}
	return p
}

// brandingForm is what was filled in, and what was wrong with it; a picture is not kept.
type brandingForm struct {
	trouble
	LegalName, Accent, Confidentiality, Reason string
	NoLogo                                     bool
}

// maxBrandingForm is what a form with a logo takes: more than a logo may have, so that a
// larger one is refused by name and what was typed is kept.
const maxBrandingForm = 4 << 20

var errLogoUpload = fault.Invalid("logo", "logo_upload", "The file did not arrive whole. A logo has at most %d KiB.", branding.MaxUpload>>10)

func (w *Web) setBranding(v *visit) error {
	if !v.may("branding", "propose") {
		return app.ErrNotAllowed
	}
	logo, err := uploaded(v, "logo")
	form := brandingForm{
		LegalName: strings.TrimSpace(v.FormValue("legal_name")), Accent: strings.TrimSpace(v.FormValue("accent")), Confidentiality: strings.TrimSpace(v.FormValue("confidentiality")),
		Reason: v.FormValue("reason"), NoLogo: v.FormValue("no_logo") != "",
	}
	if err == nil {
		ask := app.BrandingAsk{LegalName: form.LegalName, Accent: form.Accent, Confidentiality: form.Confidentiality, Logo: logo, NoLogo: form.NoLogo}
		err = w.areas.Settings.SetBranding(v.Request().Context(), v.who, ask, form.Reason)
	}
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.settingsPage(v, status, settingsForms{branding: &form})
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/settings#branding")
}

// uploaded is a file of a form, one byte more of it than a logo may have at most; nil
// where none was chosen.
func uploaded(v *visit, field string) ([]byte, error) {
	upload, err := v.FormFile(field)
	switch {
	case errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart):
		return nil, nil
	case err != nil:
		return nil, errLogoUpload.Because(err)
	}
	opened, err := upload.Open()
	if err != nil {
		return nil, errLogoUpload.Because(err)
	}
	defer opened.Close()
	content, err := io.ReadAll(io.LimitReader(opened, branding.MaxUpload+1))
	if err != nil {
		return nil, errLogoUpload.Because(err)
	}
	if upload.Filename == "" && len(content) == 0 {
		return nil, nil // a browser's way to send none
	}
	return content, nil
}

// unchanging lets a browser keep what is at an address that names its version.
func unchanging(v *visit) {
	v.Response().Header().Set("Cache-Control", "private, max-age=31536000, immutable")
}

func (w *Web) showLogo(v *visit) error {
	version, err := id.ParseVersion(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	kind, content, err := w.areas.Settings.Logo(v.Request().Context(), v.who, version)
	if err != nil {
		return err
	}
	unchanging(v)
	v.Response().Header().Set("Content-Security-Policy", policy+"; sandbox") // where it is opened by itself
	return v.Blob(http.StatusOK, kind, content)
}

func (w *Web) showAccent(v *visit) error {
	version, err := id.ParseVersion(v.Param("id"))
	if err != nil {
		return errPageAbsent
	}
	accent, err := w.areas.Settings.Accent(v.Request().Context(), v.who, version)
	if err != nil {
		return err
	}
	style := ""
	if accent != "" {
		style = ":root { --paper-accent: " + string(accent) + "; }\n" // six hexadecimal digits: it was parsed, and the table checks it
	}
	unchanging(v)
	return v.Blob(http.StatusOK, "text/css; charset=utf-8", []byte(style))
}

// brandingWords says what a step changed of what papers carry.
func brandingWords(now, was *app.Branding) string {
	if was == nil {
		was = &app.Branding{}
	}
	var parts []string
	add := func(what, now, was string) {
		switch now {
		case was:
		case "":
			parts = append(parts, "No "+lower(what)+before(was))
		default:
			parts = append(parts, what+" "+now+before(was))
		}
	}
	add("Legal name", now.LegalName, was.LegalName)
	add("Accent", string(now.Accent), string(was.Accent))
	add("Confidentiality line", now.Confidentiality, was.Confidentiality)
	add("Logo", logoWords(now.Logo), logoWords(was.Logo))
	return "On paper: " + strings.Join(parts, "; ")
}

// logoWords is a logo by its kind, size and the beginning of its digest.
func logoWords(l *app.LogoView) string {
	if l == nil {
		return ""
	}
	const shown = 12
	return fmt.Sprintf("%s of %d × %d pixels (%s…)", strings.ToUpper(strings.TrimPrefix(l.Type, "image/")), l.Width, l.Height, l.SHA256[:shown])
}

package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/period"
	"tollbook/app/secret"
	"tollbook/web/ui"
)

func (w *Web) settingsPages() []Route {
	return slices.Concat(w.brandingPages(), w.noticePages(), w.retentionPages(), w.offboardingPages(), w.providerPages(), []Route{
		w.page(http.MethodGet, "/settings", w.showSettings, "setting", "read"),
		w.page(http.MethodGet, "/settings.csv", w.exportSettings, "setting", "read"),
		w.page(http.MethodPost, "/settings/profile", w.setProfile, "setting", "propose"),
		w.page(http.MethodPost, "/settings/upstream", w.setUpstream, "upstream", "propose"),
		w.page(http.MethodPost, "/settings/upstream/credential", w.rotateUpstream, "upstream", "propose"),
		w.page(http.MethodPost, "/settings/upstream/test", w.testUpstream, "upstream", "propose"),
	})
}

type settingsView struct {
	Frame       ui.Frame
	Settings    app.SettingsView
	GatewayURL  string
	PublicURL   string
	DoorURL     string
	Links       []link // settings that have pages of their own
	Months      []option
	ThisMonth   string // as the fiscal calendar calls it
	LocalNow    string // empty: the company's zone is UTC
	MayChange   bool
	MayUpstream bool
	MayMembers  bool
	Reach       string // the only addresses requests may go to; empty: any
	MayBrand    bool
	Profile     profileForm
	Branding    brandingForm
	Set         upstreamForm
	Rotate      upstreamForm
	Alert       string // of the test
}

// profileForm is what was filled in, and what was wrong with it.
type profileForm struct {
	trouble
	Name, TimeZone, FiscalMonth, Reason string
}

// upstreamForm is the same of an upstream; never the credential.
type upstreamForm struct {
	trouble
	BaseURL, Reason string
}

// settingsForms are the forms as they were sent; nil ones were not.
type settingsForms struct {
	profile     *profileForm
	branding    *brandingForm
	set, rotate *upstreamForm
	alert       string
}

func (w *Web) showSettings(v *visit) error {
	return w.settingsPage(v, http.StatusOK, settingsForms{})
}

func (w *Web) settingsPage(v *visit, status int, sent settingsForms) error {
	settings, err := w.areas.Settings.Show(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	reach, err := w.areas.Tenants.Reach(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	now := w.cfg.Now()
	view := &settingsView{
		Frame: v.frame("Settings"), Settings: settings, GatewayURL: w.cfg.PublicURL.JoinPath("gw", v.slug).String(), PublicURL: w.cfg.PublicURL.String(),
		DoorURL: w.cfg.PublicURL.JoinPath("sign-in", v.slug).String(), ThisMonth: monthName(period.MonthOf(now)) + " is in " + settings.Profile.Fiscal().Quarter(period.MonthOf(now)),
		LocalNow: v.local(now), MayChange: v.may("setting", "propose"), MayUpstream: v.may("upstream", "propose"), MayMembers: v.may("member", "read"), Alert: sent.alert, Reach: strings.Join(reach, " or "),
		Profile: profileForm{Name: settings.Profile.Name, TimeZone: settings.Profile.TimeZone, FiscalMonth: strconv.Itoa(int(settings.Profile.FiscalMonth))},
	}
	if settings.Upstream != nil {
		view.Set.BaseURL = settings.Upstream.BaseURL
	}
	b := &settings.Branding
	view.MayBrand, view.Branding = v.may("branding", "propose"), brandingForm{LegalName: b.LegalName, Accent: string(b.Accent), Confidentiality: b.Confidentiality}
	if sent.branding != nil {
		view.Branding = *sent.branding
	}
	if sent.profile != nil {
		view.Profile = *sent.profile
	}
	if sent.set != nil {
		view.Set = *sent.set
	}
	if sent.rotate != nil {
		view.Rotate = *sent.rotate
	}
	for m := time.January; m <= time.December; m++ {
		number := strconv.Itoa(int(m))
		view.Months = append(view.Months, option{Value: number, Label: m.String(), Selected: number == view.Profile.FiscalMonth})
	}
	for _, one := range []struct{ object, label, url string }{
		{"member", "Members", "/members"}, {"issuer", "Issuers", "/members/issuers"}, {"member", "Group mappings", "/members/groups"},
		{"channel", "Mail and channels", channelsPath}, {"retention", "Retention", retentionPath}, {"offboarding", "Offboarding", offboardingPath}, {"source", "Provider reports", providerPath},
		{"price", "Prices", "/prices"}, {"plan", "Plan", "/plan"}, {"setting", "First set-up", setUpPath},
	} {
		if v.may(one.object, "read") {
			view.Links = append(view.Links, link{Label: one.label, URL: one.url})
		}
	}
	if err := settingsSheet(&settings).prints(v, &view.Frame, "/settings.csv", settingsFile(v)); err != nil {
		return err
	}
	return render(v, status, settingsPage(view))
}

func (w *Web) setProfile(v *visit) error {
	if !v.may("setting", "propose") {
		return app.ErrNotAllowed
	}
	form := profileForm{Name: strings.TrimSpace(v.FormValue("name")), TimeZone: strings.TrimSpace(v.FormValue("time_zone")), FiscalMonth: v.FormValue("fiscal_month"), Reason: v.FormValue("reason")}
	month, _ := strconv.Atoi(form.FiscalMonth) // what is no number is no month
	err := w.areas.Settings.SetProfile(v.Request().Context(), v.who, app.Profile{Name: form.Name, TimeZone: form.TimeZone, FiscalMonth: time.Month(month)}, form.Reason)
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.settingsPage(v, status, settingsForms{profile: &form})
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/settings")
}

func (w *Web) setUpstream(v *visit) error {
	if !v.may("upstream", "propose") {
		return app.ErrNotAllowed
	}
	form := upstreamForm{BaseURL: strings.TrimSpace(v.FormValue("base_url")), Reason: v.FormValue("reason")}
	credential := secret.NewText(strings.TrimSpace(v.FormValue("credential")))
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskUpstream(form.BaseURL, credential, form.Reason), "")
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.settingsPage(v, status, settingsForms{set: &form})
	}
	return v.proposed(made, err, "/settings#upstream")
}

func (w *Web) rotateUpstream(v *visit) error {
	if !v.may("upstream", "propose") {
		return app.ErrNotAllowed
	}
	form := upstreamForm{Reason: v.FormValue("reason")}
	credential := secret.NewText(strings.TrimSpace(v.FormValue("credential")))
	made, err := w.areas.Approvals.Propose(v.Request().Context(), v.who, app.AskUpstream("", credential, form.Reason), "")
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.settingsPage(v, status, settingsForms{rotate: &form})
	}
	return v.proposed(made, err, "/settings#upstream")
}

// testUpstream asks the provider once; the page it leads to says what came back.
func (w *Web) testUpstream(v *visit) error {
	if !v.may("upstream", "propose") {
		return app.ErrNotAllowed
	}
	_, err := w.areas.Settings.TestUpstream(v.Request().Context(), v.who)
	if status, f := retold(err); status != 0 {
		return w.settingsPage(v, status, settingsForms{alert: f.Message})
	}
	if err != nil {
		return err
	}
	return v.Redirect(http.StatusSeeOther, "/settings#upstream")
}

// local is an instant in the company's own zone, with the zone's name; empty where that
// is UTC, which pages show anyway.
func (v *visit) local(at time.Time) string {
	zone := v.profile.Location()
	if zone == time.UTC || zone.String() == "UTC" {
		return ""
	}
	return at.In(zone).Format("2 Jan 2006 15:04 MST") + " in " + zone.String()
}

// testWords says what came back, and what to do about it.
func testWords(t *app.UpstreamTest) string {
	switch t.Outcome {
	case app.UpstreamWorks:
		return "It works: the provider took the credential and listed " + ui.Plural(int64(t.Models), "model") + "."
	case app.UpstreamRefused:
		return fmt.Sprintf("The provider refused the credential (%d). Store another one; every request is refused until then.", t.HTTPStatus)
	case app.UpstreamFailing:
		words := fmt.Sprintf("The provider answered that it cannot serve now (%d", t.HTTPStatus)
		if t.Detail != "" {
			words += ", " + t.Detail
		}
		return words + "). Test again in a while."
	case app.UpstreamForeign:
		return fmt.Sprintf("What answered (%d) is no Anthropic API. Check the address.", t.HTTPStatus)
	}
	return "Nobody answered at this address: " + unreachedWords(t.Detail) + "."
}

func unreachedWords(why string) string {
	switch why {
	case app.UnreachedTimeout:
		return "no answer came in ten seconds"
	case app.UnreachedName:
		return "its host name leads nowhere"
	case app.UnreachedCertificate:
		return "its certificate could not be verified"
	}
	return "the connection failed"
}

// settingWords says what a step changed.
func settingWords(s *app.SettingStep) string {
	if s.Branding != nil {
		return brandingWords(s.Branding, s.BrandingBefore)
	}
	if s.After == nil {
		if s.Rotated {
			return "Upstream credential replaced"
		}
		return "Requests go to " + s.BaseURL
	}
	was := s.Before
	if was == nil {
		was = &app.Profile{}
	}
	var parts []string
	if s.After.Name != was.Name {
		parts = append(parts, "Called "+s.After.Name+before(was.Name))
	}
	if s.After.TimeZone != was.TimeZone {
		parts = append(parts, "Time zone "+s.After.TimeZone+before(was.TimeZone))
	}
	if s.After.FiscalMonth != was.FiscalMonth {
		earlier := ""
		if was.FiscalMonth != 0 {
			earlier = was.FiscalMonth.String()
		}
		parts = append(parts, "Fiscal year from "+s.After.FiscalMonth.String()+before(earlier))
	}
	return strings.Join(parts, ". ")
}

func before(text string) string {
	if text == "" {
		return ""
	}
	return ", before: " + text
}

func (w *Web) exportSettings(v *visit) error {
	settings, err := w.areas.Settings.Show(v.Request().Context(), v.who)
	if err != nil {
		return err
	}
	return settingsSheet(&settings).send(v, settingsFile(v))
}

func settingsFile(v *visit) string { return "settings-" + v.slug + ".csv" }

func settingsSheet(settings *app.SettingsView) *sheet {
	out := newSheet("change", "what", "effective_from", "by", "reason")
	for i := range settings.Steps {
		s := &settings.Steps[i]
		_ = out.Write([]string{strconv.FormatInt(s.Number, 10), cell(settingWords(s)), instantText(s.At), cell(s.By.Name), cell(s.Reason)})
	}
	return out
}

package app

import (
	"cmp"
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // an installation without the machine's zone files knows every zone, too

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
)

// Settings is the area of what a company is called, how it shows time and months, and
// where its requests go.
type Settings struct {
	db      *db.DB
	changes *Changes
	members *Members
	ring    *secret.Keyring
	ask     func(*http.Request) (*http.Response, error)
	asking  chan struct{} // tests under way
	reading chan struct{} // logos under way
}

// NewSettings makes the area. Ask makes one request to a provider and follows no
// redirect: a credential stays at the address it was given for.
func NewSettings(d *db.DB, changes *Changes, members *Members, ring *secret.Keyring, ask func(*http.Request) (*http.Response, error)) *Settings {
	return &Settings{db: d, changes: changes, members: members, ring: ring, ask: ask, asking: make(chan struct{}, maxTestsAtOnce), reading: make(chan struct{}, maxLogosAtOnce)}
}

// Profile is what a company is called and how it shows time and months. Neither the
// zone nor the fiscal year moves a day or a month of the books: those are UTC.
type Profile struct {
	Name        string
	TimeZone    string // an IANA name
	FiscalMonth time.Month
}

// Location is the profile's zone; one this binary does not know is UTC.
func (p Profile) Location() *time.Location {
	zone, err := time.LoadLocation(p.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// Fiscal is the profile's fiscal calendar.
func (p Profile) Fiscal() period.Fiscal { return period.Fiscal{First: p.FiscalMonth} }

var zoneForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)

const maxZoneBytes = 64

func (p Profile) validate() error {
	if strings.TrimSpace(p.Name) == "" || usage.Clip(p.Name, maxNameBytes) != p.Name {
		return fault.Invalid("name", "name_length", "A name has 1 to %d bytes of printable UTF-8.", maxNameBytes)
	}
	if p.FiscalMonth < time.January || p.FiscalMonth > time.December {
		return fault.Invalid("fiscal_month", "fiscal_month_unknown", "A fiscal year begins with one of the twelve months.")
	}
	known := zoneForm.MatchString(p.TimeZone) && len(p.TimeZone) <= maxZoneBytes && p.TimeZone != "Local"
	if known {
		_, err := time.LoadLocation(p.TimeZone)
		known = err == nil
	}
	if !known {
		return fault.Invalid("time_zone", "time_zone_unknown", "%.60q is no time zone. Its name is one of the IANA list, such as America/New_York or UTC.", p.TimeZone)
	}
	return nil
}

func profileOf(row *db.TenantRow) Profile {
	return Profile{Name: row.Name, TimeZone: row.TimeZone, FiscalMonth: time.Month(row.FiscalMonth)}
}

var errProfileSame = fault.Invalid("name", "profile_same", "That is what is in force already: nothing would change.")

// SetProfile changes what a company is called and how it shows time and months, from
// now on, as one change.
func (s *Settings) SetProfile(ctx context.Context, who Actor, want Profile, reason string) error {
	if err := s.changes.allowed(who, changeProfile); err != nil {
		return err
	}
	if err := want.validate(); err != nil {
		return err
	}
	return s.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		payload := map[string]any{"name": want.Name, "time_zone": want.TimeZone, "fiscal_month": int(want.FiscalMonth)}
		_, err := s.changes.change(tx, who, proposal{kind: changeProfile, payload: payload, reason: reason}, func(c approval.Change) error {
			// Read here: a change that committed meanwhile may have said the same.
			row, err := tx.TenantRow()
			if err != nil {
				return err
			}
			if profileOf(&row) == want {
				return errProfileSame
			}
			return tx.SetProfile(&db.ProfileRow{
				VersionID: id.NewVersion(tx.Now), Name: want.Name, TimeZone: want.TimeZone, FiscalMonth: int(want.FiscalMonth), EffectiveFrom: c.EffectiveFrom, ChangeID: c.ID,
			})
		})
		return err
	})
}

// SettingStep is one change of a company's settings.
type SettingStep struct {
	At     time.Time
	Before *Profile // nil: not a change of the profile
	After  *Profile
	// BaseURL is where requests went from then on; empty: not a change of the upstream.
	BaseURL string
	Rotated bool // the credential alone is another one
	// Branding is what papers carried from then on, BrandingBefore until then; nil: not a
	// change of it.
	Branding, BrandingBefore *Branding
	By                       Hand
	Change                   id.Change
	Number                   int64
	Reason                   string
}

// UpstreamView is where a company's requests go. The credential is never part of it.
type UpstreamView struct {
	BaseURL string
	Since   time.Time // at this address
	By      Hand      // who set the address
	Stored  time.Time // when the credential was
	// Tested is the latest test of what is in force; nil: none yet.
	Tested *UpstreamTest
}

// SettingsView is a company's settings with their history.
type SettingsView struct {
	Slug     string
	Profile  Profile
	Upstream *UpstreamView // nil: none, requests are refused
	Branding Branding
	Steps    []SettingStep // newest first
}

// maxSettingSteps bounds the history that is shown, of each of its kinds.
const maxSettingSteps = 200

// Show is a company's settings.
func (s *Settings) Show(ctx context.Context, who Actor) (SettingsView, error) {
	if err := s.changes.access.Check(who, "setting", "read"); err != nil {
		return SettingsView{}, err
	}
	var view SettingsView
	err := s.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.TenantRow()
		if err != nil {
			return err
		}
		profiles, err := tx.Profiles(maxSettingSteps)
		if err != nil {
			return err
		}
		upstreams, err := tx.Upstreams(maxSettingSteps)
		if err != nil {
			return err
		}
		brandings, err := tx.Brandings(maxSettingSteps)
		if err != nil {
			return err
		}
		tests, err := tx.UpstreamTests(1)
		if err != nil {
			return err
		}
		hands, err := s.members.hands(tx, settingMakers(profiles, upstreams, tests, brandings))
		if err != nil {
			return err
		}
		view = SettingsView{Slug: row.Slug, Profile: profileOf(&row), Upstream: upstreamView(tx.Now, upstreams, tests, hands)}
		if len(brandings) > 0 {
			view.Branding = brandingView(&brandings[0])
		}
		steps := slices.Concat(profileSteps(row.FoundedAs, profiles, hands), upstreamSteps(upstreams, hands), brandingSteps(brandings, hands))
		slices.SortFunc(steps, func(a, b SettingStep) int { return cmp.Compare(b.Number, a.Number) })
		view.Steps = steps
		return nil
	})
	return view, err
}

func settingMakers(profiles []db.ProfileRow, upstreams []db.UpstreamRow, tests []db.UpstreamTestRow, brandings []db.BrandingRow) []string {
	makers := make([]string, 0, len(profiles)+len(upstreams)+len(tests)+len(brandings))
	for i := range brandings {
		makers = append(makers, brandings[i].Maker)
	}
	for i := range profiles {
		makers = append(makers, profiles[i].Maker)
	}
	for i := range upstreams {
		makers = append(makers, upstreams[i].Maker)
	}
	for i := range tests {
		makers = append(makers, tests[i].Actor)
	}
	return makers
}

// profileSteps are the changes of a profile; before the first one there was what the
// company was made with.
func profileSteps(foundedAs string, rows []db.ProfileRow, hands map[string]Hand) []SettingStep {
	list := make([]SettingStep, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		step := SettingStep{At: r.EffectiveFrom.UTC(), By: hands[r.Maker], Change: r.ChangeID, Number: r.Number, Reason: r.Reason}
		step.After = &Profile{Name: r.Name, TimeZone: r.TimeZone, FiscalMonth: time.Month(r.FiscalMonth)}
		switch {
		case i+1 < len(rows):
			earlier := &rows[i+1]
			step.Before = &Profile{Name: earlier.Name, TimeZone: earlier.TimeZone, FiscalMonth: time.Month(earlier.FiscalMonth)}
		case len(rows) < maxSettingSteps:
			step.Before = &Profile{Name: foundedAs, TimeZone: "UTC", FiscalMonth: time.January}
		}
		list = append(list, step)
	}
	return list
}

func upstreamSteps(rows []db.UpstreamRow, hands map[string]Hand) []SettingStep {
	list := make([]SettingStep, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		list = append(list, SettingStep{
			At: r.EffectiveFrom.UTC(), BaseURL: r.BaseURL, Rotated: i+1 < len(rows) && rows[i+1].BaseURL == r.BaseURL,
			By: hands[r.Maker], Change: r.ChangeID, Number: r.Number, Reason: r.Reason,
		})
	}
	return list
}

// upstreamView is the upstream in force: since when at its address, by the change that
// set the address, with a credential that may be newer.
func upstreamView(now time.Time, rows []db.UpstreamRow, tests []db.UpstreamTestRow, hands map[string]Hand) *UpstreamView {
	if len(rows) == 0 || (rows[0].EffectiveTo != nil && !rows[0].EffectiveTo.After(now)) {
		return nil
	}
	set := &rows[0]
	for i := range rows {
		if rows[i].BaseURL != rows[0].BaseURL {
			break
		}
		set = &rows[i]
	}
	view := &UpstreamView{BaseURL: set.BaseURL, Since: set.EffectiveFrom.UTC(), By: hands[set.Maker], Stored: rows[0].EffectiveFrom.UTC()}
	if len(tests) > 0 && tests[0].VersionID == rows[0].VersionID {
		view.Tested = testView(&tests[0], hands[tests[0].Actor])
	}
	return view
}

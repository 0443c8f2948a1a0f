package app

import (
	"context"
	"encoding/hex"

	"tollbook/app/approval"
	"tollbook/app/branding"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/db"
)

// Branding is what a company's papers carry. The zero one is its name alone.
type Branding struct {
	Version         id.Version // zero: never set
	LegalName       string     // as printed; empty: the company's name
	Accent          branding.Accent
	Confidentiality string // at the foot; empty: none
	HasLogo         bool
	// Logo is the picture's digest, kind and size, where settings are shown.
	Logo *LogoView
}

// LogoView is what is known of a logo beside its pixels.
type LogoView struct {
	SHA256        string
	Type          string
	Width, Height int
}

// BrandingAsk is what papers shall carry from now on.
type BrandingAsk struct {
	LegalName, Accent, Confidentiality string
	Logo                               []byte // as it was sent; nil: the one in force stays
	NoLogo                             bool   // takes the one in force away
}

const (
	maxConfidentialityBytes = 200
	maxLogosAtOnce          = 2
)

var (
	errBrandingSame = fault.Invalid("legal_name", "branding_same", "That is what is in force already: nothing would change.")
	errLogoBoth     = fault.Invalid("logo", "logo_both", "Either send a logo or print without one.")
	errLogosAtOnce  = fault.New(fault.KindLimited, "logos_at_once", "Several logos are being read right now. Try again in a moment.")
	// ErrLogoAbsent reports a version that is not there, or has no logo.
	ErrLogoAbsent = fault.New(fault.KindNotFound, "logo_absent", "There is no such logo.")
)

func (a *BrandingAsk) validate() (branding.Accent, error) {
	if usage.Clip(a.LegalName, maxNameBytes) != a.LegalName {
		return "", fault.Invalid("legal_name", "legal_name_length", "A legal name has at most %d bytes of printable UTF-8.", maxNameBytes)
	}
	if usage.Clip(a.Confidentiality, maxConfidentialityBytes) != a.Confidentiality {
		return "", fault.Invalid("confidentiality", "confidentiality_length", "A confidentiality line has at most %d bytes of printable UTF-8.", maxConfidentialityBytes)
	}
	if a.Logo != nil && a.NoLogo {
		return "", errLogoBoth
	}
	return branding.ParseAccent(a.Accent)
}

// readLogo makes a logo of what was sent; a few at once, because pixels take memory.
func (s *Settings) readLogo(sent []byte) (*branding.Logo, error) {
	if sent == nil {
		return nil, nil //nolint:nilnil // none was sent
	}
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	default:
		return nil, errLogosAtOnce
	}
	logo, err := branding.ReadLogo(sent)
	return &logo, err
}

// SetBranding changes what a company's papers carry, from now on, as one change. The
// change names a logo by its digest.
func (s *Settings) SetBranding(ctx context.Context, who Actor, want BrandingAsk, reason string) error {
	if err := s.changes.allowed(who, changeBranding); err != nil {
		return err
	}
	accent, err := want.validate()
	if err != nil {
		return err
	}
	sent, err := s.readLogo(want.Logo)
	if err != nil {
		return err
	}
	return s.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		// Two that set at once would each keep what the other replaces.
		if err := tx.LockBranding(); err != nil {
			return err
		}
		rows, err := tx.Brandings(1)
		if err != nil {
			return err
		}
		var now db.BrandingRow
		if len(rows) > 0 {
			now = rows[0]
		}
		next := db.BrandingRow{VersionID: id.NewVersion(tx.Now), LegalName: want.LegalName, Accent: string(accent), Confidentiality: want.Confidentiality, LogoSHA256: now.LogoSHA256}
		switch {
		case sent != nil:
			next.LogoSHA256 = sent.SHA256[:]
		case want.NoLogo:
			next.LogoSHA256 = nil
		}
		payload := map[string]any{"legal_name": next.LegalName, "accent": next.Accent, "confidentiality": next.Confidentiality, "logo_sha256": hex.EncodeToString(next.LogoSHA256)}
		_, err = s.changes.change(tx, who, proposal{kind: changeBranding, payload: payload, reason: reason}, func(c approval.Change) error {
			if sameBranding(&now, &next) {
				return errBrandingSame
			}
			if sent != nil {
				if err := tx.AddLogo(sent); err != nil {
					return err
				}
			}
			next.EffectiveFrom, next.ChangeID = c.EffectiveFrom, c.ID
			return tx.SetBranding(&next)
		})
		return err
	})
}

func sameBranding(a, b *db.BrandingRow) bool {
	return a.LegalName == b.LegalName && a.Accent == b.Accent && a.Confidentiality == b.Confidentiality && string(a.LogoSHA256) == string(b.LogoSHA256)
}

func brandingView(r *db.BrandingRow) Branding {
	view := Branding{Version: r.VersionID, LegalName: r.LegalName, Accent: branding.Accent(r.Accent), Confidentiality: r.Confidentiality, HasLogo: r.LogoSHA256 != nil}
	if view.HasLogo {
		view.Logo = &LogoView{SHA256: hex.EncodeToString(r.LogoSHA256), Type: r.MediaType, Width: r.Width, Height: r.Height}
	}
	return view
}

// brandingSteps are the changes of what papers carry.
func brandingSteps(rows []db.BrandingRow, hands map[string]Hand) []SettingStep {
	list := make([]SettingStep, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		now := brandingView(r)
		step := SettingStep{At: r.EffectiveFrom.UTC(), Branding: &now, By: hands[r.Maker], Change: r.ChangeID, Number: r.Number, Reason: r.Reason}
		switch {
		case i+1 < len(rows):
			earlier := brandingView(&rows[i+1])
			step.BrandingBefore = &earlier
		case len(rows) < maxSettingSteps:
			step.BrandingBefore = &Branding{}
		}
		list = append(list, step)
	}
	return list
}

// Logo is the picture of one version of the actor's company, as its papers show it to
// whoever is signed in there.
func (s *Settings) Logo(ctx context.Context, who Actor, version id.Version) (mediaType string, content []byte, err error) {
	err = s.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var found bool
		if mediaType, content, found, err = tx.LogoOf(version); err == nil && !found {
			err = ErrLogoAbsent
		}
		return err
	})
	return mediaType, content, err
}

// Accent is the accent of one version of the actor's company.
func (s *Settings) Accent(ctx context.Context, who Actor, version id.Version) (accent branding.Accent, err error) {
	err = s.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		text, found, err := tx.AccentOf(version)
		if err == nil && !found {
			err = ErrLogoAbsent
		}
		accent = branding.Accent(text)
		return err
	})
	return accent, err
}

// Here is the company of an actor, as a page of it looks.
type Here struct {
	Slug     string
	Profile  Profile
	Branding Branding
}

// Here reads the actor's company.
func (t *Tenants) Here(ctx context.Context, who Actor) (Here, error) {
	var here Here
	err := t.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Here()
		if err != nil {
			return err
		}
		here = Here{Slug: row.Slug, Profile: profileOf(&row.TenantRow)}
		if row.BrandingID != nil {
			here.Branding = Branding{Version: *row.BrandingID, LegalName: row.LegalName, Accent: branding.Accent(row.Accent), Confidentiality: row.Confidentiality, HasLogo: row.HasLogo}
		}
		return nil
	})
	return here, err
}

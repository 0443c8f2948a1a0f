package db

import (
	"time"

	"tollbook/app/branding"
	"tollbook/app/id"
)

// BrandingRow is what a company's papers carried from an instant on.
type BrandingRow struct {
	VersionID       id.Version
	LegalName       string // empty: the company's name
	Accent          string // #rrggbb; empty: ink
	Confidentiality string // empty: none
	LogoSHA256      []byte `gorm:"column:logo_sha256"` // nil: none
	// MediaType, Width and Height are the logo's; zero where there is none.
	MediaType     string
	Width, Height int
	EffectiveFrom time.Time
	EffectiveTo   *time.Time // nil: in force
	ChangeID      id.Change
	Number        int64 // of the change
	Maker         string
	Reason        string
}

// AddLogo keeps a picture; one that is kept already stays as it is.
func (t *Tx) AddLogo(l *branding.Logo) error {
	return t.exec("add logo", `insert into logo (tenant_id, sha256, media_type, width, height, content, recorded_at) values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
		t.Tenant, l.SHA256[:], l.Type, l.Width, l.Height, l.Content, t.Now)
}

// LockBranding makes the transaction the only one that sets what papers carry.
func (t *Tx) LockBranding() error {
	return t.exec("lock branding", `select pg_advisory_xact_lock(hashtextextended('branding:' || $1, 0))`, t.Tenant.UUID())
}

// SetBranding makes a branding the one in force from an instant on; whatever was open
// before ends there.
func (t *Tx) SetBranding(b *BrandingRow) error {
	if err := t.closeOpen("branding", b.EffectiveFrom); err != nil {
		return err
	}
	return t.exec("add branding", `insert into branding (tenant_id, version_id, legal_name, accent, confidentiality, logo_sha256, effective_from, recorded_at, change_id)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, t.Tenant, b.VersionID, b.LegalName, b.Accent, b.Confidentiality, b.LogoSHA256, b.EffectiveFrom, t.Now, b.ChangeID)
}

// Brandings lists the versions of a company's branding, newest first.
func (t *Tx) Brandings(limit int) ([]BrandingRow, error) {
	var rows []BrandingRow
	err := t.scan("list brandings", &rows, `select b.version_id, b.legal_name, b.accent, b.confidentiality, b.logo_sha256, coalesce(l.media_type, '') as media_type,
			coalesce(l.width, 0) as width, coalesce(l.height, 0) as height, b.effective_from, b.effective_to, c.change_id, c.number, c.maker, c.reason
		from branding b join change c on c.tenant_id = b.tenant_id and c.change_id = b.change_id
		left join logo l on l.tenant_id = b.tenant_id and l.sha256 = b.logo_sha256
		where b.tenant_id = ? order by c.number desc limit ?`, t.Tenant, limit)
	return rows, err
}

// LogoOf reads the picture of a version; not found where the version, or its picture, is
// not there.
func (t *Tx) LogoOf(version id.Version) (mediaType string, content []byte, found bool, err error) {
	found, err = t.row("read logo", []any{&mediaType, &content}, `select l.media_type, l.content from branding b join logo l on l.tenant_id = b.tenant_id and l.sha256 = b.logo_sha256
		where b.tenant_id = $1 and b.version_id = $2`, t.Tenant, version)
	return mediaType, content, found, err
}

// AccentOf reads the accent of a version.
func (t *Tx) AccentOf(version id.Version) (accent string, found bool, err error) {
	found, err = t.row("read accent", []any{&accent}, `select accent from branding where tenant_id = $1 and version_id = $2`, t.Tenant, version)
	return accent, found, err
}

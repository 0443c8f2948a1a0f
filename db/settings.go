package db

import (
	"time"

	"tollbook/app/id"
)

// ProfileRow is what a company was called and showed from an instant on.
type ProfileRow struct {
	VersionID     id.Version
	Name          string
	TimeZone      string // an IANA name
	FiscalMonth   int    // 1 to 12: the calendar month a fiscal year begins with
	EffectiveFrom time.Time
	ChangeID      id.Change
	Number        int64 // of the change
	Maker         string
	Reason        string
}

// SetProfile makes a profile the one in force from an instant on; whatever was open
// before ends there.
func (t *Tx) SetProfile(p *ProfileRow) error {
	if err := t.closeOpen("tenant_profile", p.EffectiveFrom); err != nil {
		return err
	}
	return t.exec("add profile", `insert into tenant_profile (tenant_id, version_id, name, time_zone, fiscal_month, effective_from, recorded_at, change_id)
		values ($1, $2, $3, $4, $5, $6, $7, $8)`, t.Tenant, p.VersionID, p.Name, p.TimeZone, p.FiscalMonth, p.EffectiveFrom, t.Now, p.ChangeID)
}

// closeOpen ends whatever version of a table is open.
func (t *Tx) closeOpen(table string, ends time.Time) error {
	var open []struct{ VersionID id.Version }
	if err := t.scan("read "+table, &open, `select version_id from `+table+` where tenant_id = ? and effective_to is null`, t.Tenant); err != nil {
		return err
	}
	for _, o := range open {
		if _, err := t.CloseVersion(table, o.VersionID, ends); err != nil {
			return err
		}
	}
	return nil
}

// Profiles lists the versions of a company's profile, newest first.
func (t *Tx) Profiles(limit int) ([]ProfileRow, error) {
	var rows []ProfileRow
	err := t.scan("list profiles", &rows, `select p.version_id, p.name, p.time_zone, p.fiscal_month, p.effective_from, c.change_id, c.number, c.maker, c.reason
		from tenant_profile p join change c on c.tenant_id = p.tenant_id and c.change_id = p.change_id
		where p.tenant_id = ? order by c.number desc limit ?`, t.Tenant, limit)
	return rows, err
}

// UpstreamRow is where requests went from an instant on.
type UpstreamRow struct {
	VersionID        id.Version
	BaseURL          string
	CredentialSealed []byte
	EffectiveFrom    time.Time
	EffectiveTo      *time.Time // nil: in force
	ChangeID         id.Change
	Number           int64 // of the change
	Maker            string
	Reason           string
}

// Upstreams lists the versions of a company's upstream, newest first.
func (t *Tx) Upstreams(limit int) ([]UpstreamRow, error) {
	var rows []UpstreamRow
	err := t.scan("list upstreams", &rows, `select u.version_id, u.base_url, u.credential_sealed, u.effective_from, u.effective_to, c.change_id, c.number, c.maker, c.reason
		from upstream u join change c on c.tenant_id = u.tenant_id and c.change_id = u.change_id
		where u.tenant_id = ? order by c.number desc limit ?`, t.Tenant, limit)
	return rows, err
}

// UpstreamTestRow is one request that asked whether a provider takes a credential.
type UpstreamTestRow struct {
	Number     int64
	VersionID  id.Version // of the upstream
	Outcome    string
	Detail     string
	HTTPStatus int
	Models     int
	TookMs     int
	Actor      string
	TestedAt   time.Time
}

// AddUpstreamTest remembers how a test ended.
func (t *Tx) AddUpstreamTest(r *UpstreamTestRow) error {
	return t.exec("add upstream test", `insert into upstream_test (tenant_id, number, version_id, outcome, detail, http_status, models, took_ms, actor, tested_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, t.Tenant, r.Number, r.VersionID, r.Outcome, r.Detail, r.HTTPStatus, r.Models, r.TookMs, r.Actor, t.Now)
}

// UpstreamTests lists the latest tests, newest first.
func (t *Tx) UpstreamTests(limit int) ([]UpstreamTestRow, error) {
	var rows []UpstreamTestRow
	err := t.scan("list upstream tests", &rows, `select number, version_id, outcome, detail, http_status, models, took_ms, actor, tested_at
		from upstream_test where tenant_id = ? order by number desc limit ?`, t.Tenant, limit)
	return rows, err
}

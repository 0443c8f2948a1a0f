package db

import (
	"crypto/sha256"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// ErrPricesAbsent reports a tenant without a price book.
var ErrPricesAbsent = fault.New(fault.KindInternal, "prices_absent", "This tenant has no price book yet.")

// AddPriceVersion stores a price book's bytes under the next version.
func (t *Tx) AddPriceVersion(document []byte, change id.Change) (int, error) {
	if err := t.exec("lock prices", `select pg_advisory_xact_lock(hashtextextended('prices:' || $1, 0))`, t.Tenant.UUID()); err != nil {
		return 0, err
	}
	digest := sha256.Sum256(document)
	var version int
	_, err := t.row("add price version", []any{&version}, `insert into price_version (tenant_id, version, document, digest, recorded_at, change_id)
		select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5 from price_version where tenant_id = $1 returning version`,
		t.Tenant, document, digest[:], t.Now, change)
	return version, err
}

// PriceVersion is the number of the latest price book.
func (t *Tx) PriceVersion() (int, error) {
	var version int
	found, err := t.row("read price version", []any{&version}, `select max(version) from price_version where tenant_id = $1 having max(version) is not null`, t.Tenant)
	if err == nil && !found {
		err = ErrPricesAbsent
	}
	return version, err
}

// PriceDocument reads the bytes of one price book.
func (t *Tx) PriceDocument(version int) ([]byte, error) {
	var document []byte
	found, err := t.row("read price book", []any{&document}, `select document from price_version where tenant_id = $1 and version = $2`, t.Tenant, version)
	if err == nil && !found {
		err = ErrPricesAbsent
	}
	return document, err
}

// SetUpstream records where requests go from an instant on; whatever was open
// before ends there.
func (t *Tx) SetUpstream(version id.Version, baseURL string, credentialSealed []byte, from time.Time, change id.Change) error {
	var open []struct{ VersionID id.Version }
	if err := t.scan("read upstream", &open, `select version_id from upstream where tenant_id = ? and effective_to is null`, t.Tenant); err != nil {
		return err
	}
	for _, o := range open {
		if _, err := t.CloseVersion("upstream", o.VersionID, from); err != nil {
			return err
		}
	}
	return t.exec("add upstream", `insert into upstream (tenant_id, version_id, base_url, credential_sealed, effective_from, recorded_at, change_id) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, version, baseURL, credentialSealed, from, t.Now, change)
}

// UpstreamURL reads where requests go now; empty when nowhere.
func (t *Tx) UpstreamURL() (url string, credentialSealed []byte, err error) {
	_, err = t.row("read upstream", []any{&url, &credentialSealed}, `select base_url, credential_sealed from upstream
		where tenant_id = $1 and effective_from <= $2 and (effective_to is null or effective_to > $2) order by recorded_at desc limit 1`, t.Tenant, t.Now)
	return url, credentialSealed, err
}

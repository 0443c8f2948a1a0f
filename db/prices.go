package db

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// ErrPricesAbsent reports a tenant without a price book.
var ErrPricesAbsent = fault.New(fault.KindInternal, "prices_absent", "This tenant has no price book yet.")

// LockPrices makes the transaction the only one that proposes or applies prices for the
// tenant, until it ends.
func (t *Tx) LockPrices() error {
	return t.exec("lock prices", `select pg_advisory_xact_lock(hashtextextended('prices:' || $1, 0))`, t.Tenant.UUID())
}

// AddPriceVersion stores a price book's bytes under the next version, with the digest
// of the vendor's list it was made from.
func (t *Tx) AddPriceVersion(document []byte, vendor [32]byte, change id.Change) (int, error) {
	if err := t.LockPrices(); err != nil {
		return 0, err
	}
	digest := sha256.Sum256(document)
	var version int
	_, err := t.row("add price version", []any{&version}, `insert into price_version (tenant_id, version, document, digest, vendor_digest, recorded_at, change_id)
		select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6 from price_version where tenant_id = $1 returning version`,
		t.Tenant, document, digest[:], vendor[:], t.Now, change)
	return version, err
}

// PriceVersionRow is one applied version, without its document.
type PriceVersionRow struct {
	Version      int
	Digest       []byte
	VendorDigest []byte
	RecordedAt   time.Time
	ChangeID     id.Change
	Number       int64 // of the change
	Reason       string
}

// PriceVersions lists applied versions, newest first.
func (t *Tx) PriceVersions(limit int) ([]PriceVersionRow, error) {
	var rows []PriceVersionRow
	err := t.scan("list price versions", &rows, `select p.version, p.digest, coalesce(p.vendor_digest, p.digest) as vendor_digest, p.recorded_at, p.change_id, c.number, c.reason
		from price_version p join change c on c.tenant_id = p.tenant_id and c.change_id = p.change_id where p.tenant_id = ? order by p.version desc limit ?`, t.Tenant, limit)
	return rows, err
}

// PriceProposalRow is a price book that was proposed.
type PriceProposalRow struct {
	ChangeID     id.Change
	Basis        string // vendor, contract or file
	BaseVersion  int
	VendorDigest []byte
	Document     []byte
}

// AddPriceProposal stores the document a change of prices proposes.
func (t *Tx) AddPriceProposal(p PriceProposalRow) error {
	digest := sha256.Sum256(p.Document)
	return t.exec("add price proposal", `insert into price_proposal (tenant_id, change_id, basis, base_version, vendor_digest, document, digest, recorded_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.Tenant, p.ChangeID, p.Basis, p.BaseVersion, p.VendorDigest, p.Document, digest[:], t.Now)
}

// PriceProposal reads what a change of prices proposes.
func (t *Tx) PriceProposal(change id.Change) (PriceProposalRow, error) {
	var rows []PriceProposalRow
	err := t.scan("read price proposal", &rows, `select change_id, basis, base_version, vendor_digest, document from price_proposal where tenant_id = ? and change_id = ?`, t.Tenant, change)
	if err == nil && len(rows) == 0 {
		err = ErrChangeAbsent
	}
	if err != nil {
		return PriceProposalRow{}, err
	}
	return rows[0], nil
}

// OpenPriceProposals lists the changes of prices that wait for a decision, oldest first.
func (t *Tx) OpenPriceProposals() ([]id.Change, error) {
	var rows []struct{ ChangeID id.Change }
	err := t.scan("list price proposals", &rows, `select p.change_id from price_proposal p where p.tenant_id = ?
		and not exists (select from change_move m where m.tenant_id = p.tenant_id and m.change_id = p.change_id and m.place > 0) order by p.recorded_at, p.change_id`, t.Tenant)
	changes := make([]id.Change, 0, len(rows))
	for _, r := range rows {
		changes = append(changes, r.ChangeID)
	}
	return changes, err
}

// VendorKnown tells whether a list of the vendor's is no news: a person rejected it, it
// was in force once, or it was proposed on that version already.
func (t *Tx) VendorKnown(vendor [32]byte, base int) (bool, error) {
	var known bool
	_, err := t.row("read vendor list", []any{&known}, `select exists (select from price_version where tenant_id = $1 and coalesce(vendor_digest, digest) = $2)
		or exists (select from price_proposal p where p.tenant_id = $1 and p.basis = 'vendor' and p.vendor_digest = $2
			and (p.base_version = $3 or exists (select from change_move m
				where m.tenant_id = p.tenant_id and m.change_id = p.change_id and m.state = 'rejected' and m.basis is distinct from 'withdrawn')))`, t.Tenant, vendor[:], base)
	return known, err
}

// ModelRow is what was used of one model, as responses name it.
type ModelRow struct {
	Model      string
	Requests   int64
	ChargePico string
}

// ModelsSince sums the days from one on by model.
func (t *Tx) ModelsSince(day time.Time) ([]ModelRow, error) {
	var rows []ModelRow
	err := t.scan("sum by model", &rows, `select model, sum(requests)::bigint as requests, sum(charge_pico)::text as charge_pico from rollup_placement_day
		where tenant_id = ? and day >= ? group by model order by model`, t.Tenant, day)
	return rows, err
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

// maxOpenProposals bounds how many proposed price books a flush looks at, latest first.
const maxOpenProposals = 50

// PriceStanding is PriceVersion and the changes of prices that wait for a decision, the
// latest of them where they are very many, in one question.
func (t *Tx) PriceStanding() (version int, open []id.Change, err error) {
	var found *int
	var list string
	if _, err := t.row("read price standing", []any{&found, &list}, `select (select max(version) from price_version where tenant_id = $1),
		coalesce((select string_agg(change_id::text, ',') from (select p.change_id from price_proposal p where p.tenant_id = $1
			and not exists (select from change_move m where m.tenant_id = p.tenant_id and m.change_id = p.change_id and m.place > 0)
			order by p.recorded_at desc, p.change_id limit $2) w), '')`, t.Tenant, maxOpenProposals); err != nil {
		return 0, nil, err
	}
	if found == nil {
		return 0, nil, ErrPricesAbsent
	}
	for text := range strings.SplitSeq(list, ",") {
		if text == "" {
			continue
		}
		change, err := id.ParseChange(text)
		if err != nil {
			return 0, nil, fmt.Errorf("read price standing: %w", err)
		}
		open = append(open, change)
	}
	return *found, open, nil
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
	if err := t.closeOpen("upstream", from); err != nil {
		return err
	}
	return t.exec("add upstream", `insert into upstream (tenant_id, version_id, base_url, credential_sealed, effective_from, recorded_at, change_id) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, version, baseURL, credentialSealed, from, t.Now, change)
}

// UpstreamURL reads where requests go now; empty when nowhere.
func (t *Tx) UpstreamURL() (url string, credentialSealed []byte, err error) {
	_, err = t.row("read upstream", []any{&url, &credentialSealed}, `select base_url, credential_sealed from upstream
		where tenant_id = $1 and length(credential_sealed) > 0 and effective_from <= $2 and (effective_to is null or effective_to > $2) order by recorded_at desc limit 1`, t.Tenant, t.Now)
	return url, credentialSealed, err
}

// LockUpstream makes the transaction the only one that changes where requests go.
func (t *Tx) LockUpstream() error {
	return t.exec("lock upstream", `select pg_advisory_xact_lock(hashtextextended('upstream:' || $1, 0))`, t.Tenant.UUID())
}

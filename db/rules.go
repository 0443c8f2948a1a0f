package db

import (
	"crypto/sha256"
	"fmt"
	"time"

	"tollbook/app/id"
)

// LockRules makes the transaction the only one that proposes or applies attribution
// rules for the tenant, until it ends.
func (t *Tx) LockRules() error {
	return t.exec("lock rules", `select pg_advisory_xact_lock(hashtextextended('rules:' || $1, 0))`, t.Tenant.UUID())
}

// RuleVersionRow is one applied version of a tenant's rules.
type RuleVersionRow struct {
	TenantID      id.Tenant
	Version       int64
	Document      []byte // nil in lists
	Digest        []byte
	Rules         int // how many there are
	EffectiveFrom time.Time
	RecordedAt    time.Time
	ChangeID      id.Change
	Number        int64 // of the change; zero in snapshots
	Reason        string
}

// AddRuleVersion stores a document of rules under the next version.
func (t *Tx) AddRuleVersion(document []byte, rules int, from time.Time, change id.Change) (int64, error) {
	if err := t.LockRules(); err != nil {
		return 0, err
	}
	digest := sha256.Sum256(document)
	var version int64
	_, err := t.row("add rule version", []any{&version}, `insert into rule_version (tenant_id, version, document, digest, rules, effective_from, recorded_at, change_id)
		select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7 from rule_version where tenant_id = $1 returning version`,
		t.Tenant, document, digest[:], rules, from, t.Now, change)
	return version, err
}

// RuleVersions lists applied versions, newest first, without their documents.
func (t *Tx) RuleVersions(limit int) ([]RuleVersionRow, error) {
	var rows []RuleVersionRow
	err := t.scan("list rule versions", &rows, `select r.tenant_id, r.version, r.digest, r.rules, r.effective_from, r.recorded_at, r.change_id, c.number, c.reason
		from rule_version r join change c on c.tenant_id = r.tenant_id and c.change_id = r.change_id where r.tenant_id = ? order by r.version desc limit ?`, t.Tenant, limit)
	return rows, err
}

// RuleVersion reads one version, with its document; found is false where there is none.
func (t *Tx) RuleVersion(version int64) (RuleVersionRow, bool, error) {
	return t.ruleVersion(`r.version = $2 and $3::timestamptz is null`, version, nil)
}

// RulesAt reads the version in force at an instant, as known at another; zero is all
// that is recorded. The latest that had begun by then is in force: one that is recorded
// later takes the place of all before it from its instant on.
func (t *Tx) RulesAt(at, known time.Time) (RuleVersionRow, bool, error) {
	return t.ruleVersion(`r.effective_from <= $2 and ($3::timestamptz is null or r.recorded_at <= $3)`, at, optional(known))
}

func (t *Tx) ruleVersion(where string, args ...any) (RuleVersionRow, bool, error) {
	r := RuleVersionRow{TenantID: t.Tenant}
	found, err := t.row("read rules", []any{&r.Version, &r.Document, &r.Digest, &r.Rules, &r.EffectiveFrom, &r.RecordedAt, &r.ChangeID, &r.Number, &r.Reason},
		`select r.version, r.document, r.digest, r.rules, r.effective_from, r.recorded_at, r.change_id, c.number, c.reason
		from rule_version r join change c on c.tenant_id = r.tenant_id and c.change_id = r.change_id where r.tenant_id = $1 and `+where+` order by r.version desc limit 1`,
		append([]any{t.Tenant}, args...)...)
	if err == nil && found && sha256.Sum256(r.Document) != [32]byte(r.Digest) {
		err = fmt.Errorf("rule version %d is not what its digest says", r.Version)
	}
	return r, found, err
}

// rules reads of each tenant the version in force and those that will be.
func (t *SystemTx) rules(tenants map[id.Tenant]*SnapshotTenant, named map[string]any) error {
	var rows []RuleVersionRow
	if err := t.scan("read rules", &rows, `select tenant_id, version, document, digest, rules, effective_from, recorded_at, change_id from rule_version v
		where (cast(@only as uuid) is null or tenant_id = @only )
			and version >= (select coalesce(max(w.version), 0) from rule_version w where w.tenant_id = v.tenant_id and w.effective_from <= @now)
		order by tenant_id, version`, named); err != nil {
		return err
	}
	for i := range rows {
		if one := tenants[rows[i].TenantID]; one != nil {
			one.Rules = append(one.Rules, rows[i])
		}
	}
	return nil
}

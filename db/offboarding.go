package db

import (
	"fmt"
	"time"

	"tollbook/app/approval"
	"tollbook/app/id"
)

// TenantExportRow is an export of everything that was finished, with what it holds of the
// books, by count.
type TenantExportRow struct {
	ManifestSHA256    []byte
	AsOf              time.Time
	RunBy             string
	RowCount          int64
	UsageBatches      int64
	AdjustmentBatches int64
	JournalEntries    int64
	Invoices          int64
	RecordedAt        time.Time
}

// AddTenantExport keeps that an export was finished.
func (t *Tx) AddTenantExport(r *TenantExportRow) error {
	return t.exec("add tenant export", `insert into tenant_export (tenant_id, manifest_sha256, as_of, run_by, row_count, usage_batches, adjustment_batches, journal_entries, invoices, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, t.Tenant, r.ManifestSHA256, r.AsOf, r.RunBy, r.RowCount, r.UsageBatches, r.AdjustmentBatches, r.JournalEntries, r.Invoices, t.Now)
}

// LastTenantExport finds the newest export of everything.
func (t *Tx) LastTenantExport() (TenantExportRow, bool, error) {
	return t.tenantExport("", nil)
}

// TenantExport finds the export whose manifest has a digest.
func (t *Tx) TenantExport(manifest []byte) (TenantExportRow, bool, error) {
	return t.tenantExport(` and manifest_sha256 = ?`, manifest)
}

func (t *Tx) tenantExport(where string, manifest []byte) (TenantExportRow, bool, error) {
	args := []any{t.Tenant}
	if where != "" {
		args = append(args, manifest)
	}
	var rows []TenantExportRow
	err := t.scan("read tenant export", &rows, `select manifest_sha256, as_of, run_by, row_count, usage_batches, adjustment_batches, journal_entries, invoices, recorded_at
		from tenant_export where tenant_id = ?`+where+` order by recorded_at desc, as_of desc limit 1`, args...)
	if err != nil || len(rows) == 0 {
		return TenantExportRow{}, false, err
	}
	return rows[0], true, nil
}

// HeldRow is how many of each an export has to hold to hold everything.
type HeldRow struct{ UsageBatches, AdjustmentBatches, JournalEntries, Invoices int64 }

// BooksHeld counts them now.
func (t *Tx) BooksHeld() (HeldRow, error) {
	var h HeldRow
	_, err := t.row("count books", []any{&h.UsageBatches, &h.AdjustmentBatches, &h.JournalEntries, &h.Invoices}, `select (select count(*) from usage_batch where tenant_id = $1),
		(select count(*) from adjustment_batch where tenant_id = $1), (select count(*) from journal_entry where tenant_id = $1), (select count(*) from invoice where tenant_id = $1)`, t.Tenant)
	return h, err
}

// OffboardingRow is that a company was let go.
type OffboardingRow struct {
	ChangeID       id.Change
	Number         int64
	ManifestSHA256 []byte
	OffboardedAt   time.Time
}

// Offboarding finds whether the tenant was offboarded, and by which change.
func (t *Tx) Offboarding() (OffboardingRow, bool, error) {
	var rows []OffboardingRow
	err := t.scan("read offboarding", &rows, `select o.change_id, c.number, o.manifest_sha256, o.offboarded_at from offboarding o
		join change c on c.tenant_id = o.tenant_id and c.change_id = o.change_id where o.tenant_id = ?`, t.Tenant)
	if err != nil || len(rows) == 0 {
		return OffboardingRow{}, false, err
	}
	return rows[0], true, nil
}

// LockOffboarding makes the transaction the only one of its tenant that lets people in or
// locks them out, that sets or ends a hold, or that offboards.
func (t *Tx) LockOffboarding() error {
	if err := t.LockPeople(); err != nil {
		return err
	}
	return t.LockRetention()
}

// Changing says that the transaction changes something of its tenant: until it ends, the
// tenant is not let go, and while that is under way this waits.
func (t *Tx) Changing() error {
	return t.exec("begin to change", `select pg_advisory_xact_lock_shared(hashtextextended('changing:' || $1, 0))`, t.Tenant.UUID())
}

// LastToChange makes the transaction the only one that changes something of its tenant; no
// where another does. It does not wait: the other may want what this one holds.
func (t *Tx) LastToChange() (yes bool, err error) {
	_, err = t.row("be last to change", []any{&yes}, `select pg_try_advisory_xact_lock(hashtextextended('changing:' || $1, 0))`, t.Tenant.UUID())
	return yes, err
}

// Offboard lets the tenant go under an approved change, once: its credentials are destroyed.
func (t *Tx) Offboard(change id.Change) error {
	return t.exec("offboard", `select offboard($1)`, change)
}

// HoldingsRow counts what a tenant has that offboarding ends, and what it keeps.
type HoldingsRow struct {
	Keys, Tokens, Sessions, Logins, Delegations, Rights, Invitations, Channels, Upstreams int64
	// Waiting are the proposals that wait.
	Waiting  int64
	Requests int64
	Records  int64
}

// Holdings counts them now.
func (t *Tx) Holdings() (HoldingsRow, error) {
	var rows []HoldingsRow
	err := t.scan("count holdings", &rows, `select
		(select count(*) from virtual_key k where k.tenant_id = @t and k.sign_in_node is null and (k.expires_at is null or k.expires_at > @now)
			and not exists (select from key_revocation r where r.tenant_id = k.tenant_id and r.key_id = k.key_id)) as keys,
		(select count(*) from api_token where tenant_id = @t and revoked_at is null and expires_at > @now) as tokens,
		(select count(*) from session where tenant_id = @t and revoked_at is null and expires_at > @now) as sessions,
		(select count(*) from login l where l.tenant_id = @t and l.expires_at > @now and not exists (select from login_end e where e.tenant_id = l.tenant_id and e.login_id = l.login_id)) as logins,
		(select count(*) from delegation d where d.tenant_id = @t and d.ends_at > @now
			and not exists (select from delegation_end e where e.tenant_id = d.tenant_id and e.delegation_id = d.delegation_id)) as delegations,
		(select count(*) from charge_right r where r.tenant_id = @t and not exists (select from charge_right_end e where e.tenant_id = r.tenant_id and e.right_id = r.right_id)) as rights,
		(select count(*) from invitation where tenant_id = @t and accepted_at is null and revoked_at is null and expires_at > @now) as invitations,
		(select count(*) from notice_channel n where n.tenant_id = @t and not exists (select from notice_channel_end e where e.tenant_id = n.tenant_id and e.channel_id = n.channel_id)) as channels,
		(select count(*) from upstream where tenant_id = @t and length(credential_sealed) > 0) as upstreams,
		(select count(*) from change c where c.tenant_id = @t and not exists (select from change_move m where m.tenant_id = c.tenant_id and m.change_id = c.change_id and m.place > 0)) as waiting,
		(select coalesce(sum(requests), 0) from usage_batch where tenant_id = @t) as requests,
		(select count(*) from audit_record where tenant_id = @t) as records`, map[string]any{"t": t.Tenant, "now": t.Now})
	if err != nil || len(rows) == 0 {
		return HoldingsRow{}, err
	}
	return rows[0], nil
}

// RequestsKept counts the requests that were not purged, from their batches.
func (t *Tx) RequestsKept() (int64, error) {
	var n int64
	_, err := t.row("count requests", []any{&n}, `select coalesce(sum(requests), 0) from usage_batch where tenant_id = $1`, t.Tenant)
	return n, err
}

// What offboarding ends, in the order it does. Each statement ends all of one kind that has
// not ended and returns their ids; $1 is the tenant, $2 now, $3 the change.
const (
	endKeys = `insert into key_revocation (tenant_id, key_id, reason, revoked_at, change_id) select k.tenant_id, k.key_id, 'offboarded', $2, $3 from virtual_key k
		where k.tenant_id = $1 on conflict do nothing returning key_id`
	endTokens   = `update api_token set revoked_at = $2, end_change_id = $3 where tenant_id = $1 and revoked_at is null returning token_id`
	endSessions = `update session set revoked_at = $2 where tenant_id = $1 and revoked_at is null and expires_at > $2 and $3::uuid is not null returning session_id`
	endLogins   = `with taken as (delete from login_credential where tenant_id = $1), asked as (update login_ask set used_at = $2 where tenant_id = $1 and used_at is null)
		insert into login_end (tenant_id, login_id, ended_at) select l.tenant_id, l.login_id, $2 from login l
		where l.tenant_id = $1 and l.expires_at > $2 and $3::uuid is not null on conflict do nothing returning login_id`
	endDelegations = `insert into delegation_end (tenant_id, delegation_id, ended_at, change_id) select d.tenant_id, d.delegation_id, $2, $3 from delegation d
		where d.tenant_id = $1 and d.ends_at > $2 on conflict do nothing returning delegation_id`
	endRights = `insert into charge_right_end (tenant_id, right_id, ended_at, change_id) select r.tenant_id, r.right_id, $2, $3 from charge_right r
		where r.tenant_id = $1 on conflict do nothing returning right_id`
	endInvitations = `update invitation set revoked_at = $2, end_change_id = $3 where tenant_id = $1 and accepted_at is null and revoked_at is null returning invitation_id`
	endChannels    = `insert into notice_channel_end (tenant_id, channel_id, ended_at, change_id) select n.tenant_id, n.channel_id, $2, $3 from notice_channel n
		where n.tenant_id = $1 on conflict do nothing returning channel_id`
)

// Ended is all of one kind that ended.
type Ended struct {
	What string
	IDs  []string
}

// EndEverything ends what a tenant's people and programs come in with, all of it, and tells
// what that was.
func (t *Tx) EndEverything(change id.Change) ([]Ended, error) {
	list := []Ended{}
	for _, one := range []struct {
		what, statement string
		read            func(rows scanner) (string, error)
	}{
		{"keys", endKeys, printed[id.Key]},
		{"tokens", endTokens, printed[id.Token]},
		{"sessions", endSessions, printed[id.Session]},
		{"logins", endLogins, printed[id.Login]},
		{"delegations", endDelegations, printed[id.Delegation]},
		{"rights", endRights, printed[id.Right]},
		{"invitations", endInvitations, printed[id.Invitation]},
		{"channels", endChannels, printed[id.Channel]},
	} {
		ids, err := t.ending(one.statement, change, one.read)
		if err != nil {
			return nil, err
		}
		list = append(list, Ended{What: one.what, IDs: ids})
	}
	return list, nil
}

func (t *Tx) ending(statement string, change id.Change, read func(rows scanner) (string, error)) ([]string, error) {
	rows, err := t.sql.QueryContext(t.ctx, statement, t.Tenant, t.Now, change)
	if err != nil {
		return nil, fmt.Errorf("end: %w", err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		one, err := read(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("end: %w", err)
	}
	return list, nil
}

type scanner interface{ Scan(into ...any) error }

// printed reads an id and prints it as the product does.
func printed[T interface{ String() string }](rows scanner) (string, error) {
	var one T
	if err := rows.Scan(&one); err != nil {
		return "", fmt.Errorf("read id: %w", err)
	}
	return one.String(), nil
}

// WaitingAnyhow lists the proposals that wait, of whatever kind, the oldest first.
func (t *Tx) WaitingAnyhow(limit int) ([]ChangeRow, error) {
	rows := []ChangeRow{}
	err := t.scan("list waiting changes", &rows, changeSelect+` and last.state = ? order by c.number limit ?`, t.Tenant, string(approval.StateProposed), limit)
	return rows, err
}

// OffboardingWaits finds a proposal of offboarding that waits.
func (t *Tx) OffboardingWaits() (change id.Change, number int64, found bool, err error) {
	found, err = t.row("find offboarding", []any{&change, &number}, `select c.change_id, c.number from change c where c.tenant_id = $1 and c.kind = 'offboarding'
		and not exists (select from change_move m where m.tenant_id = c.tenant_id and m.change_id = c.change_id and m.place > 0) order by c.number desc limit 1`, t.Tenant)
	return change, number, found, err
}

// PurgedWhole tells whether all that remained of the tenant was purged, and when.
func (t *Tx) PurgedWhole() (time.Time, bool, error) {
	var at time.Time
	found, err := t.row("read tombstone", []any{&at}, `select purged_at from tombstone where tenant_id = $1 and class = 'company' order by purged_at desc limit 1`, t.Tenant)
	return at, found, err
}

package db

import (
	"context"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
)

// NewToken is an API token to be stored.
type NewToken struct {
	ID        id.Token
	Member    id.Member
	Label     string
	Hash      secret.Hash
	Roles     string // it is limited to, with commas between; empty: all its member has
	ExpiresAt time.Time
	Change    id.Change
}

// AddToken stores an API token's hash.
func (t *Tx) AddToken(n NewToken) error {
	return t.exec("add token", `insert into api_token (tenant_id, token_id, member_id, label, token_hash, expires_at, recorded_at, change_id, roles)
		values ($1, $2, $3, $4, $5, $6, $7, $8, string_to_array(nullif($9, ''), ','))`,
		t.Tenant, n.ID, n.Member, n.Label, n.Hash[:], n.ExpiresAt, t.Now, n.Change, n.Roles)
}

// TokenRow is a live API token and whose it is.
type TokenRow struct {
	TenantID id.Tenant
	TokenID  id.Token
	MemberID id.Member
	Roles    string // it is limited to, with commas between; empty: all its member has
}

// LiveToken finds a token by any hash it may be stored under.
func (d *DB) LiveToken(ctx context.Context, hashes []secret.Hash) (TokenRow, bool, error) {
	list := make([][]byte, 0, len(hashes))
	for _, h := range hashes {
		list = append(list, h[:])
	}
	var rows []TokenRow
	err := d.InSystem(ctx, "a token comes before its tenant is known", func(tx *SystemTx) error {
		return tx.scan("find token", &rows, `select tenant_id, token_id, member_id, coalesce(array_to_string(roles, ','), '') as roles from api_token where token_hash in ? and revoked_at is null and expires_at > ?`, list, tx.Now)
	})
	if err != nil || len(rows) == 0 {
		return TokenRow{}, false, err
	}
	return rows[0], true, nil
}

// UseToken notes that a token was used, at most once in an interval.
func (t *Tx) UseToken(token id.Token, every time.Duration) error {
	return t.exec("use token", `update api_token set last_used_at = $3 where tenant_id = $1 and token_id = $2 and (last_used_at is null or last_used_at <= $4)`,
		t.Tenant, token, t.Now, t.Now.Add(-every))
}

// RevokeToken ends a token; false when it has ended already or is not there.
func (t *Tx) RevokeToken(token id.Token, change id.Change) (bool, error) {
	var ended bool
	_, err := t.row("revoke token", []any{&ended}, `update api_token set revoked_at = $3, end_change_id = $4 where tenant_id = $1 and token_id = $2 and revoked_at is null returning true`,
		t.Tenant, token, t.Now, change)
	return ended, err
}

// TokenListRow is an API token as lists show it; the token itself is never stored.
type TokenListRow struct {
	TokenID    id.Token
	MemberID   id.Member
	Label      string
	Roles      string
	RecordedAt time.Time
	ExpiresAt  time.Time
	LastUsedAt *time.Time
	RevokedAt  *time.Time
	NameSealed []byte // of the member's person
	PersonID   id.Person
	Suspended  bool
	Number     int64 // of the change that made it
	Maker      string
}

// ErrTokenAbsent reports a token that is not there, or not this tenant's.
var ErrTokenAbsent = fault.New(fault.KindNotFound, "token_absent", "There is no such token.")

const tokenSelect = `select k.token_id, k.member_id, k.label, coalesce(array_to_string(k.roles, ','), '') as roles, k.recorded_at, k.expires_at, k.last_used_at, k.revoked_at,
	with_shard(p.tenant_id, 'person', p.person_id, 'name', p.name_sealed) as name_sealed, p.person_id, m.suspended_at is not null as suspended, coalesce(c.number, 0) as number, coalesce(c.maker, '') as maker
	from api_token k join member m on m.tenant_id = k.tenant_id and m.member_id = k.member_id
	join person p on p.tenant_id = m.tenant_id and p.person_id = m.person_id
	left join change c on c.tenant_id = k.tenant_id and c.change_id = k.change_id where k.tenant_id = ?`

// Tokens lists API tokens, of one member or all (zero), newest first.
func (t *Tx) Tokens(member id.Member, limit int) ([]TokenListRow, error) {
	var rows []TokenListRow
	err := t.scan("list tokens", &rows, tokenSelect+` and (?::uuid is null or k.member_id = ?::uuid) order by k.token_id desc limit ?`, t.Tenant, member, member, limit)
	return rows, err
}

// Token reads one API token.
func (t *Tx) Token(token id.Token) (TokenListRow, error) {
	var rows []TokenListRow
	if err := t.scan("read token", &rows, tokenSelect+` and k.token_id = ?`, t.Tenant, token); err != nil {
		return TokenListRow{}, err
	}
	if len(rows) == 0 {
		return TokenListRow{}, ErrTokenAbsent
	}
	return rows[0], nil
}

package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"tollbook/app/id"
	"tollbook/app/secret"
)

// AddSignUp stores an attempt to sign up and forgets expired ones. It belongs to the
// installation: there is no tenant yet.
func (d *DB) AddSignUp(ctx context.Context, signUp id.SignUp, state secret.Hash, ticketSealed []byte, life time.Duration) error {
	now := d.instant()
	if _, err := d.pool.Exec(ctx, `delete from sign_up where expires_at < $1`, now.Add(-time.Hour)); err != nil {
		return fmt.Errorf("forget old sign-ups: %w", translate(err))
	}
	_, err := d.pool.Exec(ctx, `insert into sign_up (sign_up_id, state_hash, ticket_sealed, recorded_at, expires_at) values ($1, $2, $3, $4, $5)`,
		signUp.UUID(), state[:], ticketSealed, now, now.Add(life))
	if err != nil {
		return fmt.Errorf("add sign-up: %w", translate(err))
	}
	return nil
}

// SignUpRow is an attempt to sign up whose state came back, or whom it was vouched for.
type SignUpRow struct {
	StateHash    []byte
	TicketSealed []byte
	ClaimsSealed []byte
	TokenHash    []byte
	Founded      bool
}

// TakeSignUp uses an attempt's state up: a second use, or a late one, finds nothing.
func (d *DB) TakeSignUp(ctx context.Context, signUp id.SignUp) (SignUpRow, bool, error) {
	var r SignUpRow
	err := d.pool.QueryRow(ctx, `update sign_up set used_at = $2 where sign_up_id = $1 and used_at is null and expires_at > $2 returning state_hash, ticket_sealed`, signUp.UUID(), d.instant()).
		Scan(&r.StateHash, &r.TicketSealed)
	return foundRow("take sign-up", r, err)
}

// VouchSignUp stores whom the issuer vouched for, once.
func (d *DB) VouchSignUp(ctx context.Context, signUp id.SignUp, claimsSealed []byte, token secret.Hash, life time.Duration) error {
	now := d.instant()
	tag, err := d.pool.Exec(ctx, `update sign_up set claims_sealed = $2, token_hash = $3, expires_at = $4 where sign_up_id = $1 and used_at is not null and claims_sealed is null`,
		signUp.UUID(), claimsSealed, token[:], now.Add(life))
	if err == nil && tag.RowsAffected() != 1 {
		err = errors.New("nobody came back")
	}
	if err != nil {
		return fmt.Errorf("vouch: %w", translate(err))
	}
	return nil
}

// SignUp finds whom an issuer vouched for, until the attempt expires.
func (d *DB) SignUp(ctx context.Context, signUp id.SignUp) (SignUpRow, bool, error) {
	var r SignUpRow
	err := d.pool.QueryRow(ctx, `select claims_sealed, token_hash, founded_at is not null from sign_up where sign_up_id = $1 and claims_sealed is not null and expires_at > $2`, signUp.UUID(), d.instant()).
		Scan(&r.ClaimsSealed, &r.TokenHash, &r.Founded)
	return foundRow("read sign-up", r, err)
}

func foundRow(step string, r SignUpRow, err error) (SignUpRow, bool, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return SignUpRow{}, false, nil
	}
	if err != nil {
		return SignUpRow{}, false, fmt.Errorf("%s: %w", step, translate(err))
	}
	return r, true, nil
}

func (d *DB) instant() time.Time { return d.now().UTC().Truncate(time.Microsecond) }

// UseSignUp marks an attempt as the one a company was founded with; a second use finds
// nothing.
func (t *Tx) UseSignUp(signUp id.SignUp) (bool, error) {
	var used bool
	_, err := t.row("use sign-up", []any{&used}, `update sign_up set founded_at = $2
		where sign_up_id = $1 and founded_at is null and claims_sealed is not null and expires_at > $2 returning true`, signUp, t.Now)
	return used, err
}

// LockFoundings makes the transaction the only one that founds a company.
func (t *Tx) LockFoundings() error {
	return t.exec("lock foundings", `select pg_advisory_xact_lock(hashtextextended('foundings', 0))`)
}

// Foundings counts the companies that an identity founded, and those that anybody did
// since an instant.
func (d *DB) Foundings(ctx context.Context, issuer, subject string, since time.Time) (own, all int, err error) {
	var rows []struct{ Own, Latest int }
	err = d.InSystem(ctx, "a person's other companies are other tenants, and a day's are everybody's", func(tx *SystemTx) error {
		return tx.scan("count foundings", &rows, `select (select count(*) from founding where issuer = @issuer and subject = @subject) as own,
			(select count(*) from founding where recorded_at >= @since) as latest`, map[string]any{"issuer": issuer, "subject": subject, "since": since})
	})
	if err != nil || len(rows) == 0 {
		return 0, 0, err
	}
	return rows[0].Own, rows[0].Latest, nil
}

// FoundingRow says that a person founded the tenant, and who.
type FoundingRow struct {
	MemberID   id.Member
	IssuerID   id.Issuer
	Issuer     string
	Subject    string
	RecordedAt time.Time
	ChangeID   id.Change
}

// AddFounding says that a person founded the tenant.
func (t *Tx) AddFounding(r *FoundingRow) error {
	return t.exec("add founding", `insert into founding (tenant_id, member_id, issuer_id, issuer, subject, recorded_at, change_id) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, r.MemberID, r.IssuerID, r.Issuer, r.Subject, t.Now, r.ChangeID)
}

// Founding reads who founded the tenant; found is false where the installation's operator
// made it.
func (t *Tx) Founding() (r FoundingRow, found bool, err error) {
	found, err = t.row("read founding", []any{&r.MemberID, &r.IssuerID, &r.Issuer, &r.Subject, &r.RecordedAt, &r.ChangeID},
		`select member_id, issuer_id, issuer, subject, recorded_at, change_id from founding where tenant_id = $1`, t.Tenant)
	return r, found, err
}

// FirstPriced finds the tenant's first request with a final price. Plan: the primary key,
// partition by partition, to the first such row.
func (t *Tx) FirstPriced() (event id.Event, found bool, err error) {
	found, err = t.row("find first priced request", []any{&event}, `select event_id from usage_event where tenant_id = $1 and state = 'complete'
		order by occurred_at, event_id limit 1`, t.Tenant)
	return event, found, err
}

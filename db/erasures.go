package db

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"tollbook/app/id"
)

// ErasureRow is one subject whose keys an applied change destroyed.
type ErasureRow struct {
	ChangeID  id.Change
	Number    int64
	Kind      string // person or developer
	SubjectID id.Person
	Erased    []byte // counts, as JSON
	ErasedAt  time.Time
}

// Erase destroys the keys that an approved change of this tenant names, once.
func (t *Tx) Erase(change id.Change) error {
	return t.exec("erase", `select erase($1)`, change)
}

// Erasures lists what was erased, newest first; of one change, or all (zero).
func (t *Tx) Erasures(change id.Change, limit int) ([]ErasureRow, error) {
	var rows []ErasureRow
	err := t.scan("list erasures", &rows, `select e.change_id, c.number, e.kind, e.subject_id, e.erased, e.erased_at from erasure e
		join change c on c.tenant_id = e.tenant_id and c.change_id = e.change_id
		where e.tenant_id = ? and (?::uuid is null or e.change_id = ?::uuid) order by e.erased_at desc, e.change_id, e.kind desc, e.subject_id limit ?`, t.Tenant, change, change, limit)
	return rows, err
}

// Trace counts what holds something of a person and is out of an erasure's reach.
type Trace struct {
	Decisions  int64 // that an issuer confirmed: its tokens are evidence
	Deliveries int64 // mail that was sent to them
	Exports    int64 // of the company's data or log, made before now
}

// TraceOf counts what an erasure of a person does not reach.
func (t *Tx) TraceOf(person id.Person) (Trace, error) {
	var found Trace
	_, err := t.row("count what is out of reach", []any{&found.Decisions, &found.Deliveries, &found.Exports}, `select
		(select count(*) from decision_confirmation o join decision_document d on d.tenant_id = o.tenant_id and d.decision_id = o.decision_id
			join member m on m.tenant_id = d.tenant_id and m.member_id = d.member_id where o.tenant_id = $1 and m.person_id = $2),
		(select count(*) from notice_delivery n join member m on m.tenant_id = n.tenant_id and m.member_id = n.member_id where n.tenant_id = $1 and m.person_id = $2),
		(select count(*) from audit_record r where r.tenant_id = $1 and r.action in ('tenant.exported', 'log.exported'))`, t.Tenant, person)
	return found, err
}

// PersonErased tells when a person was erased; nil: not.
func (t *Tx) PersonErased(person id.Person) (*time.Time, error) {
	var at *time.Time
	_, err := t.row("read person", []any{&at}, `select erased_at from person where tenant_id = $1 and person_id = $2`, t.Tenant, person)
	return at, err
}

// ErasedBy finds the change that erased a person; zero: none did.
func (t *Tx) ErasedBy(person id.Person) (id.Change, error) {
	var change id.Change
	_, err := t.row("find erasure", []any{&change}, `select change_id from erasure where tenant_id = $1 and kind = 'person' and subject_id = $2 order by erased_at limit 1`, t.Tenant, person)
	return change, err
}

// DumpedErasure is an erasure as a backup's keys name it.
type DumpedErasure struct {
	Tenant, Kind, Subject, Change string // UUIDs
	ErasedAt                      time.Time
}

// Erasures reads whose keys were destroyed, of every tenant.
func (d *Dump) Erasures(ctx context.Context) ([]DumpedErasure, error) {
	var there bool
	if err := d.tx.QueryRow(ctx, `select to_regclass('public.erasure') is not null`).Scan(&there); err != nil || !there {
		return nil, err // a schema of before there were any
	}
	rows, err := d.tx.Query(ctx, `select tenant_id::text, kind, subject_id::text, change_id::text, erased_at from erasure order by erased_at, change_id, kind, subject_id`)
	if err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[DumpedErasure])
}

// Erase applies again what was erased, after the backup or before it: keys that are older
// than the rows may have come back. It tells how many subjects of it are in these rows.
func (r *Restore) Erase(ctx context.Context, list []DumpedErasure) (int, error) {
	again := 0
	err := pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select tenant_id::text, kind, subject_id::text, change_id::text, erased_at from erasure`)
		if err != nil {
			return fmt.Errorf("list erasures: %w", err)
		}
		known, err := pgx.CollectRows(rows, pgx.RowToStructByPos[DumpedErasure])
		if err != nil {
			return fmt.Errorf("list erasures: %w", err)
		}
		for _, e := range known {
			if !slices.Contains(list, e) {
				list = append(list, e)
			}
		}
		for _, e := range list {
			var here bool
			if err := tx.QueryRow(ctx, `select exists(select from person where tenant_id = $1::text::uuid and person_id = $2::text::uuid) or exists(select from developer where tenant_id = $1::text::uuid and developer_id = $2::text::uuid)`,
				e.Tenant, e.Subject).Scan(&here); err != nil {
				return fmt.Errorf("find whom to erase again: %w", err)
			}
			if !here {
				continue // came after the backup, or is of a company that is not in it
			}
			if _, err := tx.Exec(ctx, `select erase_subject($1::text::uuid, $2, $3::text::uuid, $4)`, e.Tenant, e.Kind, e.Subject, e.ErasedAt); err != nil {
				return fmt.Errorf("erase again: %w", err)
			}
			again++
		}
		return nil
	})
	return again, err
}

package app

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/db"
)

// OutsideHead is what a head held outside of the database says about a log.
type OutsideHead struct {
	Head int64  // records the head covers
	Size int64  // records there are
	Why  string // what is wrong; empty: the log begins with what was signed
}

// CompareOutside compares a tenant's log with a signed head that was held where nobody who
// can change the database can change it. The head must be signed by a key of this log.
func (l *Log) CompareOutside(ctx context.Context, tenant id.Tenant, message []byte) (OutsideHead, error) {
	var found OutsideHead
	err := l.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		verifiers, err := l.trusted(tx)
		if err != nil {
			return err
		}
		head, err := auditlog.OpenCheckpoint(message, verifiers)
		if err != nil {
			return err
		}
		if found.Head = head.Size; head.Origin != auditlog.Origin(tenant) {
			found.Why = fmt.Sprintf("that head is of another log, %s", head.Origin)
			return nil
		}
		if found.Size, err = tx.LogSize(); err != nil {
			return err
		}
		if found.Size < head.Size {
			found.Why = fmt.Sprintf("records %d to %d are missing: a head of %d records is held outside, and there are %d", found.Size, head.Size-1, head.Size, found.Size)
			return nil
		}
		root, err := auditlog.RootAt(head.Size, tx.LogNodes)
		if err == nil && !bytes.Equal(root[:], head.Root[:]) {
			found.Why = fmt.Sprintf("its first %d records are not those whose head is held outside", head.Size)
		}
		return err
	})
	if err != nil {
		return found, fmt.Errorf("compare log with the head held outside: %w", err)
	}
	return found, nil
}

// trusted are the keys that signed this log before, and the one that would now.
func (l *Log) trusted(tx *db.Tx) (note.Verifiers, error) {
	keys, err := tx.LogKeys()
	if err != nil {
		return nil, err
	}
	if here, ok := l.signer.(seedSigner); ok {
		own, err := here.authority.HeadKeys(tx.Tenant)
		if err != nil {
			return nil, err
		}
		for _, k := range own {
			if !slices.Contains(keys, k.Verifier) { // twice is ambiguous to note
				keys = append(keys, k.Verifier)
			}
		}
	}
	return auditlog.Verifiers(keys)
}

// Restored is what a tenant's log says of a restore.
type Restored struct {
	Backup  string // its name
	AsOf    string // of its rows
	Rows    int64  // of all tenants
	Erased  int    // persons whose erasure was applied again
	Release string // that made it
}

// NoteRestored records in a tenant's log that its installation was restored from a backup:
// what came after the backup is not there, and whoever reads the log has to know.
func (l *Log) NoteRestored(ctx context.Context, tenant id.Tenant, r Restored) error {
	return l.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		return tx.AppendAudit(auditlog.Record{Action: "installation.restored", Actor: Command(tenant).ID(), Detail: map[string]any{
			"backup": r.Backup, "as_of": r.AsOf, "rows": r.Rows, "erased_again": r.Erased, "release": r.Release,
		}})
	})
}

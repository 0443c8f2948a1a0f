package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/db"
)

// LogKey is a key of a log, and how it came to it.
type LogKey struct {
	Verifier   string
	Decisions  bool   // it signs decisions; otherwise heads
	EndorsedBy string // the key before that named it; empty: none did
	First      bool   // there was none before
	UsedAt     time.Time
	EndedAt    time.Time // zero: it was not replaced
	EndedSize  int64     // of the first head that it did not sign any more
}

// Broken tells that nothing but a witness can vouch for the key: it follows others, and
// none of them named it.
func (k *LogKey) Broken() bool { return !k.First && k.EndorsedBy == "" }

// Keys lists the keys that signed a tenant's log and its decisions, oldest first.
func (l *Log) Keys(ctx context.Context, who Actor) ([]LogKey, error) {
	if err := l.access.Check(who, "audit", "read"); err != nil {
		return nil, err
	}
	var keys []LogKey
	err := l.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.LogKeyRows()
		if err != nil {
			return err
		}
		keys, err = logKeys(tx, rows)
		return err
	})
	return keys, err
}

func logKeys(tx *db.Tx, rows []db.LogKeyRow) ([]LogKey, error) {
	heads, err := tx.Checkpoints(maxSize, 1)
	if err != nil {
		return nil, err
	}
	var all, now []string
	for i := range rows {
		all = append(all, rows[i].Verifier)
	}
	if len(heads) == 1 {
		now = auditlog.SignedBy(heads[0].Message, all)
	}
	keys, seen := make([]LogKey, 0, len(rows)), map[string]bool{}
	for i := range rows { // a key that names itself, or one before it, vouches for nothing
		name, _, _ := strings.Cut(rows[i].Verifier, "+")
		key := LogKey{Verifier: rows[i].Verifier, Decisions: name != auditlog.Origin(tx.Tenant), First: !seen[name], UsedAt: rows[i].RecordedAt.UTC()}
		seen[name] = true
		key.EndorsedBy, _ = auditlog.Endorser(auditlog.PublicKey{Verifier: key.Verifier, Endorsed: rows[i].Endorsed}, all[:i])
		if rows[i].EndedAt != nil && !slices.Contains(now, key.Verifier) {
			key.EndedAt, key.EndedSize = rows[i].EndedAt.UTC(), rows[i].EndedSize
		}
		keys = append(keys, key)
	}
	return keys, nil
}

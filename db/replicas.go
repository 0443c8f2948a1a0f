package db

import (
	"context"
	"fmt"
	"time"

	"tollbook/app/id"
)

// ReplicaState is how far one gateway's journal has reached the ledger.
type ReplicaState struct {
	ReplicaID      id.Replica
	StartedAt      time.Time
	SeenAt         time.Time
	FlushedThrough time.Time // every request that started before it is in the ledger
	Pending        int64     // requests in the journal, not yet in the ledger
	JournalBytes   int64
	EndedAt        *time.Time
}

// PublishReplica stores a gateway's state. It belongs to the installation, so no
// tenant scope applies.
func (d *DB) PublishReplica(ctx context.Context, s ReplicaState) error {
	_, err := d.pool.Exec(ctx, `insert into replica (replica_id, started_at, seen_at, flushed_through, pending, journal_bytes, ended_at)
		values ($1, $2, $3, $4, $5, $6, $7) on conflict (replica_id) do update set seen_at = excluded.seen_at,
		flushed_through = excluded.flushed_through, pending = excluded.pending, journal_bytes = excluded.journal_bytes, ended_at = excluded.ended_at`,
		s.ReplicaID.UUID(), s.StartedAt, s.SeenAt, s.FlushedThrough, s.Pending, s.JournalBytes, s.EndedAt)
	if err != nil {
		return fmt.Errorf("publish replica: %w", translate(err))
	}
	return nil
}

// Replicas lists gateways that have not ended, oldest first.
func (d *DB) Replicas(ctx context.Context) ([]ReplicaState, error) {
	var rows []ReplicaState
	err := d.app.WithContext(ctx).Raw(`select replica_id, started_at, seen_at, flushed_through, pending, journal_bytes, ended_at
		from replica where ended_at is null order by started_at limit 1000`).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list replicas: %w", translate(err))
	}
	return rows, nil
}

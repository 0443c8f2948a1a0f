package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Pool is the state of one pool of connections at one moment.
type Pool struct {
	Role      string // app or system
	Max       int32
	Open      int32
	InUse     int32
	Waited    int64         // times somebody had to wait for a connection, since the start
	WaitedFor time.Duration // in all
	Canceled  int64         // times somebody gave up waiting
}

// Pools reports both pools.
func (d *DB) Pools() []Pool {
	read := func(role string, p *pgxpool.Pool) Pool {
		s := p.Stat()
		return Pool{
			Role: role, Max: s.MaxConns(), Open: s.TotalConns(), InUse: s.AcquiredConns(),
			Waited: s.EmptyAcquireCount(), WaitedFor: s.EmptyAcquireWaitTime(), Canceled: s.CanceledAcquireCount(),
		}
	}
	return []Pool{read("app", d.pool), read("system", d.look)}
}

// JobCount counts jobs of one kind in one state.
type JobCount struct {
	Kind, State string
	Count       int64
	Late        time.Duration // since the oldest of them was due; zero if none is
}

// JobCounts counts the jobs that are not done, and those that were given up. It reads
// River's own tables, which hold no tenant's data.
func (d *DB) JobCounts(ctx context.Context) ([]JobCount, error) {
	rows, err := d.pool.Query(ctx, `select kind, state::text, count(*), greatest(coalesce(extract(epoch from now() - min(scheduled_at)), 0), 0)::float8
		from river.river_job where state in ('available', 'pending', 'retryable', 'running', 'scheduled', 'discarded')
		group by kind, state order by kind, state limit 200`)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", translate(err))
	}
	defer rows.Close()
	var counts []JobCount
	for rows.Next() {
		var c JobCount
		var late float64
		if err := rows.Scan(&c.Kind, &c.State, &c.Count, &late); err != nil {
			return nil, fmt.Errorf("count jobs: %w", translate(err))
		}
		c.Late = time.Duration(late * float64(time.Second))
		counts = append(counts, c)
	}
	return counts, translate(rows.Err())
}

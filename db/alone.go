package db

import (
	"context"
	"fmt"
	"time"
)

// letGoWithin bounds giving up a name; a connection that cannot is closed, which does so too.
const letGoWithin = 5 * time.Second

// Alone runs something while nobody else, in any process, runs what has the same name; ran is
// false where somebody does. It holds one connection as long. A process that ends lets go.
func (d *DB) Alone(ctx context.Context, name string, run func(context.Context) error) (ran bool, err error) {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return false, fmt.Errorf("connect: %w", translate(err))
	}
	defer conn.Release()
	if err := conn.QueryRow(ctx, `select pg_try_advisory_lock(hashtextextended($1, 0))`, name).Scan(&ran); err != nil {
		return false, fmt.Errorf("take %s: %w", name, translate(err))
	}
	if !ran {
		return false, nil
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoWithin)
		defer cancel()
		if _, failed := conn.Exec(last, `select pg_advisory_unlock(hashtextextended($1, 0))`, name); failed != nil {
			_ = conn.Conn().Close(last) // the pool throws it away
		}
	}()
	return true, run(ctx)
}

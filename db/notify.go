package db

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tollbook/app/id"
)

// noticeChannel carries the id of a tenant whose snapshot changed.
const noticeChannel = "tollbook_snapshot"

// Notify tells every gateway, after commit, that this tenant's snapshot changed.
func (t *Tx) Notify() {
	if text := t.Tenant.UUID(); !slices.Contains(t.notices, text) {
		t.notices = append(t.notices, text)
	}
}

func (t *Tx) sendNotices() error {
	for _, text := range t.notices {
		if err := t.exec("notify gateways", `select pg_notify($1, $2)`, noticeChannel, text); err != nil {
			return err
		}
	}
	return nil
}

// Listen calls changed for each notice and connected each time the line is up
// (again), until ctx ends. It returns when the line breaks; call it again.
func (d *DB) Listen(ctx context.Context, connected func(), changed func(id.Tenant)) error {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return translate(fmt.Errorf("listen: %w", err))
	}
	// The connection keeps its LISTEN, so it must not go back to the pool.
	raw := conn.Hijack()
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = raw.Close(closing)
	}()
	if _, err := raw.Exec(ctx, "listen "+noticeChannel); err != nil {
		return translate(fmt.Errorf("listen: %w", err))
	}
	connected()
	for {
		notice, err := raw.WaitForNotification(ctx)
		if err != nil {
			return translate(fmt.Errorf("listen: %w", err))
		}
		if tenant, err := id.ParseTenant(notice.Payload); err == nil {
			changed(tenant)
		}
	}
}

package db

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Recreate makes an empty database of that name on the server a superuser's URL
// leads to, dropping what has the name. The demo begins an interrupted seed anew
// with it; nothing else may.
func Recreate(ctx context.Context, url, name string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	quoted := pgx.Identifier{name}.Sanitize()
	for _, statement := range []string{"drop database if exists " + quoted + " with (force)", "create database " + quoted} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("recreate database %s: %w", name, err)
		}
	}
	return nil
}

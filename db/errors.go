package db

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"tollbook/app/fault"
)

// ErrUnavailable reports a database that does not answer now: try again later.
var ErrUnavailable = fault.New(fault.KindUnavailable, "database_unavailable", "The database does not answer. Try again in a moment.")

// ErrTaken reports a row that exists already.
var ErrTaken = fault.New(fault.KindConflict, "taken", "That exists already.")

// ErrRowRefused reports a row the schema does not accept: trying again is no use.
var ErrRowRefused = fault.New(fault.KindInvalid, "row_refused", "The database refused a row.")

// ErrSlow reports a statement that a limit of LimitStatements ended.
var ErrSlow = fault.New(fault.KindInvalid, "query_slow",
	"This would read more requests than three seconds allow. Narrow it: fewer days first, then a cost center, a key, a developer or a model.")

// timedOut tells a statement that ran out of its time from one that was called off.
func timedOut(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "57014" && strings.Contains(pg.Message, "statement timeout")
}

// translate turns what Postgres says into kinds, once, at the opener.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Fault](err); ok {
		return err
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case pg.Code == "23505":
			return ErrTaken.Because(err)
		case strings.HasPrefix(pg.Code, "22"), strings.HasPrefix(pg.Code, "23"), strings.HasPrefix(pg.Code, "54"), strings.HasPrefix(pg.Code, "TB"):
			return ErrRowRefused.Because(err)
		case strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "57"),
			strings.HasPrefix(pg.Code, "40"), strings.HasPrefix(pg.Code, "55"):
			return ErrUnavailable.Because(err)
		}
		return err
	}
	var network net.Error
	var connect *pgconn.ConnectError
	if errors.As(err, &network) || errors.As(err, &connect) || errors.Is(err, context.DeadlineExceeded) ||
		pgconn.SafeToRetry(err) || gone(err.Error()) {
		return ErrUnavailable.Because(err)
	}
	return err
}

// gone tells what pgx and database/sql say, in words alone, of a connection that ended
// or a pool that is being let go of.
func gone(text string) bool {
	for _, words := range []string{"conn closed", "closed pool", "database is closed", "unexpected EOF"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

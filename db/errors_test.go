package db

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"tollbook/app/fault"
)

func TestWhatPostgresSaysBecomesAKind(t *testing.T) {
	t.Parallel()
	require.NoError(t, translate(nil))
	own := fault.Invalid("x", "own", "x")
	plain := errors.New("plain")
	said := func(code string) error { return fmt.Errorf("step: %w", &pgconn.PgError{Code: code, Message: "said"}) }
	for name, c := range map[string]struct {
		err  error
		kind fault.Kind
		is   error
	}{
		"a fault of ours":             {fmt.Errorf("step: %w", own), fault.KindInvalid, own},
		"a fault over Postgres":       {own.Because(said("23505")), fault.KindInvalid, own},
		"unique":                      {said("23505"), fault.KindConflict, ErrTaken},
		"foreign key":                 {said("23503"), fault.KindInvalid, ErrRowRefused},
		"check, or no partition":      {said("23514"), fault.KindInvalid, ErrRowRefused},
		"not null":                    {said("23502"), fault.KindInvalid, ErrRowRefused},
		"bytes that are no text":      {said("22021"), fault.KindInvalid, ErrRowRefused},
		"number out of range":         {said("22003"), fault.KindInvalid, ErrRowRefused},
		"NUL in jsonb":                {said("22P05"), fault.KindInvalid, ErrRowRefused},
		"too long for an index":       {said("54000"), fault.KindInvalid, ErrRowRefused},
		"append-only":                 {said("TB001"), fault.KindInvalid, ErrRowRefused},
		"a month not kept":            {said("TB002"), fault.KindInvalid, ErrRowRefused},
		"deadlock":                    {said("40P01"), fault.KindUnavailable, ErrUnavailable},
		"serialization":               {said("40001"), fault.KindUnavailable, ErrUnavailable},
		"too many connections":        {said("53300"), fault.KindUnavailable, ErrUnavailable},
		"disk full":                   {said("53100"), fault.KindUnavailable, ErrUnavailable},
		"shutting down":               {said("57P01"), fault.KindUnavailable, ErrUnavailable},
		"statement limit":             {said("57014"), fault.KindUnavailable, ErrUnavailable},
		"lock not available":          {said("55P03"), fault.KindUnavailable, ErrUnavailable},
		"connection lost":             {said("08006"), fault.KindUnavailable, ErrUnavailable},
		"no privilege is our mistake": {said("42501"), fault.KindInternal, nil},
		"no table is our mistake":     {said("42P01"), fault.KindInternal, nil},
		"read-only is our mistake":    {said("25006"), fault.KindInternal, nil},
		"network":                     {fmt.Errorf("x: %w", &net.OpError{Op: "dial", Err: plain}), fault.KindUnavailable, ErrUnavailable},
		"deadline":                    {fmt.Errorf("x: %w", context.DeadlineExceeded), fault.KindUnavailable, ErrUnavailable},
		"a pool let go of":            {errors.New("sql: database is closed"), fault.KindUnavailable, ErrUnavailable},
		"a closed pool":               {errors.New("closed pool"), fault.KindUnavailable, ErrUnavailable},
		"closed":                      {errors.New("conn closed"), fault.KindUnavailable, ErrUnavailable},
		"cut":                         {errors.New("unexpected EOF"), fault.KindUnavailable, ErrUnavailable},
		"anything else":               {plain, fault.KindInternal, plain},
		"somebody gave up":            {context.Canceled, fault.KindInternal, context.Canceled},
	} {
		got := translate(c.err)
		require.Equal(t, c.kind, fault.KindOf(got), name)
		require.ErrorIs(t, got, c.err, name)
		if c.is != nil {
			require.ErrorIs(t, got, c.is, name)
		}
		if c.kind == fault.KindUnavailable || errors.Is(got, ErrRowRefused) {
			require.NotContains(t, fault.From(got).Message, "said", "what Postgres says is logged, never shown")
		}
	}
}

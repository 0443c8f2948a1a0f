package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/db/dbtest"
)

// TestASignUpIsTakenVouchedForAndUsedOnce takes an attempt through its states, each of
// which happens once and in its time.
func TestASignUpIsTakenVouchedForAndUsedOnce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	clone := dbtest.New(t, func(c *db.Config) { c.Now = func() time.Time { return now } })
	ctx, tenant := t.Context(), id.NewTenant(now)
	use := func(signUp id.SignUp) bool {
		var used bool
		require.NoError(t, clone.InTenant(ctx, tenant, func(tx *db.Tx) error {
			var err error
			used, err = tx.UseSignUp(signUp)
			return err
		}))
		return used
	}
	signUp, state, token := id.NewSignUp(now), secret.Hash{1}, secret.Hash{2}
	require.NoError(t, clone.AddSignUp(ctx, signUp, state, []byte("ticket"), 10*time.Minute))
	require.Error(t, clone.VouchSignUp(ctx, signUp, []byte("claims"), token, time.Hour), "nobody came back yet")
	_, found, err := clone.TakeSignUp(ctx, id.NewSignUp(now))
	require.NoError(t, err)
	require.False(t, found)
	row, found, err := clone.TakeSignUp(ctx, signUp)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, []any{state[:], []byte("ticket")}, []any{row.StateHash, row.TicketSealed})
	_, found, err = clone.TakeSignUp(ctx, signUp)
	require.NoError(t, err)
	require.False(t, found, "once")
	_, found, err = clone.SignUp(ctx, signUp)
	require.NoError(t, err)
	require.False(t, found, "nobody is vouched for")
	require.False(t, use(signUp))

	require.NoError(t, clone.VouchSignUp(ctx, signUp, []byte("claims"), token, time.Hour))
	require.Error(t, clone.VouchSignUp(ctx, signUp, []byte("others"), token, time.Hour), "once")
	row, found, err = clone.SignUp(ctx, signUp)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, []any{[]byte("claims"), token[:], false}, []any{row.ClaimsSealed, row.TokenHash, row.Founded})
	require.True(t, use(signUp))
	require.False(t, use(signUp), "once")

	late := id.NewSignUp(now)
	require.NoError(t, clone.AddSignUp(ctx, late, state, []byte("ticket"), 10*time.Minute))
	now = now.Add(11 * time.Minute)
	_, found, err = clone.TakeSignUp(ctx, late)
	require.NoError(t, err)
	require.False(t, found, "in its time")
	now = now.Add(2 * time.Hour)
	_, found, err = clone.SignUp(ctx, signUp)
	require.NoError(t, err)
	require.False(t, found)
	require.NoError(t, clone.AddSignUp(ctx, id.NewSignUp(now), state, []byte("ticket"), time.Minute))
	var left int
	require.NoError(t, clone.Admin(t).QueryRow(`select count(*) from sign_up`).Scan(&left))
	require.Equal(t, 1, left, "what is over is forgotten")
}

// TestFoundingsAreCountedOverTheInstallation counts one identity's and a day's.
func TestFoundingsAreCountedOverTheInstallation(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	one, two := newScene("one").furnish(t, clone), newScene("two").furnish(t, clone)
	for _, s := range []*scene{one, two} {
		own, all, err := clone.Foundings(t.Context(), "https://idp", s.mark("subject"), time.Now().Add(-time.Hour))
		require.NoError(t, err)
		require.Equal(t, []int{1, 2}, []int{own, all})
	}
	own, all, err := clone.Foundings(t.Context(), "https://other", one.mark("subject"), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, []int{0, 0}, []int{own, all})
}

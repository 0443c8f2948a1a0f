package db_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/provider"
	"tollbook/db"
	"tollbook/db/dbtest"
)

func (s *scene) source(change id.Change) *db.SourceRow {
	return &db.SourceRow{
		BaseURL: "https://" + s.mark("provider"), CredentialSealed: []byte("sealed"), GatewayKeys: s.mark("apikey_1") + "\n" + s.mark("apikey_2"),
		FirstDay: s.month.Start(), SettleHours: 24, RepullDays: 30, EffectiveFrom: s.month.Start(), ChangeID: change,
	}
}

func (s *scene) figure(report provider.Report) provider.Figure {
	return provider.Figure{Report: report, Day: s.month.Start(), Key: s.mark("apikey_1"), Model: s.mark("model"), Class: "input", Quantity: 3, List: 5, Amount: 4}
}

func (s *scene) page(pull id.Pull, tx *db.Tx) *db.PageRow {
	return &db.PageRow{PullID: pull, Place: 1, API: "analytics", Request: "/" + s.mark("request"), HTTPStatus: 200, Content: []byte(s.mark("page")), FetchedAt: tx.Now}
}

func (s *scene) pulls(t *testing.T, tx *db.Tx) {
	t.Helper()
	require.NoError(t, tx.AddSource(s.source(s.change.ID)))
	record := id.NewRecord(tx.Now)
	require.NoError(t, tx.AppendAudit(auditlog.Record{ID: record, Action: "provider.pulled", Actor: "system"}))
	end := func(number int64, report provider.Report) id.Pull {
		pull := id.NewPull(tx.Now)
		require.NoError(t, tx.AddPull(pull, number, report, s.month.Start(), 1))
		kept, err := tx.AddPage(s.page(pull, tx))
		require.NoError(t, err)
		require.True(t, kept)
		kept, err = tx.AddPage(s.page(pull, tx))
		require.NoError(t, err)
		require.False(t, kept)
		require.NoError(t, tx.EndPull(&db.PullEnd{
			PullID: pull, State: "finished", API: "analytics", Pages: 1, PagesDigest: []byte(s.mark("pages")), Digest: []byte(s.mark("digest")), Figures: 1,
			RefreshedAt: tx.Now, AsOf: tx.Now, Unread: []string{s.mark("unread"), "more"}, Record: record,
		}))
		return pull
	}
	s.pull = end(1, provider.Usage)
	require.NoError(t, tx.AddFigures(s.pull, []provider.Figure{s.figure(provider.Usage)}))
	require.NoError(t, tx.AddFigures(end(2, provider.Cost), []provider.Figure{s.figure(provider.Cost)}))
	s.names = end(3, provider.Keys)
	require.NoError(t, tx.AddNames(s.names, []provider.Name{{Kind: "key", ID: s.mark("apikey_1"), Name: s.mark("name"), Status: "active", Workspace: s.mark("workspace")}}))
	require.NoError(t, tx.AddNames(end(4, provider.Workspaces), []provider.Name{{Kind: "workspace", ID: s.mark("workspace"), Name: s.mark("name"), Status: "active"}}))
	require.NoError(t, tx.AddPull(id.NewPull(tx.Now), 5, provider.Usage, s.month.Start(), 1)) // under way
}

func readingProvider() map[string]query {
	found := func(row db.PullRow, found bool, err error) (any, error) { return []any{row, found}, err }
	return map[string]query{
		"Sources": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.Sources(50)
			if len(rows) != 1 || len(rows[0].Keys()) != 2 || rows[0].Keys()[0] != mine.mark("apikey_1") {
				err = errors.Join(errors.New("not one's own keys"), err)
			}
			return rows, err
		}},
		"Pull": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.Pull(theirs.pull)
			if found {
				err = errors.Join(errors.New("another's pull"), err)
			}
			return row, err
		}},
		"LastPull": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			return found(tx.LastPull(provider.Usage, mine.month.Start()))
		}},
		"GoodPull": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			return found(tx.GoodPull(provider.Usage, mine.month.Start()))
		}},
		"Pulls": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.Pulls(&db.PullFilter{Limit: 50})
			open, err2 := tx.Pulls(&db.PullFilter{Day: mine.month.Start(), Report: "usage", State: "open", Before: 6, Limit: 50})
			if len(rows) != 5 || len(open) != 1 || rows[1].Names()[1] != "more" || rows[1].Pages != 1 {
				err = errors.Join(errors.New("not one's own pulls"), err)
			}
			return rows, errors.Join(err, err2)
		}},
		"PulledDays": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			rows, err := tx.PulledDays(mine.month.Start())
			if len(rows) != 2 || rows[1].Since == nil {
				err = errors.Join(errors.New("not one's own days"), err)
			}
			return rows, err
		}},
		"PullFailures": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			pull := id.NewPull(tx.Now)
			err := errors.Join(tx.AddPull(pull, 99, provider.Usage, mine.month.Start(), 1),
				tx.EndPull(&db.PullEnd{PullID: pull, State: "failed", PagesDigest: []byte{1}, Reason: "x", Record: mine.batch.Record}))
			f, err2 := tx.PullFailures(1, tx.Now.Add(-time.Hour))
			if err = errors.Join(err, err2); f.Recent != 1 || f.InRow != 1 || f.Last == nil {
				err = errors.Join(errors.New("not one's own failures"), err)
			}
			return f, err
		}},
		"Pages": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.Pages(theirs.pull) }},
		"Page": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) {
			row, found, err := tx.Page(theirs.pull, 1)
			if found {
				err = errors.Join(errors.New("another's page"), err)
			}
			return row, err
		}},
		"ProviderNames": {own, func(tx *db.Tx, _, _ *scene) (any, error) { return tx.ProviderNames() }},
		"FiguresOf": {own, func(tx *db.Tx, mine, _ *scene) (any, error) {
			figures, err := tx.FiguresOf(mine.month.Start())
			if len(figures) != 2 || figures[0].Workspace != mine.mark("workspace") || figures[1].Report != provider.Cost {
				err = errors.Join(errors.New("not one's own figures"), err)
			}
			return figures, err
		}},
		"NamesIn": {absent, func(tx *db.Tx, _, theirs *scene) (any, error) { return tx.NamesIn(theirs.names) }},
		"FiguresIn": {absent, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return tx.FiguresIn(theirs.pull, provider.Usage, mine.month.Start())
		}},
	}
}

func writingProvider() map[string]query {
	return map[string]query{
		"LockSource": {harmless, func(tx *db.Tx, _, _ *scene) (any, error) { return onlyError(tx.LockSource()) }},
		"LockPull": {harmless, func(tx *db.Tx, mine, _ *scene) (any, error) {
			return onlyError(tx.LockPull(provider.Usage, mine.month.Start()))
		}},
		"AddSource": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddSource(mine.source(theirs.change.ID)))
		}},
		"AddPull": {harmless, func(tx *db.Tx, mine, theirs *scene) (any, error) { // the same id is another pull here
			return onlyError(tx.AddPull(theirs.pull, 9, provider.Usage, mine.month.Start(), 1))
		}},
		"AddPage": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) { return tx.AddPage(mine.page(theirs.pull, tx)) }},
		"EndPull": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.EndPull(&db.PullEnd{PullID: theirs.pull, State: "failed", PagesDigest: []byte{1}, Reason: "x", Record: mine.batch.Record}))
		}},
		"AddFigures": {refused, func(tx *db.Tx, mine, theirs *scene) (any, error) {
			return onlyError(tx.AddFigures(theirs.pull, []provider.Figure{mine.figure(provider.Usage)}))
		}},
		"AddNames": {refused, func(tx *db.Tx, _, theirs *scene) (any, error) {
			return onlyError(tx.AddNames(theirs.pull, []provider.Name{{Kind: "key", ID: "x"}}))
		}},
	}
}

// TestFiguresAreThoseOfThePullThatCounts has a day pulled again: as it was, changed, and in
// vain.
func TestFiguresAreThoseOfThePullThatCounts(t *testing.T) {
	t.Parallel()
	s := newScene("one")
	clone := dbtest.New(t)
	s.furnish(t, clone)
	at := func(n int64) *provider.Figure { f := s.figure(provider.Usage); f.Quantity = n; return &f }
	again := func(number int64, state string, same id.Pull, f *provider.Figure) {
		require.NoError(t, clone.InTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
			e := db.PullEnd{PullID: id.NewPull(tx.Now), State: state, PagesDigest: []byte{1}, Digest: []byte{byte(number)}, AsOf: tx.Now, SameAs: same, Record: id.NewRecord(tx.Now)}
			if state == "failed" {
				e.Digest, e.AsOf, e.Reason = nil, time.Time{}, "answer_cut"
			}
			require.NoError(t, tx.AppendAudit(auditlog.Record{ID: e.Record, Action: "provider.pulled", Actor: "system"}))
			require.NoError(t, tx.AddPull(e.PullID, number, provider.Usage, s.month.Start(), 1))
			require.NoError(t, tx.EndPull(&e))
			if f == nil {
				return nil
			}
			return tx.AddFigures(e.PullID, []provider.Figure{*f})
		}))
	}
	quantity := func() int64 {
		var n int64
		require.NoError(t, clone.ReadTenant(t.Context(), s.tenant, func(tx *db.Tx) error {
			figures, err := tx.FiguresOf(s.month.Start())
			n = figures[0].Quantity
			return err
		}))
		return n
	}
	require.EqualValues(t, 3, quantity())
	again(6, "unchanged", s.pull, nil)
	require.EqualValues(t, 3, quantity())
	again(7, "finished", id.Pull{}, at(8))
	require.EqualValues(t, 8, quantity())
	again(8, "failed", id.Pull{}, nil)
	require.EqualValues(t, 8, quantity())
}

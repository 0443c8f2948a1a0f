package db

import (
	"context"
	"strings"

	"tollbook/app/id"
)

// What lists ask the database, for the tests that look at how it is answered.

// UsageQuery is one reading of a list of requests; the days, if any, bound it.
func UsageQuery(tenant id.Tenant, f UsageFilter, byDay bool) (string, []any) {
	var spans []span
	if byDay {
		spans = []span{{f.From, f.To}}
	}
	return usageQuery(tenant, f, spans)
}

// UsageDaysQuery finds the days a list has to read.
func UsageDaysQuery(tenant id.Tenant, f UsageFilter) (string, []any) {
	return usageDaysQuery(tenant, f)
}

// SessionHeadsQuery reads requests in search of sessions.
func SessionHeadsQuery(tenant id.Tenant, f UsageFilter) (string, []any) {
	f.Sessions = true
	s := f.rows(tenant, "u.session_id, u.occurred_at, u.event_id", nil)
	return s.text, s.args
}

// SessionSumsQuery sums sessions.
func SessionSumsQuery(tenant id.Tenant, sessions []string, within []id.Node, developer id.Developer) (string, []any) {
	return sessionSumsQuery(tenant, sessions, within, developer)
}

// ExploreQuery sums by up to two groupings.
func ExploreQuery(tenant id.Tenant, e Exploring) (string, []any) { return exploreQuery(tenant, e) }

// Explain is the plan of a query.
func Explain(t *Tx, query string, args ...any) (string, error) {
	var lines []string
	err := t.g.Raw("explain "+query, args...).Scan(&lines).Error
	return strings.Join(lines, "\n"), err
}

// MigrateTo takes the steps up to a version, for the tests of what a later step does to
// rows that are there.
func MigrateTo(ctx context.Context, url string, version int64) error {
	sqlDB, err := openAdmin(url)
	if err != nil {
		return err
	}
	defer sqlDB.Close()
	provider, err := newProvider(sqlDB)
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}

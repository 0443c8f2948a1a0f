package app_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/pricing"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
	"tollbook/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.RecordedMain(m) }

// clock is the database's and the areas' one clock: it moves a millisecond with
// every look, as real ones do, and further when a test says so.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time { return time.Unix(0, c.ns.Add(int64(time.Millisecond))).UTC() }

func (c *clock) add(d time.Duration) { c.ns.Add(int64(d)) }

// company is one tenant of the fixture, with a tree, a key and its placements.
type company struct {
	slug   string
	tenant id.Tenant
	who    app.Actor // the command line: may do everything but decide
	key    app.MadeKey
	places map[string]id.Placement // by the node's code
}

// house is every area on a database of its own, with two companies that look alike.
type house struct {
	clone     *dbtest.Clone
	admin     *sql.DB
	clock     *clock
	ring      *secret.Keyring
	access    *app.Access
	changes   *app.Changes
	nodes     *app.Nodes
	tenants   *app.Tenants
	keys      *app.Keys
	members   *app.Members
	signIns   *app.SignIns
	reports   *app.Reports
	metering  *app.Metering
	snapshots *app.Snapshots
	audit     *app.Audit
	log       *app.Log
	approvals *app.Approvals
	told      *app.Notices
	prices    *app.Prices
	rules     *app.Rules
	rights    *app.Rights
	logins    *app.Logins
	plans     *app.Plans
	views     *app.Views
	settings  *app.Settings
	signUps   *app.SignUps
	adjusts   *app.Adjustments
	keeps     *app.Retentions
	ends      *app.Offboardings
	books     *app.Books
	provider  *app.ProviderReports
	exports   *app.Exports
	invoices  *app.Invoices
	days      *app.Reconciliations
	closing   *app.Closing
	packets   *app.Packets
	notes     *app.Commentaries
	disputes  *app.Disputes
	one, two  *company
}

func build(t testing.TB) *house {
	t.Helper()
	h := empty(t)
	h.one, h.two = h.company(t, "one"), h.company(t, "two")
	return h
}

// empty is a house nobody lives in yet.
func empty(t testing.TB) *house {
	t.Helper()
	h := &house{clock: newClock()}
	h.clone = dbtest.New(t, func(c *db.Config) { c.Now = h.clock.now })
	h.admin = h.clone.Admin(t)
	ring, err := secret.NewKeyring(secret.NewMaster())
	require.NoError(t, err)
	h.wire(t, ring)
	return h
}

// wire makes every area anew, on the same database, with a keyring.
func (h *house) wire(t testing.TB, ring *secret.Keyring) {
	t.Helper()
	var err error
	h.ring = ring
	h.access, err = app.NewAccess()
	require.NoError(t, err)
	h.changes = app.NewChanges(h.access)
	h.nodes = app.NewNodes(h.clone.DB, h.access, h.changes)
	h.tenants = app.NewTenants(h.clone.DB, h.changes, h.nodes, ring, h.clock.now)
	h.keys = app.NewKeys(h.clone.DB, h.access, h.changes, ring)
	h.members = app.NewMembers(h.clone.DB, h.changes, ring)
	h.signIns = app.NewSignIns(h.clone.DB, h.changes, h.members, ring)
	h.reports = app.NewReports(h.clone.DB, h.access, ring)
	h.snapshots = app.NewSnapshots(h.clone.DB, ring, slog.New(slog.DiscardHandler), h.clock.now)
	h.audit = app.NewAudit(h.clone.DB, slog.New(slog.DiscardHandler))
	h.log, err = app.NewLog(h.clone.DB, h.access, h.members, secret.NewMaster(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	h.approvals = app.NewApprovals(h.clone.DB, h.access, h.changes, h.members, ring)
	h.told = app.NewNotices(h.clone.DB, h.changes, h.approvals, h.members, ring, app.NoticeRules{
		Mail: true, PublicURL: "https://tollbook.test", Words: func(kind string) string { return "the " + kind },
	})
	h.approvals.SignBy(h.log)
	h.prices = app.NewPrices(h.clone.DB, h.access, h.changes, pricing.VendorList())
	h.rules = app.NewRules(h.clone.DB, h.access, h.changes, ring)
	h.plans = app.NewPlans(h.clone.DB, h.access, h.changes, ring)
	h.views = app.NewViews(h.clone.DB, h.access, h.changes)
	h.settings = app.NewSettings(h.clone.DB, h.changes, h.members, ring, http.DefaultTransport.RoundTrip)
	h.allow(signUpRules())
	h.keeps = app.NewRetentions(h.clone.DB, h.access, h.changes)
	h.ends = app.NewOffboardings(h.clone.DB, h.access, h.changes)
	h.rights = app.NewRights(h.clone.DB, h.access, h.changes, ring)
	h.logins = app.NewLogins(h.clone.DB, h.access, h.changes, h.members, ring)
	h.books = app.NewBooks(h.clone.DB, h.access, h.changes, slog.New(slog.DiscardHandler))
	h.provider = app.NewProviderReports(h.clone.DB, h.changes, h.members, h.tenants, ring)
	h.exports = app.NewExports(h.clone.DB, h.access, h.changes, ring, "test")
	h.invoices = app.NewInvoices(h.clone.DB, h.access, h.changes)
	h.days = app.NewReconciliations(h.clone.DB, h.access, h.changes, h.members)
	h.closing = app.NewClosing(h.clone.DB, h.access, h.changes, h.members)
	h.packets = app.NewPackets(h.clone.DB, h.access, h.changes, h.approvals, h.members, h.log, ring, app.PacketRules{
		Mail: true, PublicURL: "https://tollbook.test", Development: true, Version: "v1", Words: func(kind string) string { return "the " + kind },
	})
	h.metering, err = app.NewMetering(h.clone.DB)
	require.NoError(t, err)
	h.adjusts, err = app.NewAdjustments(h.clone.DB, h.access, h.changes, h.reports)
	require.NoError(t, err)
	h.notes = app.NewCommentaries(h.clone.DB, h.access, h.changes, h.members)
	h.disputes = app.NewDisputes(h.clone.DB, h.access, h.changes, h.approvals, h.adjusts, h.members)
}

// founded is when the companies' trees begin: everything the tests post lies after it.
func founded() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func (h *house) company(t testing.TB, slug string) *company {
	t.Helper()
	tenant, err := h.tenants.Create(t.Context(), slug, "Company "+slug, founded())
	require.NoError(t, err)
	c := &company{slug: slug, tenant: tenant, who: app.Command(tenant)}
	require.NoError(t, h.nodes.Create(t.Context(), c.who, []app.NewNode{
		{Code: "BU-1", Name: "Unit 1", Kind: "business_unit", Entity: "US01", Capitalization: "expense"},
		{Code: "CC-1", Name: "Center 1", Kind: "cost_center", ParentCode: "BU-1", Capitalization: "expense"},
		{Code: "P-1", Name: "Project 1", Kind: "project", ParentCode: "CC-1", Capitalization: "capitalize"},
		{Code: "CC-2", Name: "Center 2", Kind: "cost_center", ParentCode: "BU-1", Capitalization: "expense"},
		{Code: "BU-2", Name: "Unit 2", Kind: "business_unit", Entity: "US02", Capitalization: "expense"},
		{Code: "CC-3", Name: "Center 3", Kind: "cost_center", ParentCode: "BU-2", Capitalization: "expense"},
	}, founded(), "fixture"))
	c.key, err = h.keys.Create(t.Context(), c.who, app.NewKey{Label: "laptop", CostCenter: "CC-1"}, "fixture")
	require.NoError(t, err)
	c.places = h.placements(t, tenant)
	return c
}

func (h *house) placements(t testing.TB, tenant id.Tenant) map[string]id.Placement {
	t.Helper()
	rows, err := h.admin.Query(`select path[array_length(path, 1)], placement_id from placement where tenant_id = $1`, tenant)
	require.NoError(t, err)
	defer rows.Close()
	places := map[string]id.Placement{}
	for rows.Next() {
		var code string
		var placement id.Placement
		require.NoError(t, rows.Scan(&code, &placement))
		places[code] = placement
	}
	require.NoError(t, rows.Err())
	return places
}

// member admits somebody with a role and returns the actor behind a token of theirs.
func (h *house) member(t *testing.T, c *company, role app.Role, node string) app.Actor {
	t.Helper()
	member, err := h.members.Add(t.Context(), c.who, app.NewMember{
		Issuer: "https://idp.test", Subject: "subject-" + id.NewMember(h.clock.now()).String(), Name: "Member " + string(role),
		Email: string(role) + "@" + c.slug + ".test", Role: role, NodeCode: node,
	}, "fixture")
	require.NoError(t, err)
	token, err := h.members.AddToken(t.Context(), c.who, member, "fixture", time.Hour, "fixture")
	require.NoError(t, err)
	who, err := h.members.ByToken(t.Context(), token)
	require.NoError(t, err)
	return who
}

// event is a measured request: 1000 tokens in and 500 out of a model that costs $4
// and $20 a million, $0.014 in all.
func (c *company) event(at time.Time, code string, set ...func(*usage.Event)) usage.Event {
	e := usage.Event{
		ID: id.NewEvent(at), State: usage.StateComplete, HTTPStatus: 200, SessionID: "session-" + c.slug, Key: c.key.ID,
		ModelRequested: "claude-opus-5-5", Counts: usage.Counts{Model: "claude-opus-5-5", Tokens: usage.Tokens{1000, 500}},
		Shares: []usage.Share{{Placement: c.places[code], PPM: usage.Whole}}, Rule: "key", Snapshot: 1,
		Replica: id.ReplicaFromBytes([16]byte{1}), ReplicaSequence: 1,
	}
	e.RequestID = "req_" + e.ID.UUID()
	for _, s := range set {
		s(&e)
	}
	return e
}

// developer is a declared label's opaque id.
func (h *house) developer(t *testing.T, c *company, label string) id.Developer {
	t.Helper()
	if h.snapshots.Current().Tenants[c.slug] == nil {
		require.NoError(t, h.snapshots.Load(t.Context(), c.tenant))
	}
	return h.snapshots.Current().Tenants[c.slug].Pseudonyms.Developer(label)
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func november(day int) time.Time { return time.Date(2026, 11, day, 9, 30, 0, 0, time.UTC) }

func (h *house) flush(t testing.TB, c *company, events ...usage.Event) int {
	t.Helper()
	added, err := h.metering.Flush(t.Context(), c.tenant, events)
	require.NoError(t, err)
	return added
}

// lock ends a month's books as closing will.
func (h *house) lock(t *testing.T, c *company, month period.Month) {
	t.Helper()
	_, err := h.admin.Exec(`insert into period (tenant_id, month, state, changed_at) values ($1, $2, 'locked', now())
		on conflict (tenant_id, month) do update set state = 'locked'`, c.tenant, month.Start())
	require.NoError(t, err)
}

func (h *house) number(t testing.TB, query string, args ...any) int64 {
	t.Helper()
	var n int64
	require.NoError(t, h.admin.QueryRow(query, args...).Scan(&n))
	return n
}

func (h *house) text(t testing.TB, query string, args ...any) string {
	t.Helper()
	var text sql.NullString
	require.NoError(t, h.admin.QueryRow(query, args...).Scan(&text))
	return text.String
}

func (h *house) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	_, err := h.admin.Exec(query, args...)
	require.NoError(t, err)
}

// tables lists every table there is, River's jobs among them.
func (h *house) tables(t *testing.T) []string {
	t.Helper()
	rows, err := h.admin.Query(`select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where (n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition) or (n.nspname = 'river' and c.relname = 'river_job') order by 1`)
	require.NoError(t, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}

// contents is every row of every table, to tell that nothing at all was written.
func (h *house) contents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, table := range h.tables(t) {
		all[table] = h.text(t, fmt.Sprintf(`select count(*) || ' ' || coalesce(md5(string_agg(r::text, '' order by r::text)), '') from %s r`, table))
	}
	return all
}

// jobs counts the jobs of a kind that wait for a tenant.
func (h *house) jobs(t *testing.T, kind string, tenant id.Tenant) int64 {
	t.Helper()
	return h.number(t, `select count(*) from river.river_job where kind = $1 and state = 'available' and args->>'tenant' = $2`, kind, tenant.String())
}

func (h *house) records(t *testing.T, tenant id.Tenant, action string) int64 {
	t.Helper()
	return h.number(t, `select count(*) from audit_record where tenant_id = $1 and action = $2`, tenant, action)
}

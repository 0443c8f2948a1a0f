package jobs_test

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/notice"
	"tollbook/app/pricing"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/db/dbtest"
	"tollbook/jobs"
	"tollbook/jobs/anthropicadmin"
	"tollbook/jobs/deliver"
)

func TestMain(m *testing.M) { dbtest.RecordedMain(m) }

// house is what the workers work with, two companies, and a mail server.
type house struct {
	clone    *dbtest.Clone
	admin    *sql.DB
	ahead    atomic.Int64 // of the database's clock
	workers  func(hooks *deliver.Hooks) *river.Workers
	notices  *app.Notices
	packets  *app.Packets
	approval *app.Approvals
	members  *app.Members
	signIns  *app.SignIns
	reports  *app.ProviderReports
	office   *deliver.Office
	post     *postbox
	one, two id.Tenant
}

// postbox is a mail server that answers each message as it is told, and then takes all.
type postbox struct {
	mu      sync.Mutex
	answers []error
	got     []string
}

func (p *postbox) NewSession(*smtp.Conn) (smtp.Session, error) { return p, nil }
func (p *postbox) Mail(string, *smtp.MailOptions) error        { return nil }
func (p *postbox) Rcpt(to string, _ *smtp.RcptOptions) error   { return nil }
func (p *postbox) Reset()                                      {}
func (p *postbox) Logout() error                               { return nil }
func (p *postbox) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.answers) > 0 {
		next := p.answers[0]
		p.answers = p.answers[1:]
		if next != nil {
			return next
		}
	}
	p.got = append(p.got, string(content))
	return nil
}

var (
	toForm = regexp.MustCompile(`(?m)^To: .*<(.*)>`)
	idForm = regexp.MustCompile(`(?m)^Message-ID: <(.*)>`)
)

// heard is whom the mails went to, sorted.
func (p *postbox) heard() []string { return p.each(toForm) }

func (p *postbox) each(form *regexp.Regexp) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []string{}
	for _, m := range p.got {
		if found := form.FindStringSubmatch(m); found != nil {
			list = append(list, found[1])
		}
	}
	slices.Sort(list)
	return list
}

func build(t *testing.T) *house {
	t.Helper()
	h := &house{post: &postbox{}}
	h.clone = dbtest.New(t, func(c *db.Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) } })
	h.admin = h.clone.Admin(t)
	ring, err := secret.NewKeyring(secret.NewMaster())
	require.NoError(t, err)
	access, err := app.NewAccess()
	require.NoError(t, err)
	changes := app.NewChanges(access)
	nodes := app.NewNodes(h.clone.DB, access, changes)
	tenants := app.NewTenants(h.clone.DB, changes, nodes, ring, time.Now)
	h.members = app.NewMembers(h.clone.DB, changes, ring)
	h.signIns = app.NewSignIns(h.clone.DB, changes, h.members, ring)
	h.approval = app.NewApprovals(h.clone.DB, access, changes, h.members, ring)
	h.notices = app.NewNotices(h.clone.DB, changes, h.approval, h.members, ring, app.NoticeRules{Mail: true, Development: true, PublicURL: "https://t.test", Words: func(k string) string { return k }})
	h.reports = app.NewProviderReports(h.clone.DB, changes, h.members, tenants, ring)
	prices := app.NewPrices(h.clone.DB, access, changes, pricing.VendorList())
	records, err := app.NewLog(h.clone.DB, access, h.members, secret.NewMaster(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	adjustments, err := app.NewAdjustments(h.clone.DB, access, changes, app.NewReports(h.clone.DB, access, ring))
	require.NoError(t, err)
	h.packets = app.NewPackets(h.clone.DB, access, changes, h.approval, h.members, records, ring, app.PacketRules{Mail: true, Development: true, PublicURL: "https://t.test", Version: "v1", Words: func(k string) string { return k }})
	for slug, tenant := range map[string]*id.Tenant{"one": &h.one, "two": &h.two} {
		*tenant, err = tenants.Create(t.Context(), slug, "Company "+slug, time.Now().AddDate(0, -1, 0))
		require.NoError(t, err)
		for _, name := range []string{"ada", "ben", "cleo"} {
			_, err = h.members.Add(t.Context(), app.Command(*tenant), app.NewMember{Issuer: "https://idp.test", Subject: name, Name: name, Email: name + "@" + slug + ".test", Role: app.RoleFinanceAdmin}, "fixture")
			require.NoError(t, err)
		}
		_, err = h.members.Add(t.Context(), app.Command(*tenant), app.NewMember{Issuer: "https://idp.test", Subject: "olga", Name: "olga", Role: app.RoleTenantOwner}, "fixture")
		require.NoError(t, err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := smtp.NewServer(h.post)
	server.Domain = "mail.test"
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	mail, err := deliver.ParseSMTP("smtp://" + l.Addr().String() + "?starttls=none&from=t@t.test")
	require.NoError(t, err)
	h.office = deliver.NewOffice(mail, deliver.NewHooks(true, deliver.HookWithin, time.Now))
	h.workers = func(hooks *deliver.Hooks) *river.Workers {
		return jobs.Workers(app.NewAudit(h.clone.DB, slog.New(slog.DiscardHandler)), records, prices, h.approval, h.notices, adjustments, app.NewBooks(h.clone.DB, access, changes, slog.New(slog.DiscardHandler)), app.NewClosing(h.clone.DB, access, changes, h.members), app.NewRetentions(h.clone.DB, access, changes), h.packets, deliver.NewOffice(mail, hooks), h.reports, anthropicadmin.New(anthropicadmin.Config{
			Ask: http.DefaultTransport.RoundTrip, Now: time.Now, Version: "test", Rows: pageRows, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		}), app.NewReconciliations(h.clone.DB, access, changes, h.members))
	}
	return h
}

func (h *house) session(t *testing.T, tenant id.Tenant, subject string) app.Actor {
	t.Helper()
	cookie, err := h.signIns.Accept(t.Context(), tenant, app.Claims{Issuer: "https://idp.test", Subject: subject, SignedInAt: time.Now()})
	require.NoError(t, err)
	who, err := h.signIns.BySession(t.Context(), cookie)
	require.NoError(t, err)
	return who
}

// propose asks for a discount, and whoever may decide about it is asked.
func (h *house) propose(t *testing.T, tenant id.Tenant) app.ChangeView {
	t.Helper()
	from := time.Now().UTC().AddDate(0, 0, 2).Truncate(24 * time.Hour)
	view, err := h.approval.Propose(t.Context(), h.session(t, tenant, "ada"), app.AskDiscount(500, from, "a contract"), "")
	require.NoError(t, err)
	return view
}

// work starts a worker of its own until the test ends.
func (h *house) work(t *testing.T, private bool) {
	t.Helper()
	stop, err := h.clone.Work(context.WithoutCancel(t.Context()), h.workers(deliver.NewHooks(private, deliver.HookWithin, time.Now)))
	require.NoError(t, err)
	t.Cleanup(func() {
		limited, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = stop(limited)
	})
}

// settled waits until every delivery came to an end.
func (h *house) settled(t *testing.T, deliveries int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int64
		err := h.admin.QueryRow(`select count(*) from notice_step where state in ('accepted', 'refused', 'given_up', 'dropped')`).Scan(&n)
		return err == nil && n == deliveries
	}, 60*time.Second, 20*time.Millisecond, "%d deliveries come to an end", deliveries)
}

func (h *house) text(t *testing.T, query string, args ...any) string {
	t.Helper()
	var text sql.NullString
	require.NoError(t, h.admin.QueryRow(query, args...).Scan(&text))
	return text.String
}

// TestTwoWorkersTellEachOnce has two workers, each with its own connection to the queue, a
// mail server that sometimes cannot, and two companies that look alike.
func TestTwoWorkersTellEachOnce(t *testing.T) {
	t.Parallel()
	h := build(t)
	later := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "come back"}
	never := &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "not from you"}
	h.post.answers = []error{later, nil, never}
	h.work(t, true)
	h.work(t, true)
	change := h.propose(t, h.one)
	h.settled(t, 2)
	require.Len(t, h.post.heard(), 1, "one was refused for good")
	require.Equal(t, "accepted refused", h.text(t, `select string_agg(state, ' ' order by state) from notice_step where state in ('accepted', 'refused')`))
	require.Contains(t, h.text(t, `select answer from notice_step where state = 'refused'`), "not from you")
	_, err := h.approval.Decide(t.Context(), h.session(t, h.one, "ben"), change.ID, approval.VerdictApprove, change.Digest, "fine")
	require.NoError(t, err)
	h.settled(t, 3)
	require.Contains(t, h.post.heard(), "ada@one.test")
	require.Len(t, h.post.heard(), 2)
	ids := h.post.each(idForm)
	require.Equal(t, ids, slices.Compact(slices.Clone(ids)), "nothing twice")
	require.Equal(t, "0", h.text(t, `select count(*) from notice_delivery where tenant_id = $1`, h.two), "the other company hears nothing")
}

// due prepares what an event tells, without the queue, and takes the first delivery.
func (h *house) due(t *testing.T) id.Delivery {
	t.Helper()
	h.propose(t, h.one)
	event, err := id.ParseRecord(h.text(t, `select args->>'record' from river.river_job where kind = 'notify_change' order by id desc limit 1`))
	require.NoError(t, err)
	require.NoError(t, h.notices.Prepare(t.Context(), h.one, event))
	delivery, err := id.ParseDelivery(h.text(t, `select delivery_id from notice_delivery order by delivery_id limit 1`))
	require.NoError(t, err)
	return delivery
}

// run works one delivery as a worker that is not disturbed.
func (h *house) run(t *testing.T, delivery id.Delivery) {
	t.Helper()
	made, err := h.notices.Begin(t.Context(), h.one, delivery, 1)
	require.NoError(t, err)
	if made == nil {
		return
	}
	_, err = h.notices.Finish(t.Context(), made, h.office.Send(t.Context(), made))
	require.NoError(t, err)
}

// TestAWorkerThatIsKilled dies at each point between the store of an attempt and that of
// its outcome. Only who dies after the server's answer and before the commit sends twice:
// nobody can know. Both carry one id, and the log says so.
func TestAWorkerThatIsKilled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sends bool
		mails int
	}{"before it speaks": {false, 1}, "after the server took it": {true, 2}} {
		h := build(t)
		delivery := h.due(t)
		made, err := h.notices.Begin(t.Context(), h.one, delivery, 1)
		require.NoError(t, err, name)
		if c.sends {
			require.True(t, h.office.Send(t.Context(), made).Accepted)
		}
		// Here its process ends. Another finds it: too early to tell at first.
		_, err = h.notices.Begin(t.Context(), h.one, delivery, 1)
		require.ErrorIs(t, err, app.ErrUnderWay, name)
		h.ahead.Store(int64(3 * notice.AttemptWithin))
		h.run(t, delivery)
		h.run(t, delivery)
		ids := h.post.each(idForm)
		require.Len(t, ids, c.mails, name)
		require.Len(t, slices.Compact(ids), 1, "one id, so that whoever gets both can tell")
		require.Equal(t, "attempted interrupted attempted accepted", h.text(t, `select string_agg(state, ' ' order by place) from notice_step`), name)
		require.Contains(t, h.text(t, `select answer from notice_step where state = 'interrupted'`), "it may arrive twice")
	}
}

// TestNoLockIsHeldWhileAServerTalks decides about the change, and looks at the delivery,
// while the mail server thinks.
func TestNoLockIsHeldWhileAServerTalks(t *testing.T) {
	t.Parallel()
	h := build(t)
	delivery := h.due(t)
	made, err := h.notices.Begin(t.Context(), h.one, delivery, 1)
	require.NoError(t, err)
	require.NotNil(t, made)
	require.Equal(t, "0", h.text(t, `select count(*) from pg_locks l join pg_stat_activity a using (pid) where l.pid <> pg_backend_pid() and a.datname = current_database() and a.state like 'idle in transaction%'`))
	var change id.Change
	require.NoError(t, h.admin.QueryRow(`select change_id from notice_delivery limit 1`).Scan(&change))
	ben := h.session(t, h.one, "ben")
	shown, err := h.approval.Case(t.Context(), ben, change)
	require.NoError(t, err)
	_, err = h.approval.Decide(t.Context(), ben, change, approval.VerdictApprove, shown.Digest, "fine")
	require.NoError(t, err)
	_, err = h.notices.Finish(t.Context(), made, notice.Outcome{Accepted: true})
	require.NoError(t, err)
}

// TestAChannelIsPostedToAndRetried has a system that fails first, and one in a private
// network.
func TestAChannelIsPostedToAndRetried(t *testing.T) {
	t.Parallel()
	h := build(t)
	var mu sync.Mutex
	var ids []string
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if ids = append(ids, r.Header.Get("webhook-id")); len(ids) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(there.Close)
	owner := h.session(t, h.one, "olga")
	_, err := h.notices.AddChannel(t.Context(), owner, notice.Webhook, "theirs", there.URL, "x")
	require.NoError(t, err)
	channels, err := h.notices.Channels(t.Context(), owner)
	require.NoError(t, err)
	require.NoError(t, h.notices.TestChannel(t.Context(), owner, channels[0].ID))
	h.work(t, true)
	h.settled(t, 1)
	mu.Lock()
	require.Len(t, ids, 2)
	require.Equal(t, ids[0], ids[1])
	mu.Unlock()
	require.Equal(t, "attempted failed attempted accepted", h.text(t, `select string_agg(state, ' ' order by place) from notice_step`))
}

func TestAPrivateNetworkIsRefusedUnlessTheOperatorAllowsIt(t *testing.T) {
	t.Parallel()
	h := build(t)
	var called atomic.Int64
	there := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	t.Cleanup(there.Close)
	owner := h.session(t, h.one, "olga")
	_, err := h.notices.AddChannel(t.Context(), owner, notice.Slack, "theirs", there.URL, "x")
	require.NoError(t, err)
	channels, err := h.notices.Channels(t.Context(), owner)
	require.NoError(t, err)
	require.NoError(t, h.notices.TestChannel(t.Context(), owner, channels[0].ID))
	h.work(t, false)
	h.settled(t, 1)
	require.Zero(t, called.Load())
	require.Contains(t, h.text(t, `select answer from notice_step where state = 'refused'`), "private network")
}

// TestAJobThatMakesNoSenseIsCanceled is about arguments that name nothing.
func TestAJobThatMakesNoSenseIsCanceled(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.work(t, true)
	require.NoError(t, h.clone.EnqueueNow(t.Context(),
		job.DeliverNotice{Tenant: h.one.String(), Delivery: "nonsense", Round: 1}, job.DeliverNotice{Tenant: h.two.String(), Delivery: id.NewDelivery(time.Now()).String(), Round: 1},
		job.NotifyChange{Tenant: "nonsense", Record: "x"}, job.NotifyChange{Tenant: h.one.String(), Record: id.NewRecord(time.Now()).String()}))
	require.Eventually(t, func() bool {
		return h.text(t, `select count(*) filter (where state = 'cancelled') || ' ' || count(*) filter (where state = 'completed') from river.river_job
			where kind in ('deliver_notice', 'notify_change')`) == "3 1"
	}, 30*time.Second, 20*time.Millisecond)
}

package web_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"flag"
	"image/color"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/auditlog"
	"tollbook/app/confirmation"
	"tollbook/app/id"
	"tollbook/app/notice"
	"tollbook/app/period"
	"tollbook/app/plan"
	"tollbook/app/pricing"
	"tollbook/app/provider"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
	"tollbook/db/dbtest"
	"tollbook/web"
)

func TestMain(m *testing.M) { dbtest.RecordedMain(m) }

var update = flag.Bool("update", false, "write golden files instead of comparing") //nolint:gochecknoglobals // a test flag

// world is an installation with two companies that have the same shape and different
// names, so that anything of the other's is recognized.
type world struct {
	sealed    bool // packets were made, which signs the logs
	web       *web.Web
	cfg       web.Config
	areas     web.Areas
	clone     *dbtest.Clone
	admin     *sql.DB // opened by who needs it
	one, two  *company
	metering  *app.Metering
	snapshots *app.Snapshots
	labels    *app.Labels
	log       *strings.Builder
	// provider answers tests of upstreams.
	provider func(*http.Request) (*http.Response, error)
	health   app.Health
	// signUps makes the area of sign-ups by rules.
	signUps func(*app.SignUpRules) *app.SignUps
}

// operator is who runs the installation, by the name a session of theirs is opened with.
// In each company they are a developer, and no more for being an operator.
const operator = "operator"

type company struct {
	tenant  id.Tenant
	slug    string
	tokens  map[app.Role]string
	members map[app.Role]id.Member
	key     app.MadeKey
	events  []usage.Event
	change  app.ChangeView // a proposal of prices that waits
	edited  app.ChangeView // one of policies, with a file
	file    id.Attachment
	standIn id.Delegation
	issuer  id.Issuer
	invited app.MadeInvitation
	token   app.MadeToken
	// things are what :id may be below a path.
	things map[string]string
	// words are in no other company.
	words []string
}

const issuerURL = "https://issuer.test"

// now is the world's clock: it stands still.
func now() time.Time { return time.Date(2026, 11, 23, 14, 2, 0, 0, time.UTC) }

func newWorld(t *testing.T, change ...func(*web.Config)) *world { return worldOf(t, true, change...) }

// unsealed is the world before anybody made a packet, which seals its log.
func unsealed(t *testing.T, change ...func(*web.Config)) *world { return worldOf(t, false, change...) }

func worldOf(t *testing.T, sealed bool, change ...func(*web.Config)) *world {
	t.Helper()
	b := beginnings(t, sealed)
	w := installation(t, b.template.New(t, standingStill), b.ring, b.logKey, sealed, change...)
	w.one, w.two = b.one.copied(), b.two.copied()
	require.NoError(t, w.snapshots.Load(t.Context(), id.Tenant{}))
	return w
}

func standingStill(c *db.Config) { c.Now = now }

// beginning is what every world of a kind starts with: its companies are made once, and
// tests clone them.
type beginning struct {
	template dbtest.Template
	ring     *secret.Keyring
	logKey   secret.Text
	one, two *company
}

var begun = struct { //nolint:gochecknoglobals // of the test binary, as its Postgres is
	sync.Mutex
	kinds map[bool]*beginning
}{kinds: map[bool]*beginning{}}

func beginnings(t *testing.T, sealed bool) *beginning {
	t.Helper()
	begun.Lock()
	defer begun.Unlock()
	if b := begun.kinds[sealed]; b != nil {
		return b
	}
	ring, err := secret.NewKeyring(secret.NewMaster())
	require.NoError(t, err)
	b := &beginning{ring: ring, logKey: secret.NewMaster()}
	w := installation(t, dbtest.New(t, standingStill), b.ring, b.logKey, sealed)
	b.one = w.company(t, "acme", "Acme Rockets", "AC", "Propulsion")
	b.two = w.company(t, "zenith", "Zenith Optics", "ZE", "Lenses")
	b.template = w.clone.Freeze(t)
	begun.kinds[sealed] = b
	return b
}

// copied is a company that a test may change what it knows of.
func (c *company) copied() *company {
	own := *c
	own.tokens, own.members, own.things = maps.Clone(c.tokens), maps.Clone(c.members), maps.Clone(c.things)
	own.events, own.words = slices.Clone(c.events), slices.Clone(c.words)
	return &own
}

// installation is the areas and the web edge over a database.
func installation(t *testing.T, clone *dbtest.Clone, ring *secret.Keyring, logKey secret.Text, sealed bool, change ...func(*web.Config)) *world {
	t.Helper()
	access, err := app.NewAccess()
	require.NoError(t, err)
	changes := app.NewChanges(access)
	members := app.NewMembers(clone.DB, changes, ring)
	nodes := app.NewNodes(clone.DB, access, changes)
	metering, err := app.NewMetering(clone.DB)
	require.NoError(t, err)
	records, err := app.NewLog(clone.DB, access, members, logKey, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	w := &world{sealed: sealed, clone: clone, metering: metering, labels: app.NewLabels(ring), log: &strings.Builder{}, provider: says(http.StatusOK, `{"data":[{"type":"model","id":"claude-opus-5-5"}]}`)}
	w.snapshots = app.NewSnapshots(clone.DB, ring, slog.New(slog.DiscardHandler), now)
	w.areas = web.Areas{
		Rights: app.NewRights(clone.DB, access, changes, ring), Logins: app.NewLogins(clone.DB, access, changes, members, ring),
		Tenants: app.NewTenants(clone.DB, changes, nodes, ring, now), SignIns: app.NewSignIns(clone.DB, changes, members, ring), Members: members,
		Nodes: nodes, Keys: app.NewKeys(clone.DB, access, changes, ring), Reports: app.NewReports(clone.DB, access, ring),
		Approvals: app.NewApprovals(clone.DB, access, changes, members, ring), Prices: app.NewPrices(clone.DB, access, changes, pricing.VendorList()),
		Rules:      app.NewRules(clone.DB, access, changes, ring),
		Plans:      app.NewPlans(clone.DB, access, changes, ring),
		Views:      app.NewViews(clone.DB, access, changes),
		Settings:   app.NewSettings(clone.DB, changes, members, ring, func(r *http.Request) (*http.Response, error) { return w.provider(r) }),
		Log:        records,
		Retentions: app.NewRetentions(clone.DB, access, changes), Offboardings: app.NewOffboardings(clone.DB, access, changes),
		Operators: app.NewOperators(clone.DB, []app.Identity{{Issuer: issuerURL, Subject: "acme-" + operator}, {Issuer: issuerURL, Subject: "zenith-" + operator}},
			func() app.Health { return w.health }, slog.New(slog.NewTextHandler(w.log, nil))),
	}
	w.areas.Adjustments, err = app.NewAdjustments(clone.DB, access, changes, w.areas.Reports)
	require.NoError(t, err)
	w.areas.Reconciliations = app.NewReconciliations(clone.DB, access, changes, members)
	w.areas.Books = app.NewBooks(clone.DB, access, changes, slog.New(slog.DiscardHandler))
	w.areas.Packets = app.NewPackets(clone.DB, access, changes, w.areas.Approvals, members, records, ring, app.PacketRules{Mail: true, Development: true, PublicURL: "http://127.0.0.1:8080", Version: "test", Words: web.ChangeWords})
	w.areas.Provider = app.NewProviderReports(clone.DB, changes, members, w.areas.Tenants, ring)
	w.areas.Exports = app.NewExports(clone.DB, access, changes, ring, "test")
	w.areas.Invoices = app.NewInvoices(clone.DB, access, changes)
	w.areas.Closing = app.NewClosing(clone.DB, access, changes, members)
	w.areas.Commentaries = app.NewCommentaries(clone.DB, access, changes, members)
	w.areas.Disputes = app.NewDisputes(clone.DB, access, changes, w.areas.Approvals, w.areas.Adjustments, members)
	w.areas.Notices = app.NewNotices(clone.DB, changes, w.areas.Approvals, members, ring, app.NoticeRules{Mail: true, Development: true, PublicURL: "http://127.0.0.1:8080", Words: web.ChangeWords})
	w.areas.Approvals.SignBy(records)
	w.signUps = func(rules *app.SignUpRules) *app.SignUps {
		return app.NewSignUps(clone.DB, changes, w.areas.Tenants, members, w.areas.SignIns, ring, rules)
	}
	w.areas.SignUps = w.signUps(signUpRules(signUpURL))
	jobPages, err := clone.JobPages(t.Context(), web.JobsPrefix)
	require.NoError(t, err)
	w.cfg = web.Config{
		PublicURL: &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}, Development: true, Now: now, Version: "test",
		Log: slog.New(slog.NewTextHandler(w.log, nil)), HTTPClient: &http.Client{Timeout: 10 * time.Second, Transport: discovered{}}, Leaving: left(), JobPages: jobPages,
	}
	for _, f := range change {
		f(&w.cfg)
	}
	w.web, err = web.New(w.cfg, w.areas)
	require.NoError(t, err)
	return w
}

// signUpURL is the issuer that vouches for people without a company.
const signUpURL = "https://vouch.test"

func signUpRules(issuer string) *app.SignUpRules {
	return &app.SignUpRules{
		Issuer:    app.Issuer{Name: "Vouch", URL: issuer, ClientID: "tollbook", Secret: secret.NewText("s")},
		Upstreams: []string{app.ProviderURL}, PerPerson: 3, PerDay: 50,
	}
}

// discovered answers for that issuer, as far as the way there; every other host is asked.
type discovered struct{}

func (discovered) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "vouch.test" {
		return http.DefaultTransport.RoundTrip(r)
	}
	return says(http.StatusOK, `{"issuer":"`+signUpURL+`","authorization_endpoint":"`+signUpURL+`/a","token_endpoint":"`+signUpURL+`/t","jwks_uri":"`+signUpURL+`/j"}`)(r)
}

// says is a provider with one answer.
func says(status int, body string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		recorder := httptest.NewRecorder()
		recorder.WriteHeader(status)
		_, _ = recorder.WriteString(body)
		return recorder.Result(), nil
	}
}

// rebuild makes the web edge anew after a change of what it is told.
func (w *world) rebuild(t *testing.T) {
	t.Helper()
	var err error
	w.web, err = web.New(w.cfg, w.areas)
	require.NoError(t, err)
}

// left is closed: streams of events end at once, so that a test can open every route.
func left() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// company makes a tenant with a small tree, a member with a token in every role, a key,
// and a week of requests.
func (w *world) company(t *testing.T, slug, name, prefix, unit string) *company {
	t.Helper()
	ctx := t.Context()
	from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	tenant, err := w.areas.Tenants.Create(ctx, slug, name, from)
	require.NoError(t, err)
	c := &company{tenant: tenant, slug: slug, tokens: map[app.Role]string{}, members: map[app.Role]id.Member{}}
	who := app.Command(tenant)
	require.NoError(t, w.areas.Nodes.Create(ctx, who, []app.NewNode{
		{Code: prefix + "-10", Name: unit + " unit", Kind: "business_unit", Entity: "US01", Capitalization: "expense"},
		{Code: prefix + "-11", Name: unit + " team", Kind: "cost_center", ParentCode: prefix + "-10", GLAccount: "6410", Capitalization: "expense"},
		{Code: prefix + "-P1", Name: unit + " project", Kind: "project", ParentCode: prefix + "-11", Capitalization: "capitalize"},
		{Code: prefix + "-20", Name: unit + " office", Kind: "cost_center", Capitalization: "expense"},
	}, from, "the tree"))
	for _, role := range app.Roles() {
		want := app.NewMember{Issuer: issuerURL, Subject: slug + "-" + string(role), Name: unit + " " + string(role), Email: string(role) + "@" + slug + ".test", Role: role}
		if role == app.RoleBudgetOwner {
			want.NodeCode = prefix + "-10"
		}
		want.Service = role == app.RoleServiceAccount
		member, err := w.areas.Members.Add(ctx, who, want, "the people")
		require.NoError(t, err)
		token, err := w.areas.Members.AddToken(ctx, who, member, "test", time.Hour, "to test")
		require.NoError(t, err)
		c.tokens[role], c.members[role] = token.Reveal(), member
	}
	_, err = w.areas.Members.Add(ctx, who, app.NewMember{Issuer: issuerURL, Subject: slug + "-" + operator, Name: unit + " operator", Role: app.RoleDeveloper}, "the people")
	require.NoError(t, err)
	c.key, err = w.areas.Keys.Create(ctx, who, app.NewKey{Label: unit + " key", CostCenter: prefix + "-11"}, "the key")
	require.NoError(t, err)
	office, err := w.areas.Keys.Create(ctx, who, app.NewKey{Label: unit + " office key", CostCenter: prefix + "-20"}, "the other key")
	require.NoError(t, err)
	_, err = w.areas.Rights.Grant(ctx, who, app.NewRight{Email: string(app.RoleDeveloper) + "@" + slug + ".test", Node: prefix + "-11"}, "the right")
	require.NoError(t, err)
	_, err = w.areas.Rights.Grant(ctx, who, app.NewRight{Email: app.Everybody, Node: prefix + "-20"}, "the right of all")
	require.NoError(t, err)
	c.words = []string{name, unit, prefix + "-1", prefix + "-2", prefix + "-P", "@" + slug}
	w.use(t, c, c.key, office)
	proposer, err := w.areas.Members.ByToken(ctx, secret.NewText(c.tokens[app.RoleServiceAccount]))
	require.NoError(t, err)
	c.change, err = w.areas.Approvals.Propose(ctx, proposer, app.AskDiscount(1234, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), slug+" order form"), "")
	require.NoError(t, err)
	c.words = append(c.words, slug+" order form")
	year, err := plan.ParseYear("2026-01")
	require.NoError(t, err)
	_, err = w.areas.Plans.Propose(ctx, who, app.PlanAsk{
		Year: year, File: []byte("code,2026-10,2026-11,2026-12\n" + prefix + "-11,1.00,0.90,1.10\n" + prefix + "-20,1.00,1.20,1.20\n"), EffectiveFrom: from, Reason: slug + " board",
	}, "")
	require.NoError(t, err)
	c.words = append(c.words, slug+" board")
	w.policies(t, c)
	w.people(t, c)
	w.papers(t, c)
	w.ruled(t, c, prefix)
	w.channels(t, c)
	w.decision(t, c)
	w.books(t, c)
	w.reports(t, c)
	w.invoices(t, c)
	if w.sealed {
		w.packets(t, c)
	}
	w.exports(t, c, prefix)
	w.reconciled(t, c)
	w.disputed(t, c, prefix)
	return c
}

// ruled gives a company attribution rules, proposed by a program and decided by a person.
func (w *world) ruled(t *testing.T, c *company, prefix string) {
	t.Helper()
	proposer, err := w.areas.Members.ByToken(t.Context(), secret.NewText(c.tokens[app.RoleServiceAccount]))
	require.NoError(t, err)
	payload := strings.NewReplacer("SLUG", c.slug, "PREFIX", prefix).Replace(`{"rules":[
		{"code":"haiku","name":"SLUG small models","when":[{"field":"model","is":["claude-haiku-*"]}],"to":[{"code":"PREFIX-20","ppm":1000000}]},
		{"code":"team","name":"SLUG shared team","when":[{"field":"tag","tag":"team","is":["SLUG-team","SLUG-lab*"]},{"field":"hours","is":["22-6"]}],
			"to":[{"code":"PREFIX-11","ppm":333333},{"code":"PREFIX-20","ppm":666667}]},
		{"code":"opus","name":"SLUG nights","when":[{"field":"model","is":["claude-haiku-5-5"]}],"to":[{"code":"PREFIX-P1","ppm":1000000}]}]}`)
	made, err := w.areas.Approvals.Propose(t.Context(), proposer, app.Ask{Kind: "rules", Payload: []byte(payload), Reason: c.slug + " sharing"}, "")
	require.NoError(t, err)
	_, err = w.areas.Approvals.Decide(t.Context(), w.who(t, c, app.RoleFinanceAdmin), made.ID, approval.VerdictApprove, made.Digest, "agreed")
	require.NoError(t, err)
	c.words = append(c.words, c.slug+" small models", c.slug+"-lab", c.slug+" sharing")
}

// channels gives a company a system that hears of changes, and a message that is due to it.
func (w *world) channels(t *testing.T, c *company) {
	t.Helper()
	owner := w.who(t, c, app.RoleTenantOwner)
	_, err := w.areas.Notices.AddChannel(t.Context(), owner, notice.Webhook, c.slug+" systems", "https://"+c.slug+".hooks.test/secret-path", c.slug+" hears")
	require.NoError(t, err)
	channels, err := w.areas.Notices.Channels(t.Context(), owner)
	require.NoError(t, err)
	require.NoError(t, w.areas.Notices.TestChannel(t.Context(), owner, channels[0].ID))
	page, err := w.areas.Notices.Deliveries(t.Context(), owner, app.DeliveryAsk{Limit: 1})
	require.NoError(t, err)
	c.things["/settings/channels"], c.things["/settings/deliveries"] = channels[0].ID.String(), page.Rows[0].ID.String()
	c.words = append(c.words, c.slug+" systems", c.slug+".hooks.test", c.slug+" hears", channels[0].ID.String(), page.Rows[0].ID.String())
}

// decision gives a company a decision that its issuer was asked to confirm, and did not.
func (w *world) decision(t *testing.T, c *company) {
	t.Helper()
	who := w.who(t, c, app.RoleController)
	document := confirmation.Document{
		Tenant: c.tenant, Change: c.change.ID, Number: c.change.Number, Kind: c.change.Kind, Digest: c.change.DigestText(), Verdict: "approve", Member: who.Member, Person: who.Person,
		Issuer: issuerURL, ClientID: "tollbook", Salt: confirmation.NewSalt(), AskedAt: now(),
	}
	canonical, err := document.Canonical()
	require.NoError(t, err)
	digest, decision := sha256.Sum256(canonical), id.NewDecision(now())
	require.NoError(t, w.clone.InTenant(t.Context(), c.tenant, func(tx *db.Tx) error {
		require.NoError(t, tx.AddDecisionDocument(db.DecisionRow{
			DecisionID: decision, ChangeID: c.change.ID, MemberID: who.Member, IssuerID: c.issuer, Digest: digest[:], Document: canonical, Reason: c.slug + " agreed",
			StateHash: []byte("x"), TicketSealed: []byte("x"), ExpiresAt: document.ExpiresAt(),
		}))
		require.NoError(t, tx.AppendAudit(auditlog.Record{Action: "change.decision_asked", Actor: who.ID(), Subject: c.change.ID.String()}))
		_, err := tx.EndDecision(decision, app.ErrIssuerAway.Code)
		return err
	}))
	c.things["/decisions"], c.things["/changes"], c.things["/settings/retention/holds"] = decision.String(), c.change.ID.String(), c.change.ID.String() // the last is no hold
	c.words = append(c.words, c.slug+" agreed", decision.String())
}

// papers gives a company what it prints.
func (w *world) papers(t *testing.T, c *company) {
	t.Helper()
	who := app.Command(c.tenant)
	logo := mark(t, color.NRGBA{R: c.slug[0], A: 255})
	require.NoError(t, w.areas.Settings.SetBranding(t.Context(), who, app.BrandingAsk{LegalName: c.slug + " Incorporated", Accent: "#1d4ed8", Confidentiality: c.slug + " only", Logo: logo}, c.slug+" papers"))
	here, err := w.areas.Tenants.Here(t.Context(), who)
	require.NoError(t, err)
	c.things["/branding"] = here.Branding.Version.String()
	c.words = append(c.words, c.slug+" Incorporated", c.slug+" only", c.slug+" papers", here.Branding.Version.String())
}

// policies has a company's tenant owner propose who decides, with a file and a question.
func (w *world) policies(t *testing.T, c *company) {
	t.Helper()
	ctx, owner := t.Context(), w.who(t, c, app.RoleTenantOwner)
	ask := app.Ask{Kind: "policies", Payload: []byte(`{"policies":[{"code":"` + c.slug + `-prices","kinds":["prices"],"steps":[{"name":"Finance","quorum":1,"who":[{"role":"finance_admin"}]}],"expire_days":14}]}`), Reason: c.slug + " board asks"}
	made, err := w.areas.Approvals.Propose(ctx, owner, ask, "")
	require.NoError(t, err)
	c.edited, err = w.areas.Approvals.Attach(ctx, owner, made.ID, made.Digest, app.NewAttachment{Name: c.slug + " minutes.txt", MediaType: "text/plain", Content: []byte(c.slug + " resolved")})
	require.NoError(t, err)
	require.NoError(t, w.areas.Approvals.Remark(ctx, w.who(t, c, app.RoleController), made.ID, app.RemarkQuestion, c.slug+" asks why"))
	shown, err := w.areas.Approvals.Case(ctx, owner, made.ID)
	require.NoError(t, err)
	c.file = shown.Attachments[0].ID
	c.standIn, err = w.areas.Approvals.Delegate(ctx, w.who(t, c, app.RoleFinanceAdmin), "analyst@"+c.slug+".test", time.Time{}, now().AddDate(0, 0, 7), c.slug+" holiday")
	require.NoError(t, err)
	c.words = append(c.words, c.slug+"-prices", c.slug+" board asks", c.slug+" minutes", c.slug+" resolved", c.slug+" asks why", c.slug+" holiday")
}

// people gives a company what the pages of members show: an issuer, a mapped group, an
// open invitation, a token.
func (w *world) people(t *testing.T, c *company) {
	t.Helper()
	ctx, who := t.Context(), app.Command(c.tenant)
	var err error
	c.issuer, err = w.areas.SignIns.AddIssuer(ctx, who, app.Issuer{
		Name: c.slug + " login", URL: issuerURL, ClientID: "tollbook", Secret: secret.NewText("s"), Domains: []string{c.slug + ".test"},
	}, "the issuer")
	require.NoError(t, err)
	_, err = w.areas.Approvals.Propose(ctx, who, app.AskMapping(app.NewMapping{Issuer: c.issuer, Group: c.slug + " auditors", Role: app.RoleAuditor}, "the group"), "")
	require.NoError(t, err)
	c.invited, err = w.areas.Members.Invite(ctx, who, app.NewInvitation{
		Issuer: c.issuer, Name: c.slug + " Newcomer", Email: "newcomer@" + c.slug + ".test", Role: app.RoleAnalyst, Life: 7 * 24 * time.Hour,
	}, "a new colleague", "")
	require.NoError(t, err)
	c.token, err = w.areas.Members.MakeToken(ctx, who, app.NewToken{Member: c.members[app.RoleAuditor], Label: c.slug + " script", Roles: []app.Role{app.RoleAuditor}, Life: time.Hour}, "a script", "")
	require.NoError(t, err)
	session, err := w.areas.SignIns.BySession(ctx, secret.NewText(w.session(t, c, app.RoleAuditor).Value))
	require.NoError(t, err)
	owner := w.who(t, c, app.RoleTenantOwner)
	mappings, err := w.areas.Members.Mappings(ctx, owner)
	require.NoError(t, err)
	story, err := w.areas.Members.Story(ctx, owner, c.members[app.RoleAuditor])
	require.NoError(t, err)
	log, err := w.areas.Log.Read(ctx, owner, app.LogQuery{Limit: 1})
	require.NoError(t, err)
	saved, err := w.areas.Views.Save(ctx, w.who(t, c, app.RoleController), c.slug+" view", "by=day")
	require.NoError(t, err)
	rights, err := w.areas.Rights.List(ctx, who)
	require.NoError(t, err)
	c.things = map[string]string{
		"/keys": c.key.ID.String(), "/requests": c.events[0].ID.String(), "/prices/changes": c.change.ID.String(), "/members": c.members[app.RoleAuditor].String(),
		"/members/invitations": c.invited.ID.String(), "/members/erasures": c.change.ID.String(), "/members/changes": story.Steps[0].Change.String(), "/members/groups": mappings[0].ID.String(),
		"/members/issuers": c.issuer.String(), "/tokens": c.token.ID.String(), "/account/sessions": session.Session.String(),
		"/sessions": "session-" + c.slug, "/explore/views": saved.ID.String(), "/keys/rights": rights[0].ID.String(), "/connect/logins": id.NewLogin(now()).String(), // nobody’s, until a test signs somebody in
		"/log": log.Entries[0].Record.String(), "/changes": c.change.ID.String(), "/changes/delegations": c.standIn.String(),
	}
	require.NoError(t, w.areas.Tenants.SetUpstream(ctx, who, "https://"+c.slug+".provider.test", secret.NewText("sk-"+c.slug), c.slug+" contract"))
	c.words = append(c.words, c.slug+".provider", c.slug+" contract", "sk-"+c.slug)
	c.words = append(c.words, c.slug+" laptop", c.slug+" login", c.slug+" auditors", c.slug+" Newcomer", c.slug+" script", c.slug+" view", c.issuer.String(), c.members[app.RoleAuditor].String())
}

// login signs a company's developer in from a command line.
func (w *world) login(t *testing.T, c *company) app.Issued {
	t.Helper()
	developer := w.who(t, c, app.RoleDeveloper)
	choices, err := w.areas.Logins.Choices(t.Context(), developer)
	require.NoError(t, err)
	code, err := w.areas.Logins.Allow(t.Context(), developer, app.Loopback{Challenge: loopback(nil).Get("challenge"), Client: c.slug + " laptop", CostCenter: choices[0].Code})
	require.NoError(t, err)
	issued, err := w.areas.Logins.Redeem(t.Context(), code, loginVerifier)
	require.NoError(t, err)
	return issued
}

// who is a member signed in.
func (w *world) who(t *testing.T, c *company, role app.Role) app.Actor {
	t.Helper()
	who, err := w.areas.SignIns.BySession(t.Context(), secret.NewText(w.session(t, c, role).Value))
	require.NoError(t, err)
	return who
}

// path is a route with a company's things in the place of parameters. A route below a
// new path fails until its thing is in the list.
func (c *company) path(t *testing.T, route string) string {
	t.Helper()
	if before, after, ok := strings.Cut(route, "/:id"); ok {
		thing := c.things[strings.TrimPrefix(before, "/api/v1")]
		require.NotEmpty(t, thing, "say in world.people what :id of %s is", route)
		route = before + "/" + thing + after
	}
	route = strings.NewReplacer(":name", "summary.pdf", ":day", reconciledDay, ":slug", c.slug, ":file", c.file.String(), ":node", "SUSPENSE", ":place", "1", ":system", "workday", ":period", "2026-11", ":step", "usage", ":issuer", "iss_none", ":company", c.tenant.String(), ":tenant/*", c.tenant.String()+"/checkpoint", "/problems/:code", "/problems/internal", "/join/:code", "/join/"+c.invited.Code.Reveal()).Replace(route)
	require.NotContains(t, route, ":", "say in company.path what the parameter is")
	return route
}

// use flushes requests: complete ones on several days and months, an error, one whose
// price is not known, one without a developer.
func (w *world) use(t *testing.T, c *company, keys ...app.MadeKey) {
	t.Helper()
	require.NoError(t, w.snapshots.Load(t.Context(), id.Tenant{}))
	snapshot := w.snapshots.Current().Tenants[c.slug]
	for i := range 12 {
		made := keys[i%len(keys)]
		key, ok := w.snapshots.Find(snapshot, made.Secret.Reveal())
		require.True(t, ok)
		label := string(app.RoleDeveloper) + "@" + c.slug + ".test"
		developer := snapshot.Pseudonyms.Developer(label)
		e := usage.Event{
			ID: id.NewEvent(now().Add(-time.Duration(i*30) * time.Hour)), State: usage.StateComplete, HTTPStatus: 200,
			RequestID: "req_" + c.slug + string(rune('a'+i)), MessageID: "msg_" + string(rune('a'+i)), SessionID: "session-" + c.slug, Key: made.ID,
			Developer: developer, DeveloperLabel: w.labels.Seal(developer, label), ModelRequested: "claude-opus-5-5",
			Shares: key.Answer.Shares, Rule: string(key.Answer.Rule), Snapshot: snapshot.Number,
			Counts:          usage.Counts{Model: "claude-opus-5-5", Tokens: usage.Tokens{int64(100 + i), int64(1000 * i), 2000, 0, 30_000}},
			ReplicaSequence: int64(i + 1),
		}
		e.Replica = id.ReplicaFromBytes(e.ID.Bytes())
		switch i {
		case 0:
			at := e.OccurredAt()
			e.UpstreamStartedAt, e.FirstByteAt, e.EndedAt = at.Add(4*time.Millisecond), at.Add(320*time.Millisecond), at.Add(4500*time.Millisecond)
			e.RawUsage, e.StopReason = []byte(`{"input_tokens":100,"cache_read_input_tokens":30000}`), "end_turn"
		case 1:
			e.State, e.HTTPStatus, e.MessageID, e.Counts = usage.StateError, 529, "", usage.Counts{}
		case 2:
			e.Counts.Model = "claude-opus-99"
		case 3:
			e.Developer, e.DeveloperLabel = id.Developer{}, nil
		case 4:
			e.Tags = map[string]string{"team": c.slug + "-team"}
		case 6:
			e.AgentID, e.RequestClass = "agent-1", "subagent"
		case 7:
			e.AgentID, e.ParentAgentID, e.RequestClass = "agent-2", "agent-1", "subagent"
		}
		c.events = append(c.events, e)
	}
	_, err := w.metering.Flush(t.Context(), c.tenant, c.events)
	require.NoError(t, err)
}

// books posts a company's days that are over.
func (w *world) books(t *testing.T, c *company) {
	t.Helper()
	_, err := w.areas.Books.Accrue(t.Context(), c.tenant)
	require.NoError(t, err)
	page, err := w.areas.Books.Journal(t.Context(), app.Command(c.tenant), app.JournalQuery{Limit: 1})
	require.NoError(t, err)
	c.things["/journal"] = page.Entries[0].ID.String()
	c.words = append(c.words, page.Entries[0].ID.String(), page.Entries[0].Digest)
}

// packets builds one of the month before.
func (w *world) packets(t *testing.T, c *company) {
	t.Helper()
	made, _, err := w.areas.Packets.Build(t.Context(), app.Command(c.tenant), period.MonthOf(now()).Previous(), "")
	require.NoError(t, err)
	c.things["/packets"] = made.String()
	down, err := w.areas.Packets.Download(t.Context(), app.Command(c.tenant), made, "")
	require.NoError(t, err)
	c.words = append(c.words, made.String(), down.SHA256)
	ask, err := w.areas.Packets.Ask(t.Context(), app.Command(c.tenant), period.MonthOf(now()).Previous(), "")
	require.NoError(t, err)
	c.things["/packets/asked"], c.things["/packets/deliveries"], c.things["/packets/recipients"] = ask.String(), id.NewDelivery(now()).String(), id.NewRecipient(now()).String()
}

// reports gives a company a pull of what its provider reports of a day.
func (w *world) reports(t *testing.T, c *company) {
	t.Helper()
	ctx, day := t.Context(), time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	require.NoError(t, w.areas.Provider.SetSource(ctx, app.Command(c.tenant), app.ReportSource{
		BaseURL: app.ProviderURL, GatewayKeys: []string{"apikey_" + c.slug}, FirstDay: "2026-11-15",
	}, secret.NewText("sk-ant-admin01-"+c.slug), c.slug+" reconciles"))
	for _, one := range []struct {
		report provider.Report
		body   string
	}{
		{provider.Keys, `{"data":[{"id":"apikey_` + c.slug + `","name":"` + c.slug + ` gateway","status":"active","scope":{"workspace_id":"wrkspc_` + c.slug + `"}}],"has_more":false,"last_id":null}`},
		{provider.Cost, `{"data":[{"starting_at":"2026-11-20T00:00:00Z","ending_at":"2026-11-21T00:00:00Z","group":{"api_key_id":"apikey_` + c.slug + `","model":"claude-opus-5-5","cost_type":"tokens","token_type":"output_tokens"},
			"cost":{"amount":"41280.0000000001","list_amount":"48564.5","currency":"USD","shipping":"1"}},
			{"starting_at":"2026-11-20T00:00:00Z","ending_at":"2026-11-21T00:00:00Z","group":{"cost_type":"teleport"},"cost":{"amount":"1","list_amount":"1","currency":"USD"}}],
			"has_more":false,"next_page":null,"data_refreshed_at":"2026-11-23T09:00:00Z"}`},
	} {
		p, err := w.areas.Provider.Begin(ctx, c.tenant, one.report, day)
		require.NoError(t, err)
		require.NoError(t, w.areas.Provider.KeepPage(ctx, p, app.Received{Body: []byte(one.body), Request: "/v1/organizations/" + c.slug, Status: http.StatusOK, FetchedAt: now()}))
		_, err = w.areas.Provider.Finish(ctx, p)
		require.NoError(t, err)
		c.things["/settings/provider/pulls"] = p.ID.String()
		c.words = append(c.words, p.ID.String())
	}
	c.words = append(c.words, "apikey_"+c.slug, c.slug+" reconciles", c.slug+" gateway")
}

// disputed has the owner of one half of a company's tree dispute a request of theirs.
func (w *world) disputed(t *testing.T, c *company, prefix string) {
	t.Helper()
	made, err := w.areas.Disputes.Raise(t.Context(), w.who(t, c, app.RoleBudgetOwner), app.NewDispute{
		Month: period.MonthOf(now()), Node: prefix + "-11", To: prefix + "-20", Requests: []id.Event{c.events[4].ID}, Reason: c.slug + " quarrel",
	})
	require.NoError(t, err)
	c.things["/disputes"] = made.String()
	c.words = append(c.words, made.String(), c.slug+" quarrel")
}

// exports maps a company's accounts and makes drafts of this month.
func (w *world) exports(t *testing.T, c *company, prefix string) {
	t.Helper()
	rules := strings.Join([]string{
		"field,source,code,value", "account,kind,*,*", "account,account,6410,6410 " + c.slug + " services", "subsidiary,entity,US01," + c.slug + " holding", "period,period,2026-11,Nov 2026",
		"department,node," + prefix + "-11," + c.slug + " team", "department,node,*,Other",
	}, "\n")
	require.NoError(t, w.areas.Exports.SetMapping(t.Context(), app.Command(c.tenant), app.MappingAsk{System: "netsuite", InUse: true, Rules: rules}, c.slug+" accounts"))
	made, err := w.areas.Exports.Make(t.Context(), app.Command(c.tenant), "netsuite", period.MonthOf(now()))
	require.NoError(t, err)
	c.things["/exports"] = made[0].ID.String()
	c.words = append(c.words, made[0].ID.String(), made[0].ExternalID, made[0].Digest, c.slug+" services", c.slug+" holding", c.slug+" accounts")
}

// invoices enters one of October, with its paper.
func (w *world) invoices(t *testing.T, c *company) {
	t.Helper()
	file := "invoice_number,workspace,issued_on,due_on,service_from,service_through,currency,kind,description,amount,invoice_total\n" +
		c.slug + "-0041,default,2026-11-02,2026-12-02,2026-10-01,2026-10-31,USD,usage," + c.slug + " API,12.34,14.34\n" +
		c.slug + "-0041,default,2026-11-02,2026-12-02,2026-10-01,2026-10-31,USD,tax,sales tax,2.00,14.34\n"
	proposer, err := w.areas.Members.ByToken(t.Context(), secret.NewText(c.tokens[app.RoleServiceAccount]))
	require.NoError(t, err)
	made, err := w.areas.Approvals.Propose(t.Context(), proposer, app.AskInvoices([]byte(file), &app.PaperAsk{Name: c.slug + ".pdf", Content: []byte("%PDF-1.7 " + c.slug)}, "it came"), "")
	require.NoError(t, err)
	list, err := w.areas.Invoices.Entered(t.Context(), app.Command(c.tenant), made.ID)
	require.NoError(t, err)
	c.things["/invoices"] = list[0].ID.String()
	c.words = append(c.words, list[0].Number, list[0].Digest)
}

// reconciledDay is one of the companies' days that the provider reports: it has none of its requests.
const reconciledDay = "2026-11-21"

// reconciled holds a day against reports that are empty, so that a company has a variance.
func (w *world) reconciled(t *testing.T, c *company) {
	t.Helper()
	day, err := time.Parse(time.DateOnly, reconciledDay)
	require.NoError(t, err)
	for _, report := range []provider.Report{provider.Usage, provider.Cost} {
		pull, err := w.areas.Provider.Begin(t.Context(), c.tenant, report, day)
		require.NoError(t, err)
		require.NoError(t, w.areas.Provider.KeepPage(t.Context(), pull, app.Received{Body: []byte(`{"data":[],"has_more":false,"data_refreshed_at":"` + now().Format(time.RFC3339) + `"}`), Request: "/", Status: 200, FetchedAt: now()}))
		_, err = w.areas.Provider.Finish(t.Context(), pull)
		require.NoError(t, err)
	}
	_, err = w.areas.Reconciliations.Reconcile(t.Context(), c.tenant, day)
	require.NoError(t, err)
	page, err := w.areas.Reconciliations.Variances(t.Context(), app.Command(c.tenant), app.VarianceQuery{})
	require.NoError(t, err)
	require.NotEmpty(t, page.Variances)
	c.things["/variances"] = page.Variances[0].ID.String()
	c.words = append(c.words, page.Variances[0].ID.String())
}

// session signs a member in without an issuer and returns the cookie.
func (w *world) session(t *testing.T, c *company, role app.Role) *http.Cookie {
	t.Helper()
	value, err := w.areas.SignIns.Accept(context.WithoutCancel(t.Context()), c.tenant, app.Claims{Issuer: issuerURL, Subject: c.slug + "-" + string(role), SignedInAt: now()})
	require.NoError(t, err)
	return &http.Cookie{Name: "tollbook", Value: value.Reveal()}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (w *world) do(r *http.Request) answer {
	recorder := httptest.NewRecorder()
	w.web.Handler().ServeHTTP(recorder, r)
	return answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
}

func request(method, target, body string) *http.Request {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	r.Host = "127.0.0.1:8080"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return r
}

// see opens a page as somebody.
func (w *world) see(t *testing.T, c *company, role app.Role, target string) answer {
	t.Helper()
	r := request(http.MethodGet, target, "")
	r.AddCookie(w.session(t, c, role))
	return w.do(r)
}

// call asks the API as somebody; a body makes it a POST.
func (w *world) call(c *company, role app.Role, target, body string, headers ...string) answer {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	r := request(method, "/api/v1"+target, body)
	r.Header.Set("Authorization", "Bearer "+c.tokens[role])
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.do(r)
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var document map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &document), a.body)
	return document
}

// golden compares with a file after giving random ids names by order of appearance.
func golden(t *testing.T, name, got string) {
	t.Helper()
	names, counts := map[string]string{}, map[string]int{}
	got = regexp.MustCompile(`(evt|nod|key|plc|jnl|bat|chg|dev|tbk|form|mem|per|tok|inv|iss|att)_[0-9a-z]{32}\b`).ReplaceAllStringFunc(got, func(id string) string {
		if names[id] == "" {
			kind, _, _ := strings.Cut(id, "_")
			counts[kind]++
			names[id] = kind + "_" + string(rune('A'+counts[kind]-1))
		}
		return names[id]
	})
	got = regexp.MustCompile(`/assets/[0-9a-f]{16}/`).ReplaceAllString(got, "/assets/HASH/")
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run with -update to make it")
	require.Equal(t, string(want), got)
}

// pretty lays out JSON with sorted keys.
func pretty(t *testing.T, body string) string {
	t.Helper()
	var document any
	require.NoError(t, json.Unmarshal([]byte(body), &document), body)
	out, err := json.MarshalIndent(document, "", "  ")
	require.NoError(t, err)
	return string(out) + "\n"
}

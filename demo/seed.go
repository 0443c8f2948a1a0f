package demo

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/url"
	"slices"
	"time"

	"tollbook/app"
	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/simulator"
)

// Areas are the use cases a seed goes through: the same as everybody's.
type Areas struct {
	Tenants   *app.Tenants
	Nodes     *app.Nodes
	Keys      *app.Keys
	Members   *app.Members
	SignIns   *app.SignIns
	Snapshots *app.Snapshots
	Metering  *app.Metering
	Audit     *app.Audit
	Labels    *app.Labels
	Plans     *app.Plans
	Rights    *app.Rights
	Approvals *app.Approvals
	Books     *app.Books
	Provider  *app.ProviderReports
	Exports   *app.Exports

	Commentaries *app.Commentaries
	Disputes     *app.Disputes
}

// Plan says how much to seed.
type Plan struct {
	Now      time.Time
	Requests int
	Progress io.Writer
}

// Defaults of a plan.
const (
	DefaultRequests = 150_000
	months          = 3
	tokenLife       = 365 * 24 * time.Hour
)

const (
	simulatorCredential = "sk-sim-meridian"         //nolint:gosec // the stand-in accepts anything
	adminCredential     = "sk-ant-admin01-meridian" //nolint:gosec // the stand-in accepts any that begins so
	reason              = "example company"
)

// start is the first instant of the example's history: three months before this one.
func (p Plan) start() time.Time {
	now := p.Now.UTC()
	return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, -months, 0)
}

// Seed makes the example company and its history, on both sides.
func Seed(ctx context.Context, areas Areas, sim *simulator.Simulator, state *State, plan Plan) error {
	tenant, err := areas.Tenants.Create(ctx, Slug, Name, plan.start())
	if err != nil {
		return fmt.Errorf("create the company: %w", err)
	}
	who := app.Command(tenant)
	if err := areas.Nodes.Create(ctx, who, hierarchy(), plan.start(), reason); err != nil {
		return fmt.Errorf("create the hierarchy: %w", err)
	}
	if err := approvePlans(ctx, areas, who, plan); err != nil {
		return err
	}
	keys := map[string]id.Key{}
	for _, c := range centers() {
		made, err := areas.Keys.Create(ctx, who, app.NewKey{Label: "Claude Code, " + c.code, CostCenter: c.code}, reason)
		if err != nil {
			return fmt.Errorf("create a key: %w", err)
		}
		keys[c.code], state.VirtualKeys[c.code] = made.ID, made.Secret.Reveal()
	}
	if err := serviceAccount(ctx, areas, who, state); err != nil {
		return err
	}
	if err := areas.Snapshots.Load(ctx, tenant); err != nil {
		return err
	}
	facts := (&generator{random: rand.New(rand.NewPCG(20261123, 1)), from: plan.start(), to: plan.Now.UTC(), count: plan.Requests}).run() //nolint:gosec // example data, not a secret
	if err := attribute(areas, keys, facts); err != nil {
		return err
	}
	if err := flush(ctx, areas, tenant, facts, plan); err != nil {
		return err
	}
	if _, err := sim.Import(asProvider(facts)); err != nil {
		return fmt.Errorf("fill the simulator's books: %w", err)
	}
	if _, err := areas.Books.Accrue(ctx, tenant); err != nil {
		return fmt.Errorf("post the journal: %w", err)
	}
	if err := mapAccounts(ctx, areas, who, plan); err != nil {
		return err
	}
	if _, err := areas.Audit.Sequence(ctx, tenant); err != nil {
		return fmt.Errorf("sequence the audit log: %w", err)
	}
	return nil
}

func asProvider(facts []fact) iter.Seq[simulator.Fact] {
	return func(yield func(simulator.Fact) bool) {
		for i := range facts {
			if !yield(facts[i].provider()) {
				return
			}
		}
	}
}

// attribute gives each fact its key, developer and placement, by the product's own
// rules.
func attribute(areas Areas, keys map[string]id.Key, facts []fact) error {
	snapshot := areas.Snapshots.Current().Tenants[Slug]
	if snapshot == nil {
		return fmt.Errorf("attribute the history: %s is not in the snapshot", Slug)
	}
	replica := id.ReplicaFromBytes([16]byte{0: 0xde, 1: 0x30, 6: 0x80, 8: 0x80})
	assigned := map[id.Key]id.Change{} // what gave each key its cost center
	for _, k := range snapshot.Keys {
		assigned[k.ID] = k.Answer.Change
	}
	answers, sealed := map[[2]string]attribution.Answer{}, map[string][]byte{}
	for i := range facts {
		f := &facts[i]
		where := [2]string{f.center, f.project}
		answer, known := answers[where]
		if !known {
			node, ok := snapshot.Tree.Code(f.center)
			if !ok {
				return fmt.Errorf("attribute the history: no cost center %s", f.center)
			}
			var err error
			if answer, err = attribution.Decide(snapshot.Tree, attribution.Facts{CostCenter: node.Node, Request: attribution.Request{Project: f.project}}); err != nil {
				return fmt.Errorf("attribute the history: %w", err)
			}
			answers[where] = answer
		}
		e := &f.event
		e.Key, e.Shares, e.Rule, e.Snapshot, e.Project = keys[f.center], answer.Shares, string(answer.Rule), snapshot.Number, f.project
		e.Change = assigned[e.Key]
		e.Replica, e.Developer = replica, snapshot.Pseudonyms.Developer(f.label)
		if sealed[f.label] == nil {
			sealed[f.label] = areas.Labels.Seal(e.Developer, f.label)
		}
		e.DeveloperLabel = sealed[f.label]
	}
	return nil
}

func flush(ctx context.Context, areas Areas, tenant id.Tenant, facts []fact, plan Plan) error {
	done := 0
	for piece := range slices.Chunk(facts, app.FlushLimit) {
		events := make([]usage.Event, 0, len(piece))
		for i := range piece {
			events = append(events, piece[i].event)
		}
		if _, err := areas.Metering.Flush(ctx, tenant, events); err != nil {
			return fmt.Errorf("post the history: %w", err)
		}
		done += len(piece)
		_, _ = fmt.Fprintf(plan.Progress, "\r  %d of %d requests priced and posted", done, len(facts))
	}
	_, _ = fmt.Fprintln(plan.Progress)
	return nil
}

// serviceAccount admits the program that has the service_account role.
func serviceAccount(ctx context.Context, areas Areas, who app.Actor, state *State) error {
	member, err := areas.Members.Add(ctx, who, app.NewMember{
		Service: true, Issuer: "tollbook", Subject: "svc-reporting", Name: "Reporting service", Role: app.RoleServiceAccount,
	}, reason)
	if err != nil {
		return fmt.Errorf("admit the service account: %w", err)
	}
	return token(ctx, areas, who, state, app.RoleServiceAccount, member)
}

func token(ctx context.Context, areas Areas, who app.Actor, state *State, role app.Role, member id.Member) error {
	made, err := areas.Members.AddToken(ctx, who, member, "demo, "+string(role), tokenLife, reason)
	if err != nil {
		return fmt.Errorf("make a token: %w", err)
	}
	state.APITokens[string(role)] = made.Reveal()
	return nil
}

// Admit points the company at the issuer this start has, and admits its people the
// first time an issuer is seen: an identity is issuer and subject.
func Admit(ctx context.Context, areas Areas, tenant id.Tenant, state *State, issuerURL string) error {
	who := app.Command(tenant)
	issuer := app.Issuer{Name: "Meridian sign-in (local)", URL: issuerURL, ClientID: ClientID, Secret: secret.NewText(state.ClientSecret), Domains: []string{"meridian.example", "audit.example"}}
	if err := areas.SignIns.SetIssuer(ctx, who, issuer, reason); err != nil {
		return fmt.Errorf("set the issuer: %w", err)
	}
	if err := admitOperator(ctx, areas, who, state, issuerURL); err != nil {
		return err
	}
	if err := admitReceiver(ctx, areas, who, state, issuerURL); err != nil {
		return err
	}
	if state.IssuerURL == issuerURL {
		return nil
	}
	for _, p := range People() {
		member, err := areas.Members.Add(ctx, who, app.NewMember{
			Issuer: issuerURL, Subject: p.Subject, Name: p.Name, Email: p.Email, Role: p.Role, NodeCode: p.Node,
		}, reason)
		if fault.KindOf(err) == fault.KindConflict {
			continue // an earlier start was interrupted here
		}
		if err != nil {
			return fmt.Errorf("admit %s: %w", p.Role, err)
		}
		if err := token(ctx, areas, who, state, p.Role, member); err != nil {
			return err
		}
	}
	state.IssuerURL = issuerURL
	if err := rights(ctx, areas, who); err != nil {
		return err
	}
	if err := propose(ctx, areas, who, state, issuerURL, time.Now()); err != nil {
		return err
	}
	return notes(ctx, areas, who, state, issuerURL, time.Now())
}

// rights lets people sign in from a command line: the engineers' part to who works
// there, a cost center for experiments to everybody.
func rights(ctx context.Context, areas Areas, who app.Actor) error {
	for _, want := range []app.NewRight{
		{Email: "ada.4100@meridian.example", Node: "BU-10"}, {Email: "sofia.lindqvist@meridian.example", Node: "BU-10"}, {Email: app.Everybody, Node: "CC-6300"},
	} {
		if _, err := areas.Rights.Grant(ctx, who, want, reason); err != nil && fault.From(err).Code != "right_there" {
			return fmt.Errorf("let people charge %s: %w", want.Node, err)
		}
	}
	return nil
}

// admitOperator admits who runs the installation, who has no token. A data directory of
// an older release has none of them yet.
func admitOperator(ctx context.Context, areas Areas, who app.Actor, state *State, issuerURL string) error {
	if state.OperatedAt == issuerURL {
		return nil
	}
	p := Operator()
	_, err := areas.Members.Add(ctx, who, app.NewMember{Issuer: issuerURL, Subject: p.Subject, Name: p.Name, Email: p.Email, Role: p.Role}, reason)
	if err != nil && fault.KindOf(err) != fault.KindConflict {
		return fmt.Errorf("admit the operator: %w", err)
	}
	state.OperatedAt = issuerURL
	return nil
}

// foundedEach is how many companies one person may found in the demo: it is there to be
// tried again.
const foundedEach = 50

// SignUp lets whoever the local issuer knows found a company whose requests go to the
// simulator.
func SignUp(webURL string, state *State) *app.SignUpRules {
	return &app.SignUpRules{
		Issuer:    app.Issuer{Name: "Local sign-in", URL: webURL + "/idp", ClientID: ClientID, Secret: secret.NewText(state.ClientSecret)},
		Upstreams: []string{webURL + "/sim"}, PerPerson: foundedEach, PerDay: foundedEach,
	}
}

// ClientID is Tollbook's name at the local issuer.
const ClientID = "tollbook"

// SignInURLs are the links that start the real sign-in with a person preselected.
func SignInURLs(ctx context.Context, areas Areas, tenant id.Tenant, webURL string) (map[string]string, error) {
	issuers, err := areas.SignIns.Issuers(ctx, tenant)
	if err != nil || len(issuers) == 0 {
		return nil, fmt.Errorf("read the issuer: %w", err)
	}
	links := map[string]string{}
	link := func(subject, returnTo string) string {
		query := url.Values{"login_hint": {subject}, "return_to": {returnTo}}
		return webURL + "/sign-in/" + Slug + "/" + issuers[0].ID.String() + "?" + query.Encode()
	}
	for _, p := range People() {
		links[string(p.Role)] = link(p.Subject, "/")
	}
	links[ReceiverName] = link(Receiver().Subject, "/disputes")
	links[OperatorName] = link(Operator().Subject, "/operator")
	return links, nil
}

// Reports points the company at the simulator's admin API: what it reports of every day of
// the example's history is pulled by and by, beside everything else.
func Reports(ctx context.Context, areas Areas, tenant id.Tenant, simulatorURL string) error {
	want := app.ReportSource{
		BaseURL: simulatorURL, GatewayKeys: []string{simulator.KeyHint(simulatorCredential)}, FirstDay: Plan{Now: time.Now()}.start().Format(time.DateOnly),
	}
	if err := areas.Provider.SetSource(ctx, app.Command(tenant), want, secret.NewText(adminCredential), reason); err != nil {
		return fmt.Errorf("set the source of provider reports: %w", err)
	}
	return nil
}

// SimulatorCredential is what the company's upstream is asked with.
func SimulatorCredential() secret.Text { return secret.NewText(simulatorCredential) }

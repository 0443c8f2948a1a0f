package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
	"tollbook/db/postgres"
	"tollbook/demo"
	"tollbook/gateway"
	"tollbook/jobs/deliver"
	"tollbook/simulator"
	"tollbook/simulator/issuer"
)

// demoRun is one start of the demo.
type demoRun struct {
	dir      string
	upstream string
	out      io.Writer // what a person keeps
	progress io.Writer
	log      *slog.Logger
	state    *demo.State
	admin    string // superuser's URL of the demo's database
	mail     *demo.Postbox
	settings settings
	listener net.Listener
	closers  []func() error
}

// commandDemo is the whole product on one port, with an example company.
func commandDemo(ctx context.Context, args []string, out, progress io.Writer) error {
	var address, dir, upstream string
	var fresh, verbose bool
	if _, err := parse("demo", args, func(f *flag.FlagSet) {
		f.StringVar(&address, "listen", "127.0.0.1:8080", "")
		f.StringVar(&dir, "data", ".tollbook", "")
		f.StringVar(&upstream, "upstream", "", "")
		f.BoolVar(&fresh, "fresh", false, "")
		f.BoolVar(&verbose, "verbose", false, "")
	}, false); err != nil {
		return err
	}
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelDebug
	}
	d := &demoRun{upstream: upstream, out: out, progress: progress, log: slog.New(slog.NewTextHandler(progress, &slog.HandlerOptions{Level: level}))}
	defer d.close()
	if err := d.place(address, dir, fresh); err != nil {
		return err
	}
	if err := d.database(ctx); err != nil {
		return err
	}
	return d.serve(ctx)
}

func (d *demoRun) close() {
	for _, end := range slices.Backward(d.closers) {
		if err := end(); err != nil {
			d.log.Warn("end of the demo", "error", err)
		}
	}
}

func (d *demoRun) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(d.progress, format+"\n", args...)
}

// place takes the port first, so that a second demo fails before it touches data.
func (d *demoRun) place(address, dir string, fresh bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil || !loopback(host) {
		return misuse("demo: --listen must be a loopback address with a port, like 127.0.0.1:8080; the demo is for this machine only")
	}
	if d.listener, err = listen(address); err != nil {
		return err
	}
	d.closers = append(d.closers, func() error { _ = d.listener.Close(); return nil })
	if d.dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	if fresh {
		files, err := postgres.Files(filepath.Join(d.dir, "postgres"))
		if err != nil {
			return err
		}
		for _, old := range []string{files, d.dir} {
			if err := os.RemoveAll(old); err != nil {
				return fmt.Errorf("--fresh: %w", err)
			}
		}
	}
	if err := os.MkdirAll(d.dir, 0o711); err != nil { // the unprivileged user that runs Postgres passes through; every file inside is 0600
		return fmt.Errorf("--data: %w", err)
	}
	if d.state, err = demo.LoadState(d.dir); err != nil {
		return err
	}
	d.settings = settings{
		Listen: d.listener.Addr().String(), PublicURL: &url.URL{Scheme: "http", Host: d.listener.Addr().String()},
		MasterKeys: []secret.Text{secret.NewText(d.state.MasterKey)}, JournalDir: filepath.Join(d.dir, "journal"), Development: true,
		LogKey: secret.NewText(d.state.LogKey),
		Limits: standardLimits(),
		// Whoever the local issuer knows as the operator, at this start's address.
		Operators: []app.Identity{{Issuer: "http://" + d.listener.Addr().String() + "/idp", Subject: demo.Operator().Subject}},
	}
	if err := d.catchMail(); err != nil {
		return err
	}
	d.settings.SignUp = demo.SignUp(d.settings.PublicURL.String(), d.state)
	return d.state.Save(d.dir)
}

// catchMail starts the mail server that keeps what the product sends, so that a stranger
// sees it; nothing leaves this machine.
func (d *demoRun) catchMail() error {
	var err error
	if d.mail, err = demo.CatchMail(); err != nil {
		return err
	}
	d.closers = append(d.closers, d.mail.Close)
	if d.settings.SMTP, err = deliver.ParseSMTP(d.mail.URL()); err != nil {
		return fmt.Errorf("the demo's mail server: %w", err)
	}
	return nil
}

// database starts a Postgres of its own, or uses the one the environment names, and
// brings the schema up to date. A seed that was interrupted is thrown away.
func (d *demoRun) database(ctx context.Context) error {
	if given := os.Getenv("TOLLBOOK_DATABASE_URL"); given != "" {
		d.settings.DatabaseURL, d.settings.SystemDatabaseURL, d.admin = given, os.Getenv("TOLLBOOK_SYSTEM_DATABASE_URL"), os.Getenv("TOLLBOOK_MIGRATE_DATABASE_URL")
		if d.settings.SystemDatabaseURL == "" || d.admin == "" {
			return errors.New("with TOLLBOOK_DATABASE_URL, the demo also needs TOLLBOOK_SYSTEM_DATABASE_URL and TOLLBOOK_MIGRATE_DATABASE_URL; or unset all three and it runs a Postgres of its own")
		}
		_, err := db.Migrate(ctx, d.admin)
		return err
	}
	d.sayf("Starting PostgreSQL")
	server, err := postgres.Start(ctx, postgres.Config{Dir: filepath.Join(d.dir, "postgres"), Log: d.progress, Install: true})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, server.Stop)
	const name = "tollbook"
	if !d.state.Seeded {
		for _, half := range []string{"simulator", "journal"} {
			if err := os.RemoveAll(filepath.Join(d.dir, half)); err != nil {
				return fmt.Errorf("clear an interrupted start: %w", err)
			}
		}
		if err := db.Recreate(ctx, server.DSN("postgres", postgres.Superuser), name); err != nil {
			return err
		}
	}
	d.admin = server.URL(name, postgres.Superuser)
	d.settings.DatabaseURL, d.settings.SystemDatabaseURL = server.DSN(name, "tollbook_app"), server.DSN(name, "tollbook_system")
	_, err = db.Migrate(ctx, server.DSN(name, postgres.Superuser))
	return err
}

// serve seeds once, puts everything on the port, writes demo.json and serves until
// ctx ends.
func (d *demoRun) serve(ctx context.Context) error {
	gateway.MakeRoom()
	h, err := assemble(ctx, d.settings, d.log)
	if err != nil {
		return err
	}
	d.closers = append(d.closers, func() error { h.db.Close(); return nil })
	simDir := filepath.Join(d.dir, "simulator")
	if err := os.MkdirAll(simDir, 0o700); err != nil {
		return fmt.Errorf("make the simulator's folder: %w", err)
	}
	sim, err := simulator.Open(simulator.Config{Dir: simDir, Seed: 1})
	if err != nil {
		return fmt.Errorf("open the simulator: %w", err)
	}
	d.closers = append(d.closers, sim.Close)
	areas := demo.Areas{
		Tenants: h.tenants, Nodes: h.nodes, Keys: h.keys, Members: h.members, SignIns: h.signIns,
		Snapshots: h.snapshots, Metering: h.metering, Audit: h.audit, Labels: app.NewLabels(h.ring), Plans: h.plans, Rights: h.rights, Approvals: h.approvals, Books: h.books, Exports: h.exports,
		Provider: h.provider, Commentaries: h.notes, Disputes: h.disputes,
	}
	if !d.state.Seeded {
		d.sayf("Seeding Meridian Robotics: three months of traffic and this month")
		if err := demo.Seed(ctx, areas, sim, d.state, demo.Plan{Now: time.Now(), Requests: demo.DefaultRequests, Progress: d.progress}); err != nil {
			return err
		}
	}
	tenant, err := d.point(ctx, h, areas)
	if err != nil {
		return err
	}
	web := d.settings.PublicURL.String()
	people, err := d.issuer(web)
	if err != nil {
		return err
	}
	p, err := h.start(ctx)
	if err != nil {
		return errors.Join(err, p.shutdown(context.WithoutCancel(ctx)))
	}
	p.mux.Handle("/sim/", http.StripPrefix("/sim", sim.Handler()))
	p.mux.Handle("/idp/", http.StripPrefix("/idp", people.Handler()))
	p.mux.Handle(demo.MailPath, d.mail)
	p.mux.Handle(demo.MailPath+"/", d.mail)
	if err := d.card(ctx, areas, tenant, web); err != nil {
		return errors.Join(err, p.shutdown(context.WithoutCancel(ctx)))
	}
	err = serveUntil(ctx, d.listener, p.mux, d.settings, d.log)
	d.sayf("Stopping; the data stays in %s", d.dir)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.settings.Limits.shutdown)
	defer cancel()
	return errors.Join(err, p.shutdown(limited))
}

// point sends the company's requests to the simulator, or where --upstream says, and
// admits its people at this start's issuer.
func (d *demoRun) point(ctx context.Context, h *house, areas demo.Areas) (id.Tenant, error) {
	tenant, _, err := h.tenants.BySlug(ctx, demo.Slug)
	if err != nil {
		return tenant, err
	}
	target, credential := d.settings.PublicURL.String()+"/sim", demo.SimulatorCredential()
	if d.upstream != "" {
		target, credential = d.upstream, secret.NewText("dummy")
		if given := os.Getenv("TOLLBOOK_UPSTREAM_KEY"); given != "" {
			credential = secret.NewText(given)
		}
	}
	if err := h.tenants.SetUpstream(ctx, app.Command(tenant), target, credential, "the demo's start"); err != nil {
		return tenant, fmt.Errorf("--upstream: %w", err)
	}
	if err := demo.Admit(ctx, areas, tenant, d.state, d.settings.PublicURL.String()+"/idp"); err != nil {
		return tenant, err
	}
	if err := demo.Reports(ctx, areas, tenant, d.settings.PublicURL.String()+"/sim"); err != nil {
		return tenant, err
	}
	d.state.Seeded = true
	return tenant, d.state.Save(d.dir)
}

func (d *demoRun) issuer(web string) (*issuer.Issuer, error) {
	var people []issuer.Person
	for _, p := range demo.People() {
		people = append(people, issuer.Person{Subject: p.Subject, Name: p.Name, Email: p.Email, Groups: []string{string(p.Role)}})
	}
	for _, p := range append(demo.Strangers(), demo.Operator(), demo.Founder(), demo.Receiver()) {
		people = append(people, issuer.Person{Subject: p.Subject, Name: p.Name, Email: p.Email})
	}
	made, err := issuer.New(issuer.Config{
		URL: web + "/idp", Dir: filepath.Join(d.dir, "issuer"), ClientID: demo.ClientID, ClientSecret: d.state.ClientSecret,
		RedirectURIs: []string{web + "/sign-in/callback"}, People: people,
	})
	if err != nil {
		return nil, fmt.Errorf("open the local issuer: %w", err)
	}
	return made, nil
}

// card writes demo.json and tells a person how to begin.
func (d *demoRun) card(ctx context.Context, areas demo.Areas, tenant id.Tenant, web string) error {
	links, err := demo.SignInURLs(ctx, areas, tenant, web)
	if err != nil {
		return err
	}
	gatewayURL := web + "/gw/" + demo.Slug
	card := demo.Card{
		WebURL: web, GatewayURL: gatewayURL, DatabaseURL: d.admin, SimulatorURL: web + "/sim",
		VirtualKeys: d.state.VirtualKeys, APITokens: d.state.APITokens, SignIn: links,
		SignUp: web + "/sign-up/start?login_hint=" + demo.Founder().Subject, MailURL: web + demo.MailPath,
	}
	if err := card.Write(d.dir); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(d.out, `
Tollbook is ready.

  Open        %s
  Sign in     %s
  Sign up     %s  (a company of your own, as %s)
  Mail        %s  (what it would have sent)

  Point Claude Code at it:

    export ANTHROPIC_BASE_URL=%s
    export ANTHROPIC_AUTH_TOKEN=%s
    export CLAUDE_CODE_GATEWAY_HINT_HEADERS=1
    claude -p "say hi"

  Everything else (keys, tokens, sign-in links per role): %s
  Ctrl-C stops it; the data stays.
`, web, links[string(app.RoleFinanceAdmin)], web+"/sign-up", demo.Founder().Name, web+demo.MailPath, gatewayURL, d.state.VirtualKeys["CC-4100"], filepath.Join(d.dir, "demo.json"))
	return nil
}

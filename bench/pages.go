package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/plan"
	"tollbook/app/pricing"
	"tollbook/app/secret"
	"tollbook/web"
)

// A page is named in the product's promise, or asks the ledger whatever a person thinks
// of, which has a bound of its own.
const (
	namedWithin = "must: 95 % within 100 ms"
	freeWithin  = "must: within 3 s"
)

type page struct {
	name, path, within string
}

// pagesOf are the pages that are timed, by the month that was filled.
func pagesOf(b *books) []page {
	month, last := b.month.String(), b.month.End().AddDate(0, 0, -1).Format(time.DateOnly)
	week := b.month.End().AddDate(0, 0, -7).Format(time.DateOnly)
	span := "from=" + b.month.Start().Format(time.DateOnly) + "&to=" + b.month.End().Format(time.DateOnly)
	developer := url.QueryEscape("developer-1@bench.test")
	key := b.keys[0].String()
	return []page{
		{"chargeback", "/?period=" + month, namedWithin},
		{"chargeback by developer", "/?group_by=developer&period=" + month, namedWithin},
		{"chargeback by model", "/?group_by=model&period=" + month, namedWithin},
		{"chargeback by key", "/?group_by=key&period=" + month, namedWithin},
		{"chargeback as of before", "/?period=" + month + "&as_of=" + last + "T00:00:00Z", namedWithin},
		{"what moved", "/chargeback/movement?period=" + month, namedWithin},
		{"plan", "/plan?year=" + month[:4] + "-01", namedWithin},
		{"cost center", "/nodes/" + center(1) + "?period=" + month, namedWithin},
		{"requests", "/requests?" + span, namedWithin},
		{"requests of a cost center", "/requests?node=" + center(1) + "&" + span, namedWithin},
		{"requests of a developer", "/requests?developer=" + developer + "&" + span, namedWithin},
		{"requests of a key", "/requests?key=" + key + "&" + span, namedWithin},
		{"requests of a model", "/requests?model=claude-haiku-4-5&" + span, namedWithin},
		{"requests that failed", "/requests?state=error&" + span, namedWithin},
		{"the dearest requests", "/requests?sort=dearest&" + span, namedWithin},
		{"a request by the provider's id", "/requests?request_id=" + b.sample.RequestID, namedWithin},
		{"one request", "/requests/" + b.sample.ID.String(), namedWithin},
		{"sessions", "/sessions?" + span, namedWithin},
		{"one session", "/sessions/" + b.sample.SessionID, namedWithin},
		{"virtual keys", "/keys", namedWithin},
		{"one virtual key", "/keys/" + key, namedWithin},
		{"prices", "/prices", namedWithin},
		{"search", "/search?q=developer-1", namedWithin},
		{"settings", "/settings", namedWithin},
		{"explore by node and model", "/explore?by=node&and=model&run=1&" + span, namedWithin},
		{"explore by day and developer", "/explore?by=day&and=developer&run=1&" + span, namedWithin},
		{"explore by model and key, requests of a day", "/explore?by=model&and=key&measure=errors&run=1&from=" + last + "&to=" + b.month.End().Format(time.DateOnly), freeWithin},
		{"explore by project and key, requests of a week", "/explore?by=project&and=key&measure=cache_hits&run=1&from=" + week + "&to=" + b.month.End().Format(time.DateOnly), freeWithin},
	}
}

// pages times whole pages, from a request in the web edge's hands to the last byte, as a
// controller of the company with the filled month opens them.
func (s *stage) pages(ctx context.Context) ([]*figure, error) {
	b, figures, err := s.filled(ctx)
	if err != nil {
		return nil, err
	}
	door, err := s.house.openDoor(ctx, b)
	if err != nil {
		return nil, err
	}
	for _, p := range pagesOf(b) {
		got, err := s.timed(ctx, "page: "+p.name+" ("+p.within+")", func() error { return door.open(ctx, p.path) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.path, err)
		}
		figures = append(figures, got...)
	}
	return figures, nil
}

// frontDoor is the web edge and somebody signed in there.
type frontDoor struct {
	pages http.Handler
	pass  *http.Cookie
}

func (d *frontDoor) open(ctx context.Context, path string) error {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	r.Host = doorHost
	r.AddCookie(d.pass)
	seen := httptest.NewRecorder()
	d.pages.ServeHTTP(seen, r)
	if seen.Code != http.StatusOK {
		return fmt.Errorf("status %d: %.300s", seen.Code, seen.Body)
	}
	if !strings.Contains(seen.Body.String(), "</html>") {
		return errors.New("the page ends before its end")
	}
	return nil
}

const (
	doorHost   = "127.0.0.1:8080"
	doorIssuer = "https://issuer.bench.test"
	doorPerson = "controller"
)

// openDoor makes the web edge over the house's database and signs a controller in.
func (h *house) openDoor(ctx context.Context, b *books) (*frontDoor, error) {
	changes := app.NewChanges(h.areas.access)
	members := app.NewMembers(h.db, changes, h.areas.ring)
	signIns := app.NewSignIns(h.db, changes, members, h.areas.ring)
	plans := app.NewPlans(h.db, h.areas.access, changes, h.areas.ring)
	reports := app.NewReports(h.db, h.areas.access, h.areas.ring)
	adjustments, err := app.NewAdjustments(h.db, h.areas.access, changes, reports)
	if err != nil {
		return nil, err
	}
	pages, err := web.New(web.Config{
		PublicURL: &url.URL{Scheme: "http", Host: doorHost}, Log: h.log, Now: time.Now, Version: "bench", HTTPClient: &http.Client{Timeout: time.Second},
	}, web.Areas{
		Tenants: h.areas.tenants, SignIns: signIns, Members: members, Nodes: h.areas.nodes, Keys: h.areas.keys,
		Reports: reports, Adjustments: adjustments, Books: app.NewBooks(h.db, h.areas.access, changes, h.log), Exports: app.NewExports(h.db, h.areas.access, changes, h.areas.ring, "bench"),
		Provider:  app.NewProviderReports(h.db, changes, members, h.areas.tenants, h.areas.ring),
		Approvals: app.NewApprovals(h.db, h.areas.access, changes, members, h.areas.ring), Prices: app.NewPrices(h.db, h.areas.access, changes, pricing.VendorList()),
		Rules: app.NewRules(h.db, h.areas.access, changes, h.areas.ring),
		Plans: plans, Views: app.NewViews(h.db, h.areas.access, changes), Rights: app.NewRights(h.db, h.areas.access, changes, h.areas.ring),
		Logins:    app.NewLogins(h.db, h.areas.access, changes, members, h.areas.ring),
		Settings:  app.NewSettings(h.db, changes, members, h.areas.ring, func(*http.Request) (*http.Response, error) { return nil, errors.New("nobody is asked") }),
		Operators: app.NewOperators(h.db, nil, func() app.Health { return app.Health{} }, h.log),
	})
	if err != nil {
		return nil, err
	}
	who := app.Command(b.tenant)
	if _, err := members.Add(ctx, who, app.NewMember{Issuer: doorIssuer, Subject: doorPerson, Name: "Controller", Email: doorPerson + "@bench.test", Role: app.RoleController}, reason); err != nil {
		return nil, err
	}
	if _, err := signIns.AddIssuer(ctx, who, app.Issuer{Name: "bench", URL: doorIssuer, ClientID: "bench", Secret: secret.NewText("bench")}, reason); err != nil {
		return nil, err
	}
	if err := planYear(ctx, plans, who, b); err != nil {
		return nil, err
	}
	pass, err := signIns.Accept(ctx, b.tenant, app.Claims{Issuer: doorIssuer, Subject: doorPerson, SignedInAt: time.Now()})
	if err != nil {
		return nil, err
	}
	return &frontDoor{pages: pages.Handler(), pass: &http.Cookie{Name: "tollbook", Value: pass.Reveal()}}, nil
}

// planYear gives the cost centers something to be compared with.
func planYear(ctx context.Context, plans *app.Plans, who app.Actor, b *books) error {
	year, err := plan.ParseYear(b.month.String()[:4] + "-01")
	if err != nil {
		return err
	}
	var file strings.Builder
	_, _ = fmt.Fprintf(&file, "code,%s\n", b.month)
	for c := range monthCenters {
		_, _ = fmt.Fprintf(&file, "%s,100000.00\n", center(c))
	}
	_, err = plans.Propose(ctx, who, app.PlanAsk{Year: year, File: []byte(file.String()), EffectiveFrom: b.month.Start(), Reason: reason}, "")
	return err
}

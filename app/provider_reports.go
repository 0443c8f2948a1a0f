package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/provider"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
)

// ProviderReports is the area of what the provider itself reports: where reports come from,
// their pulls, and the bytes and figures that are kept of them.
type ProviderReports struct {
	db      *db.DB
	changes *Changes
	members *Members
	tenants *Tenants
	ring    *secret.Keyring

	finished, unchanged, failed atomic.Int64 // pulls that ended here
}

// PullCount is how many pulls ended here in one way.
type PullCount struct {
	Outcome string
	Count   int64
}

// Counts are the pulls that ended in this process, by how they did.
func (r *ProviderReports) Counts() []PullCount {
	return []PullCount{{PullFinished, r.finished.Load()}, {PullUnchanged, r.unchanged.Load()}, {PullFailed, r.failed.Load()}}
}

// NewProviderReports makes the area.
func NewProviderReports(d *db.DB, changes *Changes, members *Members, tenants *Tenants, ring *secret.Keyring) *ProviderReports {
	p := &ProviderReports{db: d, changes: changes, members: members, tenants: tenants, ring: ring}
	p.govern()
	return p
}

// How pulls end.
const (
	PullFinished  = "finished"
	PullUnchanged = "unchanged"
	PullFailed    = "failed"
)

const (
	// pullLives is how long a pull that was interrupted is taken up again: a cursor lives no
	// longer, and pages of two times should not be added up.
	pullLives = time.Hour
	// namesLive is how long a list of keys and workspaces is taken for current.
	namesLive = time.Hour
	// legacyLag is how far the legacy reports, which do not say, are taken to be behind.
	legacyLag = time.Hour
	// maxPullsATick bounds how many days one tick asks for: two reports of each are less than
	// the 60 questions a minute that the provider answers.
	maxPullsATick = 25
	// maxFailedPulls bounds what failed pulls of a source keep in a day.
	maxFailedPulls = 100
	// probeAfter is from how many failures in a row on a company's reports are asked for one day
	// at a time.
	probeAfter     = 4
	maxPullDetail  = 500
	reasonOverdue  = "pull_overdue"
	recordPulled   = "provider.pulled"
	recordPullLost = "provider.pull_failed"
)

var (
	errSourceAbsent = fault.New(fault.KindNotFound, "report_source_absent", "No source of provider reports is set up.")
	errPullsFailed  = fault.New(fault.KindLimited, "pulls_failed_many", "Too many pulls from this source failed within a day: it is asked again when they are a day ago, or by another source.")
	errPullTaken    = fault.New(fault.KindConflict, "pull_taken", "Another worker carries this pull.")
)

// Pull is one fetch of a report that is under way.
type Pull struct {
	Tenant     id.Tenant
	ID         id.Pull
	Number     int64
	Report     provider.Report
	Day        time.Time
	API        provider.API
	BaseURL    string
	Credential secret.Text

	reading *provider.Reading
	first   time.Time // when the first page was fetched
	hashes  [][sha256.Size]byte
}

// Next is the cursor of the page to ask for; more is false when all were read.
func (p *Pull) Next() (cursor string, more bool) { return p.reading.Next() }

// Empty tells whether an answer has no rows and promises more: it is worth a second question.
func (p *Pull) Empty(body []byte) bool { return p.reading.Empty(body) }

// UseLegacy turns a pull without a page to the legacy report. It tells whether there is one.
func (p *Pull) UseLegacy() bool {
	if p.API != provider.Analytics || p.reading.Pages() > 0 {
		return false
	}
	p.API = provider.Legacy
	p.reading = provider.Begin(p.API, p.Report, p.Day)
	return true
}

// Received is a page as the provider sent it.
type Received struct {
	Body      []byte
	Request   string // path and query
	Status    int
	FetchedAt time.Time
}

// Alone runs something as the only one that pulls a company's reports, in any process; ran is
// false where another does.
func (r *ProviderReports) Alone(ctx context.Context, tenant id.Tenant, run func(context.Context) error) (ran bool, err error) {
	return r.db.Alone(ctx, "pull:"+tenant.UUID(), run)
}

// Begin begins the pull of a report of a day, or takes up the one that was interrupted; one
// that is too old ends as failed. Of names the day is today, and there is nothing to pull
// (nil) while the last list is current.
func (r *ProviderReports) Begin(ctx context.Context, tenant id.Tenant, report provider.Report, day time.Time) (*Pull, error) {
	var p *Pull
	err := r.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		source, credential, err := r.source(tx)
		if err != nil {
			return err
		}
		if !report.OfFigures() {
			day = tx.Now.Truncate(oneDay)
		}
		if err := tx.LockPull(report, day); err != nil {
			return err
		}
		last, found, err := tx.LastPull(report, day)
		if err != nil {
			return err
		}
		p = &Pull{Tenant: tenant, Report: report, Day: day, API: firstAPI(report), BaseURL: source.BaseURL, Credential: credential}
		switch open := found && last.State == ""; {
		case !report.OfFigures() && found && !open && last.SourceVersion == source.Version && tx.Now.Sub(*last.EndedAt) < namesLive:
			p = nil
			return nil
		case open:
			taken, err := p.takeUp(tx, &last, last.SourceVersion == source.Version && tx.Now.Sub(last.StartedAt) < pullLives)
			if err != nil || taken {
				return err
			}
			p = &Pull{Tenant: tenant, Report: report, Day: day, API: firstAPI(report), BaseURL: source.BaseURL, Credential: credential}
		}
		failing, err := tx.PullFailures(source.Version, tx.Now.Add(-oneDay))
		if err != nil {
			return err
		}
		if failing.Recent >= maxFailedPulls {
			return errPullsFailed
		}
		p.ID, p.reading = id.NewPull(tx.Now), provider.Begin(p.API, report, day)
		if p.Number, err = tx.Counter("provider_pull"); err != nil {
			return err
		}
		return tx.AddPull(p.ID, p.Number, report, day, source.Version)
	})
	return p, err
}

func firstAPI(report provider.Report) provider.API {
	if report.OfFigures() {
		return provider.Analytics
	}
	return provider.Organization
}

// takeUp reads the pages that are kept of a pull which has not ended. One that is overdue, or
// whose last page was kept by a worker that ended before it could say what is wrong with it,
// ends as failed.
func (p *Pull) takeUp(tx *db.Tx, row *db.PullRow, inTime bool) (bool, error) {
	p.ID, p.Number = row.PullID, row.Number
	pages, err := tx.Pages(row.PullID)
	if err != nil {
		return false, err
	}
	if len(pages) > 0 {
		p.API = provider.API(pages[0].API)
	}
	p.reading = provider.Begin(p.API, p.Report, p.Day)
	var broken error
	for i := range pages {
		page, _, err := tx.Page(row.PullID, pages[i].Place)
		if err != nil {
			return false, err
		}
		p.add(&page)
		if broken = p.reading.Read(page.Content); broken != nil {
			break
		}
	}
	switch {
	case broken != nil:
		return false, p.fail(tx, fault.From(broken).Code, fault.From(broken).Message)
	case !inTime:
		return false, p.fail(tx, reasonOverdue, "It was interrupted and not taken up again in time.")
	}
	return true, nil
}

func (p *Pull) add(page *db.PageRow) {
	if p.first.IsZero() {
		p.first = page.FetchedAt.UTC()
	}
	p.hashes = append(p.hashes, sha256.Sum256(page.Content))
}

// KeepPage keeps the page that Next asked for, as it was received, and reads it. A page that
// cannot be read, or that was there before, is kept and ends the pull as failed.
func (r *ProviderReports) KeepPage(ctx context.Context, p *Pull, page Received) error {
	if err := p.reading.Room(page.Body); err != nil { // it is not kept either: what is kept has a bound
		if failed := r.Fail(ctx, p, fault.From(err).Code, fault.From(err).Message); failed != nil {
			return failed
		}
		return err
	}
	row := db.PageRow{
		PullID: p.ID, Place: len(p.hashes) + 1, API: string(p.API), Request: page.Request, HTTPStatus: page.Status, Content: page.Body, FetchedAt: page.FetchedAt,
	}
	err := r.db.InTenant(ctx, p.Tenant, func(tx *db.Tx) error {
		kept, err := tx.AddPage(&row)
		if err == nil && !kept {
			return errPullTaken
		}
		return err
	})
	if err != nil {
		return err
	}
	p.add(&row)
	if err := p.reading.Read(page.Body); err != nil {
		if failed := r.Fail(ctx, p, fault.From(err).Code, fault.From(err).Message); failed != nil {
			return failed
		}
		return err
	}
	return nil
}

// Finish ends a pull whose pages were all kept: with its figures, or as unchanged where they
// are those of the pull that counted before. It tells how it ended; a pull that ended already
// stays as it is.
func (r *ProviderReports) Finish(ctx context.Context, p *Pull) (state string, err error) {
	if _, more := p.Next(); more {
		return "", fmt.Errorf("finish pull %d: there are pages to come", p.Number)
	}
	err = r.db.InTenant(ctx, p.Tenant, func(tx *db.Tx) error {
		if err := tx.LockPull(p.Report, p.Day); err != nil {
			return err
		}
		row, _, err := tx.Pull(p.ID)
		if err != nil || row.State != "" {
			state = row.State
			return err
		}
		of := p.Day
		if !p.Report.OfFigures() {
			of = time.Time{}
		}
		before, found, err := tx.GoodPull(p.Report, of)
		if err != nil {
			return err
		}
		digest := p.reading.Digest()
		e := p.end(PullFinished)
		e.Digest, e.RefreshedAt, e.AsOf, e.Unread = digest[:], p.reading.RefreshedAt(), p.asOf(), p.reading.Unread()
		figures, names := p.reading.Figures(), p.reading.Names()
		e.Figures = len(figures) + len(names)
		if found && string(before.Digest) == string(e.Digest) {
			e.State, e.SameAs = PullUnchanged, before.Holder()
			figures, names = nil, nil
		}
		state = e.State
		if err := p.close(tx, &e, recordPulled); err != nil {
			return err
		}
		if err := tx.AddFigures(p.ID, figures); err != nil {
			return err
		}
		if p.Report.OfFigures() {
			if err := dueReconciliations(tx, p.Day, state == PullFinished); err != nil {
				return err
			}
		}
		return tx.AddNames(p.ID, names)
	})
	switch {
	case err != nil:
	case state == PullFinished:
		r.finished.Add(1)
	case state == PullUnchanged:
		r.unchanged.Add(1)
	}
	return state, err
}

// asOf is up to when what was read is complete: what the provider says, and no later than
// when it was asked.
func (p *Pull) asOf() time.Time {
	refreshed := p.reading.RefreshedAt()
	switch {
	case p.API == provider.Organization:
		return p.first
	case refreshed.IsZero():
		return p.first.Add(-legacyLag)
	case refreshed.After(p.first):
		return p.first
	}
	return refreshed
}

// Fail ends a pull for a reason, in a word and a sentence. Its pages stay; its figures do not
// count. A pull that ended already stays as it is.
func (r *ProviderReports) Fail(ctx context.Context, p *Pull, reason, detail string) error {
	ended := false
	err := r.db.InTenant(ctx, p.Tenant, func(tx *db.Tx) error {
		if err := tx.LockPull(p.Report, p.Day); err != nil {
			return err
		}
		row, _, err := tx.Pull(p.ID)
		if err != nil || row.State != "" {
			return err
		}
		ended = true
		return p.fail(tx, reason, detail)
	})
	if err == nil && ended {
		r.failed.Add(1)
	}
	return err
}

func (p *Pull) fail(tx *db.Tx, reason, detail string) error {
	e := p.end(PullFailed)
	e.Reason, e.Detail = reason, usage.Clip(detail, maxPullDetail)
	return p.close(tx, &e, recordPullLost)
}

func (p *Pull) end(state string) db.PullEnd {
	h := sha256.New()
	for i := range p.hashes {
		_, _ = h.Write(p.hashes[i][:])
	}
	e := db.PullEnd{PullID: p.ID, State: state, API: string(p.API), Pages: len(p.hashes), PagesDigest: h.Sum(nil)}
	if len(p.hashes) == 0 {
		e.API = ""
	}
	return e
}

// close stores how a pull ended, with its record in the log.
func (p *Pull) close(tx *db.Tx, e *db.PullEnd, action string) error {
	e.Record = id.NewRecord(tx.Now)
	detail := map[string]any{
		"number": p.Number, "report": string(p.Report), "day": p.Day.Format(time.DateOnly), "state": e.State, "api": e.API, "pages": e.Pages,
		"pages_digest": hex.EncodeToString(e.PagesDigest), "figures": e.Figures,
	}
	if e.Digest != nil {
		detail["digest"] = hex.EncodeToString(e.Digest)
	}
	if e.Reason != "" {
		detail["reason"] = e.Reason
	}
	if !e.SameAs.IsZero() {
		detail["same_as"] = e.SameAs.String()
	}
	if err := tx.AppendAudit(auditlog.Record{ID: e.Record, Action: action, Actor: string(ActorSystem), Subject: p.ID.String(), Detail: detail}); err != nil {
		return err
	}
	return tx.EndPull(e)
}

// source is where reports come from, with the credential that opens it.
func (r *ProviderReports) source(tx *db.Tx) (db.SourceRow, secret.Text, error) {
	rows, err := tx.Sources(1)
	if err != nil {
		return db.SourceRow{}, secret.Text{}, err
	}
	if len(rows) == 0 {
		return db.SourceRow{}, secret.Text{}, errSourceAbsent
	}
	plain, err := r.ring.Open(purposeSource, tx.Tenant.String(), rows[0].CredentialSealed)
	if err != nil {
		return db.SourceRow{}, secret.Text{}, fmt.Errorf("open the credential of provider reports: %w", err)
	}
	return rows[0], secret.NewText(string(plain)), nil
}

// termsOfSource are a source's terms.
func termsOfSource(row *db.SourceRow) provider.Terms {
	return provider.Terms{FirstDay: row.FirstDay.UTC(), Lag: time.Duration(row.SettleHours) * time.Hour, Repull: row.RepullDays}
}

// dueReports asks for the days that are to be pulled now, the latest first.
func dueReports(tx *db.Tx) ([]db.Job, error) {
	if _, gone, err := tx.Offboarding(); err != nil || gone {
		return nil, err // of a company that was let go nothing is asked any more
	}
	rows, err := tx.Sources(1)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	most := maxPullsATick
	switch failing, err := tx.PullFailures(rows[0].Version, tx.Now.Add(-oneDay)); {
	case err != nil, failing.Recent >= maxFailedPulls, failing.InRow >= probeAfter && tx.Now.Sub(*failing.Last) < provider.RetryAfter(failing.InRow):
		return nil, err
	case failing.InRow >= probeAfter:
		most = 1
	}
	terms := termsOfSource(&rows[0])
	today := tx.Now.Truncate(oneDay)
	first := later(terms.FirstDay, today.AddDate(0, 0, -provider.OldestDay))
	pulled, err := tx.PulledDays(first)
	if err != nil {
		return nil, err
	}
	known := map[time.Time]map[string]provider.Pulled{}
	for i := range pulled {
		d := &pulled[i]
		if known[d.Day.UTC()] == nil {
			known[d.Day.UTC()] = map[string]provider.Pulled{}
		}
		known[d.Day.UTC()][d.Report] = pulledOf(d)
	}
	var jobs []db.Job
	for day := today.Add(-oneDay); !day.Before(first) && len(jobs) < most; day = day.Add(-oneDay) {
		for _, report := range []provider.Report{provider.Usage, provider.Cost} {
			if terms.Due(day, known[day][string(report)], tx.Now) {
				jobs = append(jobs, job.PullReports{Tenant: tx.Tenant.String(), Day: day.Format(time.DateOnly)})
				break
			}
		}
	}
	return jobs, nil
}

func pulledOf(d *db.PulledDay) provider.Pulled {
	p := provider.Pulled{Tried: d.Tried.UTC(), Failures: d.Failures}
	if d.Since != nil && d.AsOf != nil {
		p.Since, p.AsOf = d.Since.UTC(), d.AsOf.UTC()
	}
	return p
}

// PullFacts are those of the pull that counts for a report of a day.
type PullFacts struct {
	Pull        id.Pull
	Number      int64
	API         provider.API
	FetchedAt   time.Time // when it ended
	RefreshedAt time.Time // what the provider says; zero: it does not
	AsOf        time.Time // what is reported is complete up to then
	Complete    bool      // the whole day is
	Settled     bool      // it has reported the same for the source's lag
	Digest      string    // of its figures
	Unread      []string  // what was there and could be no figure
}

// ReportedDay is what the provider reports of a UTC day.
type ReportedDay struct {
	Figures     []provider.Figure // usage first, then cost
	Usage, Cost *PullFacts        // nil: never pulled
	GatewayKeys []string          // api_key_ids that nothing but the gateway uses
	Names       []provider.Name
}

// reportedDay reads what the provider reports of a day, for whoever compares it.
func reportedDay(tx *db.Tx, day time.Time) (ReportedDay, error) {
	var d ReportedDay
	sources, err := tx.Sources(1)
	if err != nil || len(sources) == 0 {
		return d, err
	}
	d.GatewayKeys = sources[0].Keys()
	if d.Figures, err = tx.FiguresOf(day); err != nil {
		return d, err
	}
	if d.Names, err = tx.ProviderNames(); err != nil {
		return d, err
	}
	if d.Usage, err = pullFacts(tx, &sources[0], provider.Usage, day); err != nil {
		return d, err
	}
	d.Cost, err = pullFacts(tx, &sources[0], provider.Cost, day)
	return d, err
}

func pullFacts(tx *db.Tx, source *db.SourceRow, report provider.Report, day time.Time) (*PullFacts, error) {
	row, found, err := tx.GoodPull(report, day)
	if err != nil || !found {
		return nil, err
	}
	p := provider.Pulled{Since: row.AsOf.UTC(), AsOf: row.AsOf.UTC()}
	if row.SameAs != nil {
		holder, _, err := tx.Pull(*row.SameAs)
		if err != nil {
			return nil, err
		}
		p.Since = holder.AsOf.UTC()
	}
	f := &PullFacts{
		Pull: row.PullID, Number: row.Number, API: provider.API(row.API), FetchedAt: row.EndedAt.UTC(), AsOf: p.AsOf, Complete: p.Complete(day),
		Settled: termsOfSource(source).Settled(day, p), Digest: hex.EncodeToString(row.Digest), Unread: row.Names(),
	}
	if row.RefreshedAt != nil {
		f.RefreshedAt = row.RefreshedAt.UTC()
	}
	return f, nil
}

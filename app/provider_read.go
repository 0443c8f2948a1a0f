package app

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/money"
	"tollbook/app/provider"
	"tollbook/db"
)

// SourceView is where a company's provider reports come from. The credential is never part
// of it.
type SourceView struct {
	ReportSource

	Since  time.Time
	By     Hand
	Change id.Change
	Number int64
	Reason string
}

// PullView is one pull, with how it ended.
type PullView struct {
	ID          id.Pull
	Number      int64
	Report      provider.Report
	Day         time.Time
	API         provider.API // empty: no page came
	State       string       // finished, unchanged, failed; empty: under way
	StartedAt   time.Time
	EndedAt     time.Time // zero: under way
	RefreshedAt time.Time // what the provider says; zero: it does not
	AsOf        time.Time // zero: it failed, or is under way
	Pages       int
	Figures     int
	Digest      string // of the figures, or names; empty: it failed, or is under way
	PagesDigest string
	SameAs      id.Pull // whose figures it found again; zero: none
	SameNumber  int64
	Reason      string // a word; empty: it did not fail
	Detail      string // a sentence
	Unread      []string
}

func pullView(r *db.PullRow) PullView {
	v := PullView{
		ID: r.PullID, Number: r.Number, Report: provider.Report(r.Report), Day: r.Day.UTC(), API: provider.API(r.API), State: r.State, StartedAt: r.StartedAt.UTC(), Pages: r.Pages,
		Figures: r.Figures, Digest: hex.EncodeToString(r.Digest), PagesDigest: hex.EncodeToString(r.PagesDigest), SameNumber: r.SameNumber, Reason: r.Reason, Detail: r.Detail, Unread: r.Names(),
	}
	if r.SameAs != nil {
		v.SameAs = *r.SameAs
	}
	for _, one := range []struct {
		from *time.Time
		into *time.Time
	}{{r.EndedAt, &v.EndedAt}, {r.RefreshedAt, &v.RefreshedAt}, {r.AsOf, &v.AsOf}} {
		if one.from != nil {
			*one.into = one.from.UTC()
		}
	}
	return v
}

// DayState is how far the reports of a day are.
type DayState struct {
	Day         time.Time
	Usage, Cost provider.Pulled
	Complete    bool      // both reports cover the whole day
	Settled     bool      // both have reported the same for the source's lag
	LastTried   time.Time // zero: neither was
}

// Pulled tells whether both reports of the day are there, complete or not.
func (d *DayState) Pulled() bool { return !d.Usage.AsOf.IsZero() && !d.Cost.AsOf.IsZero() }

// AsOf is up to when both reports are known, complete or not.
func (d *DayState) AsOf() time.Time {
	if d.Usage.AsOf.Before(d.Cost.AsOf) {
		return d.Usage.AsOf
	}
	return d.Cost.AsOf
}

// ProviderQuery narrows the list of pulls.
type ProviderQuery struct {
	Report string // empty: all
	State  string // finished, unchanged, failed or open; empty: all
	Day    time.Time
	Before int64 // numbers below it; 0: the newest
	Limit  int
}

// ProviderPage is where reports come from, and what was pulled.
type ProviderPage struct {
	Source *SourceView // nil: none is set up
	Days   []DayState  // the latest first, as far back as days may be revised
	Pulls  []PullView
	Next   int64 // Before of the next page; 0: there is none
	Names  []provider.Name
	Now    time.Time
}

const maxDaysShown = 31

func (r *ProviderReports) mayRead(who Actor) error {
	return r.changes.access.Check(who, "source", "read")
}

// Show is where reports come from, and what was pulled.
func (r *ProviderReports) Show(ctx context.Context, who Actor, q ProviderQuery) (ProviderPage, error) {
	var page ProviderPage
	if err := r.mayRead(who); err != nil {
		return page, err
	}
	switch {
	case q.Report != "" && !slices.Contains([]provider.Report{provider.Usage, provider.Cost, provider.Keys, provider.Workspaces}, provider.Report(q.Report)):
		return page, fault.Invalid("report", "report_unknown", "A report is usage, cost, keys or workspaces; %.40q is none.", q.Report)
	case q.State != "" && !slices.Contains([]string{PullFinished, PullUnchanged, PullFailed, "open"}, q.State):
		return page, fault.Invalid("state", "pull_state_unknown", "A pull is finished, unchanged, failed or open; %.40q is none.", q.State)
	}
	if q.Limit <= 0 {
		q.Limit = defaultEntries
	}
	q.Limit = min(q.Limit, MaxRows)
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		page.Now = tx.Now
		sources, err := tx.Sources(1)
		if err != nil {
			return err
		}
		if len(sources) > 0 {
			s := &sources[0]
			hands, err := r.members.hands(tx, []string{s.Maker})
			if err != nil {
				return err
			}
			page.Source = &SourceView{ReportSource: sourceOf(s), Since: s.EffectiveFrom.UTC(), By: hands[s.Maker], Change: s.ChangeID, Number: s.Number, Reason: s.Reason}
			if page.Days, err = dayStates(tx, s); err != nil {
				return err
			}
		}
		if page.Names, err = tx.ProviderNames(); err != nil {
			return err
		}
		rows, err := tx.Pulls(&db.PullFilter{Day: q.Day, Report: q.Report, State: q.State, Before: q.Before, Limit: q.Limit + 1})
		if len(rows) > q.Limit {
			rows = rows[:q.Limit]
			page.Next = rows[q.Limit-1].Number
		}
		for i := range rows {
			page.Pulls = append(page.Pulls, pullView(&rows[i]))
		}
		return err
	})
	return page, err
}

// dayStates are those of the days that may still be revised.
func dayStates(tx *db.Tx, s *db.SourceRow) ([]DayState, error) {
	terms := termsOfSource(s)
	today := tx.Now.Truncate(oneDay)
	first := later(terms.FirstDay, today.AddDate(0, 0, -min(terms.Repull, maxDaysShown)))
	pulled, err := tx.PulledDays(first)
	if err != nil {
		return nil, err
	}
	var list []DayState
	for day := today.Add(-oneDay); !day.Before(first); day = day.Add(-oneDay) {
		d := DayState{Day: day}
		for i := range pulled {
			p := &pulled[i]
			if !p.Day.UTC().Equal(day) {
				continue
			}
			if p.Report == string(provider.Usage) {
				d.Usage = pulledOf(p)
			} else {
				d.Cost = pulledOf(p)
			}
			d.LastTried = later(d.LastTried, p.Tried.UTC())
		}
		d.Complete = d.Usage.Complete(day) && d.Cost.Complete(day)
		d.Settled = terms.Settled(day, d.Usage) && terms.Settled(day, d.Cost)
		list = append(list, d)
	}
	return list, nil
}

// KeptPage is one page as it was received, without its bytes.
type KeptPage struct {
	Place      int
	API        provider.API
	Request    string
	HTTPStatus int
	SHA256     string
	Bytes      int
	FetchedAt  time.Time
}

func keptPage(r *db.PageRow) KeptPage {
	return KeptPage{Place: r.Place, API: provider.API(r.API), Request: r.Request, HTTPStatus: r.HTTPStatus, SHA256: hex.EncodeToString(r.ContentSha256), Bytes: r.ContentBytes, FetchedAt: r.FetchedAt.UTC()}
}

// PullDetail is one pull with all that is kept of it.
type PullDetail struct {
	PullView

	Kept    []KeptPage
	Holding []provider.Figure // the figures that count by it: its own, or those it found again
	Listed  []provider.Name   // the same of names
	Counts  bool              // what it reports is what counts now
	Day     *PullFacts        // of the pull that counts for its report and day; nil: none does
	List    money.Sum
	Amount  money.Sum
}

// ErrPullAbsent reports a pull that is not there, or not the reader's.
var ErrPullAbsent = fault.New(fault.KindNotFound, "pull_absent", "There is no such pull of a provider report.")

// Pull is one pull with its pages and figures.
func (r *ProviderReports) Pull(ctx context.Context, who Actor, pull id.Pull) (PullDetail, error) {
	var d PullDetail
	if err := r.mayRead(who); err != nil {
		return d, err
	}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, found, err := tx.Pull(pull)
		if err != nil {
			return err
		}
		if !found {
			return ErrPullAbsent
		}
		d.PullView = pullView(&row)
		pages, err := tx.Pages(pull)
		if err != nil {
			return err
		}
		for i := range pages {
			d.Kept = append(d.Kept, keptPage(&pages[i]))
		}
		if d.State == "" || d.State == PullFailed {
			return nil
		}
		if !d.Report.OfFigures() {
			good, _, err := tx.GoodPull(d.Report, time.Time{})
			if err != nil {
				return err
			}
			d.Counts = good.PullID == pull
			d.Listed, err = tx.NamesIn(row.Holder())
			return err
		}
		reported, err := reportedDay(tx, d.PullView.Day)
		if err != nil {
			return err
		}
		if d.Day = reported.Usage; d.Report == provider.Cost {
			d.Day = reported.Cost
		}
		d.Counts = d.Day != nil && d.Day.Pull == pull
		d.Holding, err = tx.FiguresIn(row.Holder(), d.Report, d.PullView.Day)
		for i := range d.Holding {
			d.List.Add(d.Holding[i].List)
			d.Amount.Add(d.Holding[i].Amount)
		}
		return err
	})
	return d, err
}

// PageBytes are a page's bytes as they were received.
func (r *ProviderReports) PageBytes(ctx context.Context, who Actor, pull id.Pull, place int) (KeptPage, []byte, error) {
	var page KeptPage
	var content []byte
	if err := r.mayRead(who); err != nil {
		return page, nil, err
	}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, found, err := tx.Page(pull, place)
		if err != nil {
			return err
		}
		if !found {
			return ErrPullAbsent
		}
		page, content = keptPage(&row), row.Content
		return nil
	})
	return page, content, err
}

// PullAgain has a day's reports pulled now, whether or not they are due.
func (r *ProviderReports) PullAgain(ctx context.Context, who Actor, day time.Time) error {
	if err := r.changes.allowed(who, changeSource); err != nil {
		return err
	}
	return r.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		sources, err := tx.Sources(1)
		if err != nil {
			return err
		}
		switch {
		case len(sources) == 0:
			return fault.New(fault.KindConflict, errSourceAbsent.Code, errSourceAbsent.Message)
		case day.Truncate(oneDay) != day || tx.Now.Before(day.Add(oneDay)) || tx.Now.Sub(day) > provider.OldestDay*oneDay:
			return fault.Invalid("day", "pull_day_range", "A day that is over, of the last %d, YYYY-MM-DD in UTC: the provider reports no further back.", provider.OldestDay)
		}
		text := day.Format(time.DateOnly)
		if err := tx.AppendAudit(auditlog.Record{Action: "provider.asked", Actor: who.ID(), Subject: text, Detail: map[string]any{"day": text}}); err != nil {
			return err
		}
		return tx.Enqueue(job.PullReports{Tenant: tx.Tenant.String(), Day: text})
	})
}

// Counted tells whether a pull's figures counted when it ended.
func (p *PullView) Counted() bool { return p.State == PullFinished || p.State == PullUnchanged }

package db

import (
	"strings"
	"time"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/provider"
)

// SourceRow is where a company's provider reports came from, from a version on.
type SourceRow struct {
	Version          int
	BaseURL          string
	CredentialSealed []byte
	GatewayKeys      string // api_key_ids, a line each
	FirstDay         time.Time
	SettleHours      int
	RepullDays       int
	EffectiveFrom    time.Time
	RecordedAt       time.Time
	ChangeID         id.Change
	Number           int64 // of the change
	Maker            string
	Reason           string
}

// Keys are the api_key_ids that nothing but the gateway uses.
func (r *SourceRow) Keys() []string { return lines(r.GatewayKeys) }

// lines splits what array_to_string joined.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// LockSource makes the transaction the only one that changes where reports come from.
func (t *Tx) LockSource() error {
	return t.exec("lock report source", `select pg_advisory_xact_lock(hashtextextended('report_source:' || $1, 0))`, t.Tenant.UUID())
}

// AddSource stores the next version of where reports come from.
func (t *Tx) AddSource(r *SourceRow) error {
	return t.exec("add report source", `insert into provider_source (tenant_id, version, base_url, credential_sealed, gateway_keys, first_day, settle_hours, repull_days, effective_from, recorded_at, change_id)
		select $1, coalesce(max(version), 0) + 1, $2, $3, coalesce(string_to_array(nullif($4, ''), E'\n'), '{}'), $5, $6, $7, $8, $9, $10 from provider_source where tenant_id = $1`,
		t.Tenant, r.BaseURL, r.CredentialSealed, r.GatewayKeys, r.FirstDay, r.SettleHours, r.RepullDays, r.EffectiveFrom, t.Now, r.ChangeID)
}

// Sources lists the versions of where reports come from, the latest first.
func (t *Tx) Sources(limit int) ([]SourceRow, error) {
	var rows []SourceRow
	err := t.scan("list report sources", &rows, `select s.version, s.base_url, s.credential_sealed, array_to_string(s.gateway_keys, E'\n') as gateway_keys, s.first_day, s.settle_hours, s.repull_days,
			s.effective_from, s.recorded_at, s.change_id, c.number, c.maker, c.reason
		from provider_source s join change c on c.tenant_id = s.tenant_id and c.change_id = s.change_id
		where s.tenant_id = ? order by s.version desc limit ?`, t.Tenant, limit)
	return rows, err
}

// LockPull makes the transaction the only one that begins or ends a pull of a report of a day.
func (t *Tx) LockPull(report provider.Report, day time.Time) error {
	return t.exec("lock pull", `select pg_advisory_xact_lock(hashtextextended('provider_pull:' || $1 || ':' || $2 || ':' || $3, 0))`, t.Tenant.UUID(), string(report), day.Format(time.DateOnly))
}

// PullRow is one fetch of a report, with how it ended; State is empty while it has not.
type PullRow struct {
	PullID        id.Pull
	Number        int64
	Report        string
	Day           time.Time
	SourceVersion int
	StartedAt     time.Time
	State         string // finished, unchanged, failed; empty: under way
	API           string
	Pages         int // kept so far
	PagesDigest   []byte
	Digest        []byte
	Figures       int
	RefreshedAt   *time.Time
	AsOf          *time.Time
	SameAs        *id.Pull
	SameNumber    int64 // of the pull whose figures it found again; 0: none
	Reason        string
	Detail        string
	Unread        string // a line each
	EndedAt       *time.Time
}

// Names of what was there and not understood.
func (r *PullRow) Names() []string { return lines(r.Unread) }

// Holder is the pull that has the figures of this one.
func (r *PullRow) Holder() id.Pull {
	if r.SameAs != nil {
		return *r.SameAs
	}
	return r.PullID
}

const pullColumns = `p.pull_id, p.number, p.report, p.day, p.source_version, p.started_at, coalesce(e.state, '') as state, coalesce(e.api, '') as api,
	coalesce(e.pages, (select count(*) from provider_page g where g.tenant_id = p.tenant_id and g.pull_id = p.pull_id)) as pages, e.pages_digest, e.digest,
	coalesce(e.figures, 0) as figures, e.refreshed_at, e.as_of, e.same_as, coalesce(o.number, 0) as same_number, coalesce(e.reason, '') as reason, coalesce(e.detail, '') as detail,
	coalesce(array_to_string(e.unread, E'\n'), '') as unread, e.ended_at
	from provider_pull p left join provider_pull_end e on e.tenant_id = p.tenant_id and e.pull_id = p.pull_id
	left join provider_pull o on o.tenant_id = e.tenant_id and o.pull_id = e.same_as`

// Pull reads one pull; found is false when there is none.
func (t *Tx) Pull(pull id.Pull) (PullRow, bool, error) {
	var rows []PullRow
	err := t.scan("read pull", &rows, `select `+pullColumns+` where p.tenant_id = ? and p.pull_id = ?`, t.Tenant, pull)
	if err != nil || len(rows) == 0 {
		return PullRow{}, false, err
	}
	return rows[0], true, nil
}

// LastPull reads the latest pull of a report of a day, however it ended; found is false when
// there is none.
func (t *Tx) LastPull(report provider.Report, day time.Time) (PullRow, bool, error) {
	var rows []PullRow
	err := t.scan("read last pull", &rows, `select `+pullColumns+` where p.tenant_id = ? and p.report = ? and p.day = ? order by p.number desc limit 1`, t.Tenant, string(report), day)
	if err != nil || len(rows) == 0 {
		return PullRow{}, false, err
	}
	return rows[0], true, nil
}

// GoodPull reads the pull that counts for a report of a day: the latest that did not fail. Of
// names, which are as of now, it is the latest of all days (a zero day).
func (t *Tx) GoodPull(report provider.Report, day time.Time) (PullRow, bool, error) {
	s := &statement{text: `select ` + pullColumns + ` where p.tenant_id = ? and p.report = ?`, args: []any{t.Tenant, string(report)}}
	if !day.IsZero() {
		s.and("p.day = ?", day)
	}
	s.add(" and e.state in ('finished', 'unchanged') order by p.number desc limit 1")
	var rows []PullRow
	err := t.scan("read the pull that counts", &rows, s.text, s.args...)
	if err != nil || len(rows) == 0 {
		return PullRow{}, false, err
	}
	return rows[0], true, nil
}

// PullFilter narrows a list of pulls.
type PullFilter struct {
	Day    time.Time // zero: any
	Report string    // empty: any
	State  string    // empty: any; open: those that have not ended
	Before int64     // numbers below it; 0: all
	Limit  int
}

// Pulls lists pulls, the latest first.
func (t *Tx) Pulls(f *PullFilter) ([]PullRow, error) {
	s := &statement{text: `select ` + pullColumns + ` where p.tenant_id = ?`, args: []any{t.Tenant}}
	if !f.Day.IsZero() {
		s.and("p.day = ?", f.Day)
	}
	if f.Report != "" {
		s.and("p.report = ?", f.Report)
	}
	switch f.State {
	case "":
	case "open":
		s.add(" and e.state is null")
	default:
		s.and("e.state = ?", f.State)
	}
	if f.Before > 0 {
		s.and("p.number < ?", f.Before)
	}
	s.add(" order by p.number desc limit ?", f.Limit)
	var rows []PullRow
	err := t.scan("list pulls", &rows, s.text, s.args...)
	return rows, err
}

// PulledDay is what is known of a report of a day: since when it reports what it does, as of
// when that was last found so, and when it was last tried.
type PulledDay struct {
	Report string
	Day    time.Time
	Since  *time.Time // nil: never pulled
	AsOf   *time.Time
	Tried  time.Time
	// Failures are the attempts that failed since one did not.
	Failures int
}

// PulledDays says so of the reports of figures of every day since one that was ever tried, in
// their order.
func (t *Tx) PulledDays(from time.Time) ([]PulledDay, error) {
	var rows []PulledDay
	err := t.scan("list days pulled", &rows, `select d.report, d.day, g.since, g.as_of, d.tried, (select count(*) from provider_pull p join provider_pull_end e on e.tenant_id = p.tenant_id and e.pull_id = p.pull_id and e.state = 'failed'
			where p.tenant_id = ? and p.report = d.report and p.day = d.day and p.number > coalesce(g.number, 0)) as failures from (
			select p.report, p.day, max(coalesce(e.ended_at, p.started_at)) as tried from provider_pull p left join provider_pull_end e on e.tenant_id = p.tenant_id and e.pull_id = p.pull_id
			where p.tenant_id = ? and p.report in ('usage', 'cost') and p.day >= ? group by 1, 2) d
		left join lateral (select coalesce(o.as_of, e.as_of) as since, e.as_of, p.number from provider_pull p
			join provider_pull_end e on e.tenant_id = p.tenant_id and e.pull_id = p.pull_id and e.state <> 'failed'
			left join provider_pull_end o on o.tenant_id = e.tenant_id and o.pull_id = e.same_as
			where p.tenant_id = ? and p.report = d.report and p.day = d.day order by p.number desc limit 1) g on true
		order by d.report, d.day`, t.Tenant, t.Tenant, from, t.Tenant)
	return rows, err
}

// PullFailures is what of a company's pulls of figures failed.
type PullFailures struct {
	Recent int        // since an instant, of anything
	InRow  int        // of figures, since one did not fail
	Last   *time.Time // nil: none failed since the instant
}

// PullFailures counts failures since an instant, with one version of where reports come from.
func (t *Tx) PullFailures(source int, since time.Time) (PullFailures, error) {
	var f PullFailures
	_, err := t.row("count pulls that failed", []any{&f.Recent, &f.InRow, &f.Last}, `select count(*) filter (where e.state = 'failed'),
			count(*) filter (where e.state = 'failed' and p.report in ('usage', 'cost') and p.number > coalesce(
				(select max(g.number) from provider_pull g join provider_pull_end h on h.tenant_id = g.tenant_id and h.pull_id = g.pull_id and h.state <> 'failed' where g.tenant_id = $1 and g.report in ('usage', 'cost')), 0)),
			max(e.ended_at) filter (where e.state = 'failed')
		from provider_pull p join provider_pull_end e on e.tenant_id = p.tenant_id and e.pull_id = p.pull_id
		where p.tenant_id = $1 and p.source_version = $2 and e.ended_at >= $3`, t.Tenant, source, since)
	return f, err
}

// AddPull begins a pull.
func (t *Tx) AddPull(pull id.Pull, number int64, report provider.Report, day time.Time, source int) error {
	return t.exec("add pull", `insert into provider_pull (tenant_id, pull_id, number, report, day, source_version, started_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, pull, number, string(report), day, source, t.Now)
}

// PageRow is one page as it was received.
type PageRow struct {
	PullID        id.Pull
	Place         int
	API           string
	Request       string // path and query
	HTTPStatus    int
	Content       []byte // nil in a list
	ContentSha256 []byte
	ContentBytes  int
	FetchedAt     time.Time
}

// AddPage keeps a page; kept is false when another worker kept one at that place.
func (t *Tx) AddPage(r *PageRow) (kept bool, err error) {
	var place int
	return t.row("add page", []any{&place}, `insert into provider_page (tenant_id, pull_id, place, api, request, http_status, content, content_sha256, fetched_at)
		values ($1, $2, $3, $4, $5, $6, $7, sha256($7), $8) on conflict do nothing returning place`, t.Tenant, r.PullID, r.Place, r.API, r.Request, r.HTTPStatus, r.Content, r.FetchedAt)
}

const pageColumns = `select pull_id, place, api, request, http_status, content_sha256, length(content) as content_bytes, fetched_at`

// Pages lists a pull's pages in their order, without their bytes.
func (t *Tx) Pages(pull id.Pull) ([]PageRow, error) {
	var rows []PageRow
	err := t.scan("list pages", &rows, pageColumns+` from provider_page where tenant_id = ? and pull_id = ? order by place limit ?`, t.Tenant, pull, provider.MaxPages)
	return rows, err
}

// Page reads one page with its bytes; found is false when there is none.
func (t *Tx) Page(pull id.Pull, place int) (PageRow, bool, error) {
	var rows []PageRow
	err := t.scan("read page", &rows, pageColumns+`, content from provider_page where tenant_id = ? and pull_id = ? and place = ?`, t.Tenant, pull, place)
	if err != nil || len(rows) == 0 {
		return PageRow{}, false, err
	}
	return rows[0], true, nil
}

// PullEnd is how a pull ended.
type PullEnd struct {
	PullID      id.Pull
	State       string
	API         string
	Pages       int
	PagesDigest []byte
	Digest      []byte // nil: it failed
	Figures     int
	RefreshedAt time.Time // zero: the provider does not say
	AsOf        time.Time // zero: it failed
	SameAs      id.Pull   // zero: none
	Reason      string
	Detail      string
	Unread      []string
	Record      id.Record // which is in this transaction already
}

// EndPull ends a pull, once.
func (t *Tx) EndPull(e *PullEnd) error {
	var refreshed, asOf, same, digest any
	if !e.RefreshedAt.IsZero() {
		refreshed = e.RefreshedAt
	}
	if !e.AsOf.IsZero() {
		asOf = e.AsOf
	}
	if !e.SameAs.IsZero() {
		same = e.SameAs
	}
	if e.Digest != nil {
		digest = e.Digest
	}
	return t.exec("end pull", `insert into provider_pull_end (tenant_id, pull_id, state, api, pages, pages_digest, digest, figures, refreshed_at, as_of, same_as, reason, detail, unread, record_id, ended_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, coalesce(string_to_array(nullif($14, ''), E'\n'), '{}'), $15, $16)`,
		t.Tenant, e.PullID, e.State, e.API, e.Pages, e.PagesDigest, digest, e.Figures, refreshed, asOf, same, e.Reason, e.Detail, strings.Join(e.Unread, "\n"), e.Record, t.Now)
}

// AddFigures stores the figures of a pull that ended.
func (t *Tx) AddFigures(pull id.Pull, figures []provider.Figure) error {
	var texts [7][]string
	var numbers [4][]int64
	for i := range figures {
		f := &figures[i]
		for k, word := range [...]string{f.Workspace, f.Key, f.Model, f.Tier, f.Speed, f.Geography, f.Class} {
			texts[k] = append(texts[k], word)
		}
		for k, n := range [...]int64{int64(i) + 1, f.Quantity, int64(f.List), int64(f.Amount)} {
			numbers[k] = append(numbers[k], n)
		}
	}
	return t.exec("add figures", `insert into provider_figure (tenant_id, pull_id, place, quantity, list_pico, amount_pico, workspace, api_key, model, tier, speed, geography, class)
		select $1, $2, p, q, l, a, w, k, m, t, s, g, c from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])
			as u(p, q, l, a, w, k, m, t, s, g, c)`,
		t.Tenant, pull, numbers[0], numbers[1], numbers[2], numbers[3], texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6])
}

// AddNames stores what a list of keys or workspaces named.
func (t *Tx) AddNames(pull id.Pull, names []provider.Name) error {
	var texts [5][]string
	for _, n := range names {
		for k, word := range [...]string{n.Kind, n.ID, n.Name, n.Status, n.Workspace} {
			texts[k] = append(texts[k], word)
		}
	}
	return t.exec("add names", `insert into provider_name (tenant_id, pull_id, kind, object_id, name, status, workspace)
		select $1, $2, k, o, n, s, w from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) as u(k, o, n, s, w)`, t.Tenant, pull, texts[0], texts[1], texts[2], texts[3], texts[4])
}

// ProviderNames lists the organization's keys and workspaces as they were last listed, by kind
// and id.
func (t *Tx) ProviderNames() ([]provider.Name, error) {
	var list []provider.Name
	for _, report := range []provider.Report{provider.Keys, provider.Workspaces} {
		pull, found, err := t.GoodPull(report, time.Time{})
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		names, err := t.NamesIn(pull.Holder())
		if err != nil {
			return nil, err
		}
		list = append(list, names...)
	}
	return list, nil
}

// NamesIn lists the names of one pull, by id.
func (t *Tx) NamesIn(pull id.Pull) ([]provider.Name, error) {
	var rows []provider.Name
	err := t.scan("list names", &rows, `select kind, object_id as id, name, status, workspace from provider_name where tenant_id = ? and pull_id = ? order by object_id`, t.Tenant, pull)
	return rows, err
}

// FiguresOf lists what the provider reports of a UTC day, by the pulls that count: usage first,
// then cost, each in the order of its digest. Where a report does not say a key's workspace,
// it is the one that the list of keys has.
func (t *Tx) FiguresOf(day time.Time) ([]provider.Figure, error) {
	names, err := t.ProviderNames()
	if err != nil {
		return nil, err
	}
	workspaces := map[string]string{}
	for _, n := range names {
		if n.Kind == provider.KindKey {
			workspaces[n.ID] = n.Workspace
		}
	}
	var list []provider.Figure
	for _, report := range []provider.Report{provider.Usage, provider.Cost} {
		pull, found, err := t.GoodPull(report, day)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		figures, err := t.FiguresIn(pull.Holder(), report, day)
		if err != nil {
			return nil, err
		}
		for i := range figures {
			if f := &figures[i]; f.Workspace == "" {
				f.Workspace = workspaces[f.Key]
			}
		}
		list = append(list, figures...)
	}
	return list, nil
}

// FiguresIn lists the figures of one pull as it reported them.
func (t *Tx) FiguresIn(pull id.Pull, report provider.Report, day time.Time) ([]provider.Figure, error) {
	var rows []struct {
		Workspace, APIKey, Model, Tier, Speed, Geography, Class string
		Quantity, ListPico, AmountPico                          int64
	}
	err := t.scan("list figures", &rows, `select workspace, api_key, model, tier, speed, geography, class, quantity, list_pico, amount_pico
		from provider_figure where tenant_id = ? and pull_id = ? order by place`, t.Tenant, pull)
	list := make([]provider.Figure, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		list = append(list, provider.Figure{
			Report: report, Day: day, Workspace: r.Workspace, Key: r.APIKey, Model: r.Model, Tier: r.Tier, Speed: r.Speed, Geography: r.Geography, Class: r.Class,
			Quantity: r.Quantity, List: money.Pico(r.ListPico), Amount: money.Pico(r.AmountPico),
		})
	}
	return list, err
}

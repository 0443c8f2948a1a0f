package app

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// Identity is a person as an issuer knows them.
type Identity struct{ Issuer, Subject string }

const maxOperators = 100

// ParseOperators reads who operates the installation: pairs of an issuer's address and a
// subject, separated by commas. Empty is nobody.
func ParseOperators(text string) ([]Identity, error) {
	bad := func(format string, args ...any) error {
		return fault.Invalid("operators", "operators_syntax", format, args...)
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var list []Identity
	for pair := range strings.SplitSeq(text, ",") {
		words := strings.Fields(pair)
		if len(words) != 2 {
			return nil, bad("%.100q is not an issuer and a subject with a space between them", strings.TrimSpace(pair))
		}
		one := Identity{Issuer: words[0], Subject: words[1]}
		u, err := url.Parse(one.Issuer)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "https" && (u.Scheme != "http" || !onThisMachine(u.Hostname()))) {
			return nil, bad("%.100q is no issuer's https address", one.Issuer)
		}
		if len(one.Issuer) > maxIdentityBytes || len(one.Subject) > maxIdentityBytes {
			return nil, bad("issuers and subjects have at most %d bytes", maxIdentityBytes)
		}
		if slices.Contains(list, one) {
			return nil, bad("%.100q is named twice", one.Issuer+" "+one.Subject)
		}
		list = append(list, one)
	}
	if len(list) > maxOperators {
		return nil, bad("%d pairs are more than %d", len(list), maxOperators)
	}
	return list, nil
}

func onThisMachine(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && address.IsLoopback())
}

// Operators is the area of who runs the installation. They see companies by name, time
// and count, gateways and jobs: nothing of a company's content, and no right in any.
type Operators struct {
	db     *db.DB
	listed []Identity
	health func() Health
	log    *slog.Logger
}

// NewOperators makes the area. Who is listed is an operator in a session of any company,
// by issuer and subject, for as long as the process runs; health reads this process.
func NewOperators(d *db.DB, listed []Identity, health func() Health, log *slog.Logger) *Operators {
	return &Operators{db: d, listed: listed, health: health, log: log}
}

// Is tells whether somebody is an operator: a listed person in a session, never a token.
func (o *Operators) Is(who Actor) bool {
	return who.Kind == ActorPerson && who.issuer != "" && slices.Contains(o.listed, Identity{Issuer: who.issuer, Subject: who.subject})
}

// ErrNotOperator is the answer to everybody else, in the words of a page that is not
// there: who is no operator has no business to know of one.
var ErrNotOperator = fault.New(fault.KindNotFound, "page_absent", "There is no such page, or it is not yours to see.")

// Allow refuses who is no operator.
func (o *Operators) Allow(who Actor) error {
	if !o.Is(who) {
		return ErrNotOperator
	}
	return nil
}

// Health is what this process says of itself. Lags are as of the moment.
type Health struct {
	Ready   bool
	Ailing  string // what to look at though requests are served, in words that name nobody
	Gateway *GatewayHealth
	Pools   []PoolHealth
}

// PoolHealth is a pool of database connections.
type PoolHealth struct {
	Role             string
	Max, Open, InUse int32
	Waited, GaveUp   int64 // times, since the start
}

// GatewayHealth is the gateway in this process: its journal, what waits for the ledger,
// and what it knows of keys. Counts since the start unless they say otherwise.
type GatewayHealth struct {
	Pending, Bytes, Bound int64 // of the journal: requests and bytes now
	Segments              int
	OldestPending         time.Duration
	Failed                bool  // the journal cannot be written any more
	Refused               int64 // requests the ledger refuses, now
	Adopted               int64 // journals of other gateways
	Orphans, Broken       int64 // journals of other gateways not in the ledger, now; of these, that need a person
	FlushWaiting          int64 // requests with an outcome, now
	FailingTenants        int64 // whose requests do not reach the ledger though others' do, now
	FailingWaiting        int64 // requests of these
	FlushFailures         int64
	Flushed               int64         // requests
	FlushLag              time.Duration // within which 95 % of them reached the ledger, rounded up to a bucket; negative: beyond the last
	SnapshotAge           time.Duration
	SnapshotFailures      int64
	LeftOut               int64 // times a company was left out for its broken configuration
}

// PlatformTenant is a company as an operator sees it.
type PlatformTenant struct {
	ID         id.Tenant
	Slug, Name string
	CreatedAt  time.Time
	Suspended  bool
	// OffboardedAt is when it was let go for good; zero: it was not.
	OffboardedAt time.Time
	// Remains is what is kept of it then.
	Remains     Remains
	LastBatchAt time.Time // when a request last reached the ledger; zero: never
	Keys        int64     // accepted now
	Upstream    bool      // requests have somewhere to go
	Waiting     int64     // audit records without a place in the log, at most WaitingBound
}

// PlatformGateway is one gateway that has not ended.
type PlatformGateway struct {
	ID                                id.Replica
	StartedAt, SeenAt, FlushedThrough time.Time
	Pending, JournalBytes             int64
	Silent                            bool // not heard of for longer than a live one takes
}

// silentAfter is several times what a gateway takes to tell of itself.
const silentAfter = 2 * time.Minute

// PlatformJobs counts jobs of one queue, kind and state.
type PlatformJobs struct {
	Queue, Kind, State string
	Count              int64
	OldestAt           time.Time
	Late               time.Duration // since the oldest that could run was due; zero: none could
	Paused             bool          // the queue is
}

// PlatformFailure is a job that waits to be tried again, or was given up.
type PlatformFailure struct {
	ID                   int64
	Queue, Kind, State   string
	Tenant               string // the company's short name; empty: it works for none, or for one that is not listed
	Attempt, MaxAttempts int
	AttemptedAt, NextAt  time.Time // zero: never
	LastError            string    // its first line, cut
}

// Bounds of what a page lists.
const (
	WaitingBound        = db.WaitingBound // of what is counted; there it means "or more"
	MaxPlatformTenants  = 1000
	MaxPlatformJobs     = 200
	MaxPlatformFailures = 100
	maxJobError         = 300
)

// The orders of companies.
const (
	TenantsBySlug    = ""
	TenantsByCreated = "created" // newest first
	TenantsByQuiet   = "quiet"   // longest without a request first
	TenantsByWaiting = "waiting" // most waiting records first
)

// PlatformQuery narrows and orders companies.
type PlatformQuery struct {
	Text string // in the short name or the name
	Sort string
}

var errPlatformSort = fault.Invalid("sort", "sort_unknown", "Companies are sorted by name (empty), created, quiet or waiting.")

func (q PlatformQuery) validate() error {
	if !slices.Contains([]string{TenantsBySlug, TenantsByCreated, TenantsByQuiet, TenantsByWaiting}, q.Sort) {
		return errPlatformSort
	}
	if len(q.Text) > maxNameBytes {
		return fault.Invalid("q", "text_length", "A text to find has at most %d bytes.", maxNameBytes)
	}
	return nil
}

// Platform is the installation at one moment.
type Platform struct {
	At       time.Time
	Tenants  []PlatformTenant // that match
	Of       int              // there are
	Gateways []PlatformGateway
	Jobs     []PlatformJobs
	Failures []PlatformFailure
	Health   Health
}

// Platform shows an operator the installation.
func (o *Operators) Platform(ctx context.Context, who Actor, q PlatformQuery) (Platform, error) {
	if err := o.Allow(who); err != nil {
		return Platform{}, err
	}
	if err := q.validate(); err != nil {
		return Platform{}, err
	}
	return o.platform(ctx, q)
}

func (o *Operators) platform(ctx context.Context, q PlatformQuery) (Platform, error) {
	var p Platform
	err := o.db.InSystem(ctx, "an operator watches every company's state", func(tx *db.SystemTx) error {
		p.At = tx.Now
		rows, err := tx.TenantStates(MaxPlatformTenants)
		p.Tenants = make([]PlatformTenant, 0, len(rows))
		for i := range rows {
			r := &rows[i]
			one := PlatformTenant{
				ID: r.ID, Slug: r.Slug, Name: r.Name, CreatedAt: r.RecordedAt.UTC(), Suspended: r.Suspended, OffboardedAt: orZero(r.OffboardedAt),
				LastBatchAt: orZero(r.LastBatchAt), Keys: r.Keys, Upstream: r.Upstream, Waiting: r.Waiting,
			}
			p.Tenants = append(p.Tenants, one)
		}
		return err
	})
	if err != nil {
		return p, err
	}
	for i := range p.Tenants {
		if err := o.remaining(ctx, &p.Tenants[i]); err != nil {
			return p, err
		}
	}
	slugs := map[string]string{}
	for i := range p.Tenants {
		slugs[p.Tenants[i].ID.String()] = p.Tenants[i].Slug
	}
	if err := o.running(ctx, &p, slugs); err != nil {
		return p, err
	}
	p.Of = len(p.Tenants)
	q.apply(&p)
	p.Health = o.health()
	return p, nil
}

// remaining counts what is kept of a company that was let go, and until when: nothing of
// its content.
func (o *Operators) remaining(ctx context.Context, t *PlatformTenant) error {
	if t.OffboardedAt.IsZero() {
		return nil
	}
	return o.db.ReadTenant(ctx, t.ID, func(tx *db.Tx) error {
		var err error
		if t.Remains, err = remains(tx, t.OffboardedAt); err != nil {
			return err
		}
		if t.Remains.Requests, err = tx.RequestsKept(); err == nil {
			t.Remains.Records, err = tx.LogSize()
		}
		return err
	})
}

// running reads gateways and jobs.
func (o *Operators) running(ctx context.Context, p *Platform, slugs map[string]string) error {
	replicas, err := o.db.Replicas(ctx)
	if err != nil {
		return err
	}
	for _, r := range replicas {
		p.Gateways = append(p.Gateways, PlatformGateway{
			ID: r.ReplicaID, StartedAt: r.StartedAt.UTC(), SeenAt: r.SeenAt.UTC(), FlushedThrough: r.FlushedThrough.UTC(), Pending: r.Pending, JournalBytes: r.JournalBytes,
			Silent: p.At.Sub(r.SeenAt) > silentAfter,
		})
	}
	groups, err := o.db.JobGroups(ctx, MaxPlatformJobs)
	if err != nil {
		return err
	}
	for _, g := range groups {
		one := PlatformJobs{Queue: g.Queue, Kind: g.Kind, State: g.State, Count: g.Count, OldestAt: g.OldestAt.UTC(), Paused: g.PausedAt != nil}
		if g.State == "available" {
			one.Late = max(p.At.Sub(g.OldestAt), 0)
		}
		p.Jobs = append(p.Jobs, one)
	}
	failed, err := o.db.FailedJobs(ctx, MaxPlatformFailures)
	if err != nil {
		return err
	}
	for i := range failed {
		f := &failed[i]
		p.Failures = append(p.Failures, PlatformFailure{
			ID: f.ID, Queue: f.Queue, Kind: f.Kind, State: f.State, Tenant: slugs[f.Tenant], Attempt: f.Attempt, MaxAttempts: f.MaxAttempts,
			AttemptedAt: orZero(f.AttemptedAt), NextAt: orZero(f.NextAt), LastError: firstLine(f.LastError),
		})
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if len(line) <= maxJobError {
		return strings.ToValidUTF8(line, "")
	}
	return strings.ToValidUTF8(line[:maxJobError], "") + "…"
}

func (q PlatformQuery) apply(p *Platform) {
	if text := strings.ToLower(strings.TrimSpace(q.Text)); text != "" {
		p.Tenants = slices.DeleteFunc(p.Tenants, func(t PlatformTenant) bool {
			return !strings.Contains(t.Slug, text) && !strings.Contains(strings.ToLower(t.Name), text)
		})
	}
	slices.SortStableFunc(p.Tenants, func(a, b PlatformTenant) int {
		switch q.Sort {
		case TenantsByCreated:
			return b.CreatedAt.Compare(a.CreatedAt)
		case TenantsByQuiet:
			return a.LastBatchAt.Compare(b.LastBatchAt) // who never had a request is the quietest
		case TenantsByWaiting:
			return cmp.Compare(b.Waiting, a.Waiting)
		}
		return 0 // they come by short name
	})
}

// JobStep is what an operator may do to jobs.
type JobStep string

// The steps.
const (
	JobRetry  JobStep = "retry"
	JobCancel JobStep = "cancel"
	JobDelete JobStep = "delete"
)

// ParseJobStep reads a step.
func ParseJobStep(text string) (JobStep, bool) {
	step := JobStep(text)
	return step, slices.Contains([]JobStep{JobRetry, JobCancel, JobDelete}, step)
}

// MaxJobsAtOnce bounds what one step is about.
const MaxJobsAtOnce = 1000

var errJobsMany = fault.Invalid("ids", "jobs_many", "A step is about 1 to %d jobs.", MaxJobsAtOnce)

// StepJobs records that an operator takes a step with jobs, in the log of every company
// they work for, before it is taken: without the record there is no step. The actor is
// the operator's opaque id in the company of the session.
func (o *Operators) StepJobs(ctx context.Context, who Actor, step JobStep, jobs []int64) error {
	if err := o.Allow(who); err != nil {
		return err
	}
	if len(jobs) == 0 || len(jobs) > MaxJobsAtOnce {
		return errJobsMany
	}
	rows, err := o.db.JobsByID(ctx, jobs)
	if err != nil {
		return err
	}
	about := map[id.Tenant][]any{}
	for _, r := range rows {
		o.log.WarnContext(ctx, "an operator takes a step with a job", "step", string(step), "job", r.ID, "kind", r.Kind, "operator", who.ID(), "session", who.Session.String())
		if tenant, err := id.ParseTenant(r.Tenant); err == nil {
			about[tenant] = append(about[tenant], map[string]any{"job": r.ID, "kind": r.Kind})
		}
	}
	for tenant, list := range about {
		record := auditlog.Record{Action: "operator.job_" + string(step), Actor: who.ID(), Subject: tenant.String(), Detail: map[string]any{"jobs": list}}
		if err := o.db.InTenant(ctx, tenant, func(tx *db.Tx) error { return tx.AppendAudit(record) }); err != nil {
			return err
		}
	}
	return nil
}

// StepQueue notes that an operator pauses or resumes a queue. It is no one company's, so
// it is noted in the process' own log.
func (o *Operators) StepQueue(ctx context.Context, who Actor, step, queue string) error {
	if err := o.Allow(who); err != nil {
		return err
	}
	o.log.WarnContext(ctx, "an operator takes a step with a queue", "step", step, "queue", queue, "operator", who.ID(), "session", who.Session.String())
	return nil
}

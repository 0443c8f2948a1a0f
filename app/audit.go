package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/period"
	"tollbook/app/retention"
	"tollbook/db"
)

// Audit is the area of the log and of the proof that sums agree.
type Audit struct {
	db        *db.DB
	log       *slog.Logger
	witnesses []string // by name
}

// WitnessBy names the witnesses that the clock asks again where they have not seen a head.
func (a *Audit) WitnessBy(names []string) { a.witnesses = names }

// NewAudit makes the area.
func NewAudit(d *db.DB, log *slog.Logger) *Audit { return &Audit{db: d, log: log} }

// maxSequenceRounds bounds one job; what is left is the next job's.
const maxSequenceRounds = 100

// Sequence gives every pending record of a tenant its place in the log.
func (a *Audit) Sequence(ctx context.Context, tenant id.Tenant) (int, error) {
	return sequence(ctx, a.db, tenant)
}

func sequence(ctx context.Context, d *db.DB, tenant id.Tenant) (int, error) {
	total := 0
	for range maxSequenceRounds {
		placed := 0
		err := d.InTenant(ctx, tenant, func(tx *db.Tx) error {
			var err error
			placed, err = tx.SequenceAudit()
			return err
		})
		total += placed
		if err != nil || placed == 0 {
			return total, err
		}
	}
	return total, nil
}

// Tick does what is due: it asks the database, for every tenant, whether records
// wait, and has the sums proved once a day. One tenant's trouble does not stop the
// clock of the others.
//
// Vendor is the digest of the price list this binary ships: each tenant is asked once a
// day, and when the first process with another list comes, whether it has it.
func (a *Audit) Tick(ctx context.Context, vendor string) error {
	var tenants []db.TenantRow
	if err := a.db.InSystem(ctx, "the clock serves every tenant", func(tx *db.SystemTx) error {
		var err error
		tenants, err = tx.Tenants()
		return err
	}); err != nil {
		return err
	}
	var failed error
	for _, t := range tenants {
		if err := a.db.InTenant(ctx, t.ID, func(tx *db.Tx) error { return a.due(tx, vendor) }); err != nil {
			failed = errors.Join(failed, fmt.Errorf("tick for %s: %w", t.ID, err))
		}
	}
	return failed
}

// due asks for the work that one tenant's clock has come to.
func (a *Audit) due(tx *db.Tx, vendor string) error {
	for _, month := range []period.Month{period.MonthOf(tx.Now), period.MonthOf(tx.Now).Next()} {
		if err := tx.EnsureUsageMonth(month); err != nil {
			return err
		}
	}
	waiting, err := tx.PendingAudit()
	if err != nil {
		return err
	}
	unsigned, err := tx.CheckpointDue(tx.Now.Add(-SignEvery))
	if err != nil {
		return err
	}
	tend, err := tx.ToTend(1)
	if err != nil {
		return err
	}
	tenant := tx.Tenant.String()
	jobs, err := daily(tx, vendor)
	if err != nil {
		return err
	}
	if waiting > 0 {
		jobs = append(jobs, job.SequenceAudit{Tenant: tenant})
	}
	packets, err := packetsDue(tx)
	if err != nil {
		return err
	}
	jobs = append(jobs, packets...)
	if len(tend) > 0 {
		jobs = append(jobs, job.TendChanges{Tenant: tenant})
	}
	if unsigned {
		jobs = append(jobs, job.SignLog{Tenant: tenant})
	}
	closing, err := tx.AnyClosing()
	if err != nil {
		return err
	}
	if closing {
		jobs = append(jobs, job.TendCloses{Tenant: tenant, Hour: tx.Now.Format("2006-01-02T15")})
	}
	reports, err := dueReports(tx)
	if err != nil {
		return err
	}
	for _, args := range append(jobs, reports...) {
		if err := tx.Enqueue(args); err != nil {
			return err
		}
	}
	return witnessDue(tx, a.witnesses)
}

// daily is what is done once a day; the jobs are unique in it. Of a company that was let go
// nothing is priced any more, and its sums and log are proved on the first of a month, until
// all that remained is gone.
func daily(tx *db.Tx, vendor string) ([]db.Job, error) {
	tenant := tx.Tenant.String()
	accruals := job.PostAccruals{Tenant: tenant, Day: tx.Now.AddDate(0, 0, -1).Format(time.DateOnly)}
	_, gone, err := tx.Offboarding()
	if err != nil {
		return nil, err
	}
	proving := tx.Now.Hour() >= proveHour
	if gone {
		_, whole, err := tx.PurgedWhole()
		if err != nil || whole {
			return nil, err
		}
		jobs := []db.Job{accruals}
		if proving {
			jobs = append(jobs, job.PurgeOffboarded{Tenant: tenant})
		}
		if proving && tx.Now.Day() == 1 {
			jobs = append(jobs, job.ProveSums{Tenant: tenant}, job.VerifyLog{Tenant: tenant})
		}
		return jobs, nil
	}
	jobs := []db.Job{job.ProposePrices{Tenant: tenant, Digest: vendor}, accruals, job.ReconcileDays{Tenant: tenant, Day: accruals.Day}}
	if proving {
		jobs = append(jobs, job.ProveSums{Tenant: tenant}, job.VerifyLog{Tenant: tenant}, job.SettlePrices{Tenant: tenant})
	}
	return jobs, nil
}

// witnessDue asks for witnesses that have not seen the newest head to be shown it.
func witnessDue(tx *db.Tx, names []string) error {
	if len(names) == 0 {
		return nil
	}
	heads, err := tx.Checkpoints(maxSize, 1)
	if err != nil || len(heads) == 0 {
		return err
	}
	for _, name := range names {
		last, _, err := tx.LastSeen(name)
		if err != nil {
			return err
		}
		if last.Size == heads[0].Size {
			continue
		}
		if err := witnessJobs(tx, []string{name}); err != nil {
			return err
		}
	}
	return nil
}

// proveHour is the hour, UTC, from which on the day's proof is due.
const proveHour = 3

// ProveSums compares this month, the last, those that were adjusted lately and of the others
// one each day in turn, summed from events, from batches and from the rollups, row by row,
// and the rollups with the journal, day by day and node by node, at one instant, and the
// sums of all that were purged with their rollups, and records the
// outcome (DESIGN 5.5).
func (a *Audit) ProveSums(ctx context.Context, tenant id.Tenant) (agree bool, err error) {
	agree = true
	detail := map[string]any{}
	err = a.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		months, err := monthsToProve(tx)
		if err != nil {
			return err
		}
		purged, err := tx.PurgedMonths(retention.Usage, MaxRows)
		if err != nil {
			return err
		}
		for _, month := range purged {
			if !slices.Contains(months, month) {
				months = append(months, month)
			}
		}
		for _, month := range months {
			c, err := tx.ProveMonth(month)
			if err != nil {
				return err
			}
			same := c.EventPico == c.BatchPico && c.BatchPico == c.RollupPico && c.EventRequests == c.BatchRequests && c.BatchRequests == c.RollupRequests && c.Misplaced == 0
			books, err := proveJournal(tx, month)
			if err != nil {
				return err
			}
			agree = agree && same && books.agree()
			detail[month.String()] = map[string]any{
				"agree": same, "events": c.EventRequests, "events_pico": c.EventPico, "batches": c.BatchRequests, "batches_pico": c.BatchPico,
				"rollup": c.RollupRequests, "rollup_pico": c.RollupPico, "misplaced": c.Misplaced, "journal": books.detail(),
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	err = a.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		return tx.AppendAudit(auditlog.Record{Action: "sums.proved", Actor: "system", Detail: detail})
	})
	if err == nil && !agree {
		a.log.ErrorContext(ctx, "sums disagree", "tenant", tenant.String())
	}
	return agree, err
}

// lately is how long a month that was adjusted is proved every day.
const lately = 48 * time.Hour

// monthsToProve are the months of a day's proof: earlier ones take adjustments while they
// are open and must not change once they are closed, but there are more of those every month.
func monthsToProve(tx *db.Tx) ([]period.Month, error) {
	posted, err := tx.BookMonths(tx.Now.Add(-lately))
	if err != nil {
		return nil, err
	}
	now := period.MonthOf(tx.Now)
	months, quiet := []period.Month{now.Previous(), now}, []period.Month{}
	for _, p := range posted {
		switch month := period.MonthOf(p.Month); {
		case month == now || month == now.Previous():
		case p.Adjusted:
			months = append(months, month)
		default:
			quiet = append(quiet, month)
		}
	}
	if len(quiet) > 0 {
		months = append(months, quiet[tx.Now.YearDay()%len(quiet)])
	}
	return months, nil
}

package db

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/reconcile"
)

// LockReconciliation makes the transaction the only one that reconciles a company's days, or
// takes steps of its variances, until it ends.
func (t *Tx) LockReconciliation() error {
	return t.exec("lock reconciliation", `select pg_advisory_xact_lock(hashtextextended('reconciliation:' || $1, 0))`, t.Tenant.UUID())
}

// RunRow is one reconciliation of a day. Amounts are whole pico-dollars.
type RunRow struct {
	RunID             id.Run
	Number            int64
	Day               time.Time
	State             string
	UsagePull         string // a UUID
	CostPull          string // a UUID
	UsageBatches      int64
	AdjustmentBatches int64
	Fingerprint       []byte
	ToleranceVersion  int
	AbsoluteCents     int64
	RelativeBps       int64
	OursPico          string
	ListedPico        string
	BilledPico        string
	ListPricePico     string
	UnexplainedPico   string
	GrossPico         string
	OurRequests       int64
	TheirRequests     int64
	OurTokens         int64
	TheirTokens       int64
	Coverage          string // JSON
	Items             int
	Digest            []byte
	RecordID          id.Record
	RecordedAt        time.Time
	Open              int // variances of the day that are not resolved; in lists
}

const runColumns = `r.run_id, r.number, r.day, r.state, r.usage_pull::text as usage_pull, r.cost_pull::text as cost_pull, r.usage_batches, r.adjustment_batches, r.fingerprint, r.tolerance_version,
	r.absolute_cents, r.relative_bps, r.ours_pico::text as ours_pico, r.listed_pico::text as listed_pico, r.billed_pico::text as billed_pico, r.list_price_pico::text as list_price_pico,
	r.unexplained_pico::text as unexplained_pico, r.gross_pico::text as gross_pico, r.our_requests, r.their_requests, r.our_tokens, r.their_tokens, r.coverage::text as coverage, r.items,
	r.digest, r.record_id, r.recorded_at, (select count(*) from variance v where v.tenant_id = r.tenant_id and v.day = r.day
		and (select s.state from variance_step s where s.tenant_id = v.tenant_id and s.variance_id = v.variance_id order by s.place desc limit 1) <> 'resolved') as open
	from reconciliation r`

// AddRun stores a reconciliation with its items, whose record is in this transaction already.
// The database refuses items that do not come to the difference when the transaction commits.
func (t *Tx) AddRun(r *RunRow, canonical []byte, items []reconcile.Item) error {
	digest := sha256.Sum256(canonical)
	if err := t.exec("add reconciliation", `insert into reconciliation (tenant_id, run_id, number, day, state, usage_pull, cost_pull, usage_batches, adjustment_batches, fingerprint, tolerance_version,
			absolute_cents, relative_bps, ours_pico, listed_pico, billed_pico, list_price_pico, unexplained_pico, gross_pico, our_requests, their_requests, our_tokens, their_tokens, coverage, items,
			canonical, digest, record_id, recorded_at)
		values ($1, $2, $3, $4, $5, $6::uuid, $7::uuid, $8, $9, $10, $11, $12, $13, $14::numeric, $15::numeric, $16::numeric, $17::numeric, $18::numeric, $19::numeric, $20, $21, $22, $23, $24::jsonb, $25, $26, $27, $28, $29)`,
		t.Tenant, r.RunID, r.Number, r.Day, r.State, r.UsagePull, r.CostPull, r.UsageBatches, r.AdjustmentBatches, r.Fingerprint, r.ToleranceVersion, r.AbsoluteCents, r.RelativeBps,
		r.OursPico, r.ListedPico, r.BilledPico, r.ListPricePico, r.UnexplainedPico, r.GrossPico, r.OurRequests, r.TheirRequests, r.OurTokens, r.TheirTokens, r.Coverage, len(items),
		canonical, digest[:], r.RecordID, t.Now); err != nil {
		return err
	}
	var places, quantities []int64
	var texts [11][]string
	for i := range items {
		it := &items[i]
		nodes := ""
		if len(it.Nodes) > 0 {
			encoded, err := json.Marshal(it.Nodes)
			if err != nil {
				return fmt.Errorf("encode nodes of an item: %w", err)
			}
			nodes = string(encoded)
		}
		places, quantities = append(places, int64(i)+1), append(quantities, it.Quantity)
		for k, text := range [...]string{
			string(it.Class), string(it.Cell.Surface), it.Cell.Key, it.Cell.Model, it.Cell.Tier, it.Cell.Speed, it.Cell.Geography, string(it.Cell.Meter), it.List.Digits(), it.Amount.Digits(), nodes,
		} {
			texts[k] = append(texts[k], text)
		}
	}
	explanations := make([]string, len(items))
	for i := range items {
		explanations[i] = items[i].Explanation
	}
	return t.exec("add reconciling items", `insert into reconciliation_item (tenant_id, run_id, place, quantity, class, surface, api_key, model, tier, speed, geography, meter, list_pico, amount_pico, nodes, explanation)
		select $1, $2, p, q, c, u, k, m, t, s, g, e, l::numeric, a::numeric, nullif(n, '')::jsonb, x
		from unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[])
			as i(p, q, c, u, k, m, t, s, g, e, l, a, n, x)`,
		t.Tenant, r.RunID, places, quantities, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6], texts[7], texts[8], texts[9], texts[10], explanations)
}

// LastRun reads the reconciliation of a day that counts; found is false when there is none.
func (t *Tx) LastRun(day time.Time) (RunRow, bool, error) {
	var rows []RunRow
	err := t.scan("read reconciliation", &rows, `select `+runColumns+` where r.tenant_id = ? and r.day = ? order by r.number desc limit 1`, t.Tenant, day)
	if err != nil || len(rows) == 0 {
		return RunRow{}, false, err
	}
	return rows[0], true, nil
}

// Runs lists every reconciliation of a day, the one that counts first.
func (t *Tx) Runs(day time.Time, limit int) ([]RunRow, error) {
	var rows []RunRow
	err := t.scan("list reconciliations of a day", &rows, `select `+runColumns+` where r.tenant_id = ? and r.day = ? order by r.number desc limit ?`, t.Tenant, day, limit)
	return rows, err
}

// RunDays lists the reconciliation that counts for each day of a span, by day.
func (t *Tx) RunDays(from, to time.Time) ([]RunRow, error) {
	var rows []RunRow
	err := t.scan("list days reconciled", &rows, `select distinct on (r.day) `+runColumns+` where r.tenant_id = ? and r.day >= ? and r.day < ? order by r.day, r.number desc`, t.Tenant, from, to)
	return rows, err
}

// RunItems lists the items of a reconciliation in their order.
func (t *Tx) RunItems(run id.Run) ([]reconcile.Item, error) {
	var rows []struct {
		Class, Surface, APIKey, Model, Tier, Speed, Geography, Meter string
		Quantity                                                     int64
		ListPico, AmountPico, Explanation                            string
		Nodes                                                        *string
	}
	if err := t.scan("list reconciling items", &rows, `select class, surface, api_key, model, tier, speed, geography, meter, quantity, list_pico::text as list_pico, amount_pico::text as amount_pico, explanation, nodes::text as nodes
		from reconciliation_item where tenant_id = ? and run_id = ? order by place`, t.Tenant, run); err != nil {
		return nil, err
	}
	items := make([]reconcile.Item, len(rows))
	for i := range rows {
		r, it := &rows[i], &items[i]
		*it = reconcile.Item{
			Class: reconcile.Class(r.Class), Quantity: r.Quantity, Explanation: r.Explanation, Cell: reconcile.Cell{
				Group: reconcile.Group{Surface: reconcile.Surface(r.Surface), Key: r.APIKey, Model: r.Model, Tier: r.Tier, Speed: r.Speed, Geography: r.Geography}, Meter: reconcile.Meter(r.Meter),
			},
		}
		var err error
		if it.List, err = money.SumOfPico(r.ListPico); err != nil {
			return nil, err
		}
		if it.Amount, err = money.SumOfPico(r.AmountPico); err != nil {
			return nil, err
		}
		if r.Nodes != nil {
			if err := json.Unmarshal([]byte(*r.Nodes), &it.Nodes); err != nil {
				return nil, fmt.Errorf("read nodes of an item: %w", err)
			}
		}
	}
	return items, nil
}

// DaySignOffRow is who signed a reconciliation.
type DaySignOffRow struct {
	RunID      id.Run
	Day        time.Time // of the reconciliation; in lists
	Superseded bool      // there is a later reconciliation of the day; in lists
	Part       string    // preparer or reviewer
	Actor      string
	PersonID   id.Person
	ChangeID   id.Change
	RecordedAt time.Time
}

// AddDaySignOff signs a reconciliation; a person signs it once.
func (t *Tx) AddDaySignOff(r *DaySignOffRow) error {
	return t.exec("sign reconciliation", `insert into reconciliation_sign_off (tenant_id, run_id, part, actor, person_id, change_id, recorded_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, r.RunID, r.Part, r.Actor, r.PersonID, r.ChangeID, t.Now)
}

// DaySignOffs lists who signed reconciliations of days in a span, the earliest first: also those
// that do not count any more.
func (t *Tx) DaySignOffs(from, to time.Time) ([]DaySignOffRow, error) {
	var rows []DaySignOffRow
	err := t.scan("list sign-offs", &rows, `select s.run_id, r.day, s.part, s.actor, s.person_id, s.change_id, s.recorded_at,
		exists (select from reconciliation l where l.tenant_id = r.tenant_id and l.day = r.day and l.number > r.number) as superseded from reconciliation_sign_off s
		join reconciliation r on r.tenant_id = s.tenant_id and r.run_id = s.run_id where s.tenant_id = ? and r.day >= ? and r.day < ? order by s.recorded_at, s.part`, t.Tenant, from, to)
	return rows, err
}

// DaysReconciled tells which of some days were ever reconciled: they are to be again when
// something is posted to them.
func (t *Tx) DaysReconciled(days []time.Time) ([]time.Time, error) {
	var rows []struct{ Day time.Time }
	err := t.scan("list days to reconcile again", &rows, `select d.day from unnest(string_to_array(?, ',')::date[]) d(day)
		where exists (select from reconciliation r where r.tenant_id = ? and r.day = d.day) order by d.day`, dateList(days), t.Tenant)
	list := make([]time.Time, 0, len(rows))
	for i := range rows {
		list = append(list, rows[i].Day.UTC())
	}
	return list, err
}

// dateList is days as one text, separated by commas.
func dateList(days []time.Time) string {
	texts := make([]string, len(days))
	for i, day := range days {
		texts[i] = day.Format(time.DateOnly)
	}
	return strings.Join(texts, ",")
}

// DaysMoved lists the days of a span that are charged another amount now than when they were
// last reconciled.
func (t *Tx) DaysMoved(from, to time.Time) ([]time.Time, error) {
	var rows []struct{ Day time.Time }
	err := t.scan("list days that moved", &rows, `select r.day from (select distinct on (day) day, ours_pico from reconciliation where tenant_id = ? and day >= ? and day < ? order by day, number desc) r
		where r.ours_pico <> (select coalesce(sum(charge_pico), 0) from rollup_placement_day p where p.tenant_id = ? and p.day = r.day) order by r.day`, t.Tenant, from, to, t.Tenant)
	list := make([]time.Time, 0, len(rows))
	for i := range rows {
		list = append(list, rows[i].Day.UTC())
	}
	return list, err
}

// VarianceRow is what was above tolerance, as its latest step has it.
type VarianceRow struct {
	VarianceID    id.Variance
	Number        int64
	Day           time.Time
	Class         string
	Surface       string
	APIKey        string
	Model         string
	NodeID        *id.Node
	RecordedAt    time.Time
	Steps         int
	Kind          string // of the latest step
	State         string
	AmountPico    string
	Quantity      int64
	OwnerMemberID *id.Member
	WaitUntil     *time.Time // of the latest step
	SteppedAt     time.Time
}

const varianceColumns = `v.variance_id, v.number, v.day, v.class, v.surface, v.api_key, v.model, v.node_id, v.recorded_at, s.place as steps, s.kind, s.state, s.amount_pico::text as amount_pico, s.quantity,
	s.owner_member_id, s.wait_until, s.recorded_at as stepped_at
	from variance v join lateral (select * from variance_step s where s.tenant_id = v.tenant_id and s.variance_id = v.variance_id order by s.place desc limit 1) s on true`

// AddVariance opens a variance.
func (t *Tx) AddVariance(variance id.Variance, number int64, day time.Time, f *reconcile.Finding) error {
	return t.exec("open variance", `insert into variance (tenant_id, variance_id, number, day, class, surface, api_key, model, node_id, recorded_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		t.Tenant, variance, number, day, string(f.Class), string(f.Surface), f.Key, f.Model, f.Node.Node, t.Now)
}

// VarianceFilter narrows a list of variances.
type VarianceFilter struct {
	Day    time.Time    // zero: any
	Month  period.Month // zero: any
	State  string       // empty: any; unresolved: all but those resolved
	Class  string       // empty: any
	Owner  id.Member    // zero: anybody's
	Before int64        // numbers below it; 0: all
	Limit  int
}

// Variances lists variances, the newest number first.
func (t *Tx) Variances(f *VarianceFilter) ([]VarianceRow, error) {
	s := &statement{text: `select ` + varianceColumns + ` where v.tenant_id = ?`, args: []any{t.Tenant}}
	if !f.Day.IsZero() {
		s.and("v.day = ?", f.Day)
	}
	if f.Month != (period.Month{}) {
		s.and("v.day >= ?", f.Month.Start())
		s.and("v.day < ?", f.Month.End())
	}
	switch f.State {
	case "":
	case "unresolved":
		s.add(" and s.state <> 'resolved'")
	default:
		s.and("s.state = ?", f.State)
	}
	if f.Class != "" {
		s.and("v.class = ?", f.Class)
	}
	if !f.Owner.IsZero() {
		s.and("s.owner_member_id = ?", f.Owner)
	}
	if f.Before > 0 {
		s.and("v.number < ?", f.Before)
	}
	s.add(" order by v.number desc limit ?", f.Limit)
	var rows []VarianceRow
	err := t.scan("list variances", &rows, s.text, s.args...)
	return rows, err
}

// VarianceDay is a day with variances that keep its signatures from counting.
type VarianceDay struct {
	Day    time.Time
	Due    bool // somebody has to do something about one
	Review bool // one waits for its review
}

// VarianceDays lists such days of a span; a variance that waits is due once its day is before
// today.
func (t *Tx) VarianceDays(from, to, today time.Time) ([]VarianceDay, error) {
	var rows []VarianceDay
	err := t.scan("list days with variances", &rows, `select v.day, bool_or(s.state = 'open' or (s.state = 'waiting' and s.wait_until < ?)) as due, bool_or(s.state in ('explained', 'adjusted')) as review
		from variance v join lateral (select state, wait_until from variance_step s where s.tenant_id = v.tenant_id and s.variance_id = v.variance_id order by s.place desc limit 1) s on true
		where v.tenant_id = ? and v.day >= ? and v.day < ? and s.state <> 'resolved' group by v.day order by v.day`, today, t.Tenant, from, to)
	return rows, err
}

// Variance reads one variance; found is false when there is none.
func (t *Tx) Variance(variance id.Variance) (VarianceRow, bool, error) {
	var rows []VarianceRow
	err := t.scan("read variance", &rows, `select `+varianceColumns+` where v.tenant_id = ? and v.variance_id = ?`, t.Tenant, variance)
	if err != nil || len(rows) == 0 {
		return VarianceRow{}, false, err
	}
	return rows[0], true, nil
}

// VarianceStepRow is one step of a variance, with how it stands after it.
type VarianceStepRow struct {
	Place              int
	Kind               string
	State              string
	Actor              string
	PersonID           *id.Person
	AmountPico         string
	Quantity           int64
	RunID              *id.Run
	OwnerMemberID      *id.Member
	Note               string
	WaitUntil          *time.Time
	AdjustmentChangeID *id.Change
	ChangeID           *id.Change
	RecordedAt         time.Time
}

// AddVarianceStep adds the next step of a variance.
func (t *Tx) AddVarianceStep(variance id.Variance, r *VarianceStepRow) error {
	return t.exec("add step of a variance", `insert into variance_step (tenant_id, variance_id, place, kind, state, actor, person_id, amount_pico, quantity, run_id, owner_member_id, note, wait_until,
			adjustment_change_id, change_id, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8::numeric, $9, $10, $11, $12, $13, $14, $15, $16)`,
		t.Tenant, variance, r.Place, r.Kind, r.State, r.Actor, r.PersonID, r.AmountPico, r.Quantity, r.RunID, r.OwnerMemberID, r.Note, r.WaitUntil, r.AdjustmentChangeID, r.ChangeID, t.Now)
}

// VarianceSteps lists the steps of a variance in their order.
func (t *Tx) VarianceSteps(variance id.Variance, limit int) ([]VarianceStepRow, error) {
	var rows []VarianceStepRow
	err := t.scan("list steps of a variance", &rows, `select place, kind, state, actor, person_id, amount_pico::text as amount_pico, quantity, run_id, owner_member_id, note, wait_until, adjustment_change_id,
			change_id, recorded_at from variance_step where tenant_id = ? and variance_id = ? order by place limit ?`, t.Tenant, variance, limit)
	return rows, err
}

// ToleranceRow is how far both sides may be apart from an instant on.
type ToleranceRow struct {
	Version       int
	AbsoluteCents int64
	RelativeBps   int64
	EffectiveFrom time.Time
	ChangeID      id.Change
}

// LockTolerance makes the transaction the only one that changes the tolerance.
func (t *Tx) LockTolerance() error {
	return t.exec("lock tolerance", `select pg_advisory_xact_lock(hashtextextended('tolerance:' || $1, 0))`, t.Tenant.UUID())
}

// AddTolerance stores the next version of the tolerance.
func (t *Tx) AddTolerance(r *ToleranceRow) error {
	return t.exec("add tolerance", `insert into tolerance_version (tenant_id, version, absolute_cents, relative_bps, effective_from, recorded_at, change_id)
		select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6 from tolerance_version where tenant_id = $1`,
		t.Tenant, r.AbsoluteCents, r.RelativeBps, r.EffectiveFrom, t.Now, r.ChangeID)
}

// Tolerances lists the versions of the tolerance, the latest first.
func (t *Tx) Tolerances(limit int) ([]ToleranceRow, error) {
	var rows []ToleranceRow
	err := t.scan("list tolerances", &rows, `select version, absolute_cents, relative_bps, effective_from, change_id from tolerance_version where tenant_id = ? order by version desc limit ?`, t.Tenant, limit)
	return rows, err
}

package db

import (
	"crypto/sha256"
	"time"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/plan"
)

// LockPlans makes the transaction the only one that adds plans for the tenant, until it ends.
func (t *Tx) LockPlans() error {
	return t.exec("lock plans", `select pg_advisory_xact_lock(hashtextextended('plans:' || $1, 0))`, t.Tenant.UUID())
}

// AddPlan stores a version: its bytes, which the change's digest stands for, and the
// amounts in them.
func (t *Tx) AddPlan(v plan.Version, grid plan.Grid) error {
	document := grid.Document(v.Year)
	digest := sha256.Sum256(document)
	if err := t.exec("add plan", `insert into plan_version (tenant_id, version, first_month, ordinal, document, digest, effective_from, recorded_at, change_id)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, t.Tenant, v.Number, v.Year.First().Start(), v.Ordinal, document, digest[:], v.EffectiveFrom, t.Now, v.Change); err != nil {
		return err
	}
	var nodes, months []string
	var cents []int64
	each := v.Year.Each()
	for _, node := range grid.Nodes() {
		for place, amount := range grid[node] {
			if amount.Set {
				nodes, months, cents = append(nodes, node.UUID()), append(months, each[place].Start().Format(time.DateOnly)), append(cents, int64(amount.Cents))
			}
		}
	}
	return t.exec("add plan's amounts", `insert into plan_amount (tenant_id, version, month, node_id, amount_cents)
		select $1, $2, m::date, n::uuid, a from unnest($3::text[], $4::text[], $5::bigint[]) as u(m, n, a)`, t.Tenant, v.Number, months, nodes, cents)
}

// PlanRow is one version of a plan with the change that made it.
type PlanRow struct {
	Version       int
	FirstMonth    time.Time
	Ordinal       int
	EffectiveFrom time.Time
	RecordedAt    time.Time
	ChangeID      id.Change
	Digest        []byte
	Number        int64 // of the change
	Maker         string
	Reason        string
}

// Plan is the version as its noun has it.
func (r *PlanRow) Plan() plan.Version {
	return plan.Version{
		Number: r.Version, Year: plan.YearFrom(period.MonthOf(r.FirstMonth)), Ordinal: r.Ordinal,
		EffectiveFrom: r.EffectiveFrom.UTC(), RecordedAt: r.RecordedAt.UTC(), Change: r.ChangeID,
	}
}

// Plans lists the versions of every year, newest first.
func (t *Tx) Plans(limit int) ([]PlanRow, error) {
	var rows []PlanRow
	err := t.scan("list plans", &rows, `select v.version, v.first_month, v.ordinal, v.effective_from, v.recorded_at, v.change_id, v.digest, c.number, c.maker, c.reason
		from plan_version v join change c on c.tenant_id = v.tenant_id and c.change_id = v.change_id
		where v.tenant_id = ? order by v.version desc limit ?`, t.Tenant, limit)
	return rows, err
}

type planAmountRow struct {
	NodeID      id.Node
	Month       time.Time
	AmountCents int64
}

// PlanGrid reads the amounts of one version.
func (t *Tx) PlanGrid(v plan.Version) (plan.Grid, error) {
	var rows []planAmountRow
	if err := t.scan("read plan", &rows, `select node_id, month, amount_cents from plan_amount where tenant_id = ? and version = ?`, t.Tenant, v.Number); err != nil {
		return nil, err
	}
	grid := plan.Grid{}
	for _, r := range rows {
		if place, ok := v.Year.Place(period.MonthOf(r.Month)); ok {
			row := grid[r.NodeID]
			row[place] = plan.Of(money.Cents(r.AmountCents))
			grid[r.NodeID] = row
		}
	}
	return grid, nil
}

// PlanMonth reads one month of one version: a node's own amount where it has one.
func (t *Tx) PlanMonth(version int, month period.Month) (map[id.Node]money.Cents, error) {
	var rows []planAmountRow
	err := t.scan("read plan of month", &rows, `select node_id, month, amount_cents from plan_amount where tenant_id = ? and version = ? and month = ?`, t.Tenant, version, month.Start())
	amounts := make(map[id.Node]money.Cents, len(rows))
	for _, r := range rows {
		amounts[r.NodeID] = money.Cents(r.AmountCents)
	}
	return amounts, err
}

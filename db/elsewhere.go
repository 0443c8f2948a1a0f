package db

import (
	"time"

	"tollbook/app/id"
	"tollbook/app/period"
)

// SpendElsewhereRow is what was stated of a month's spend that passed no gateway.
type SpendElsewhereRow struct {
	Month      time.Time
	Version    int
	Lines      int
	TotalCents int64
	ChangeID   id.Change
	RecordedAt time.Time
}

// SpendLine is one line of it.
type SpendLine struct {
	NodeID id.Node
	Source string
	Memo   string
	Cents  int64
}

// LockElsewhere makes the transaction the only one that states spend elsewhere.
func (t *Tx) LockElsewhere() error {
	return t.exec("lock spend elsewhere", `select pg_advisory_xact_lock(hashtextextended('spend_elsewhere:' || $1, 0))`, t.Tenant.UUID())
}

// AddElsewhere states the whole of a month's spend elsewhere anew.
func (t *Tx) AddElsewhere(m period.Month, lines []SpendLine, change id.Change) error {
	var total int64
	var nodes, sources, memos []string
	var cents []int64
	for i := range lines {
		l := &lines[i]
		total += l.Cents
		nodes, sources, memos, cents = append(nodes, l.NodeID.UUID()), append(sources, l.Source), append(memos, l.Memo), append(cents, l.Cents)
	}
	if err := t.exec("state spend elsewhere", `insert into spend_elsewhere (tenant_id, month, version, lines, total_cents, change_id, recorded_at)
		select $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6 from spend_elsewhere where tenant_id = $1 and month = $2`, t.Tenant, m.Start(), len(lines), total, change, t.Now); err != nil {
		return err
	}
	return t.exec("add lines of spend elsewhere", `insert into spend_elsewhere_line (tenant_id, month, version, place, node_id, source, memo, cents)
		select $1, $2, (select max(version) from spend_elsewhere where tenant_id = $1 and month = $2), row_number() over (order by o), n::uuid, s, m, c
		from unnest($3::text[], $4::text[], $5::text[], $6::bigint[]) with ordinality as l(n, s, m, c, o)`, t.Tenant, m.Start(), nodes, sources, memos, cents)
}

// Elsewhere reads what holds of a month; found is false where nothing was stated.
func (t *Tx) Elsewhere(m period.Month) (SpendElsewhereRow, bool, error) {
	var rows []SpendElsewhereRow
	err := t.scan("read spend elsewhere", &rows, `select month, version, lines, total_cents, change_id, recorded_at from spend_elsewhere where tenant_id = ? and month = ? order by version desc limit 1`, t.Tenant, m.Start())
	if err != nil || len(rows) == 0 {
		return SpendElsewhereRow{}, false, err
	}
	return rows[0], true, nil
}

// ElsewhereLines lists the lines of one statement in their order.
func (t *Tx) ElsewhereLines(m period.Month, version int) ([]SpendLine, error) {
	var rows []SpendLine
	err := t.scan("list spend elsewhere", &rows, `select node_id, source, memo, cents from spend_elsewhere_line where tenant_id = ? and month = ? and version = ? order by place`, t.Tenant, m.Start(), version)
	return rows, err
}

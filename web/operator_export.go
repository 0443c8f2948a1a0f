package web

import (
	"strconv"
	"time"

	"tollbook/app"
)

// operatorTable is one table of the operator's page as a file.
type operatorTable struct {
	name  string
	sheet func(*app.Platform) *sheet
}

func (t operatorTable) route() string { return "/operator/" + t.name + ".csv" }

func (t operatorTable) file() string { return "operator-" + t.name + ".csv" }

// operatorTables are those of the page, in its order.
func operatorTables() []operatorTable {
	return []operatorTable{{"tenants", tenantsSheet}, {"gateways", gatewaysSheet}, {"queues", queuesSheet}, {"failures", failuresSheet}}
}

// exportOperator sends one table; what narrows companies narrows no other.
func (w *Web) exportOperator(v *visit, table operatorTable) error {
	q := operatorQuery{}
	if table.name == "tenants" {
		q = v.operatorQuery()
	}
	p, err := w.areas.Operators.Platform(v.Request().Context(), v.who, app.PlatformQuery(q))
	if err != nil {
		return err
	}
	return table.sheet(&p).send(v, table.file())
}

func tenantsSheet(p *app.Platform) *sheet {
	out := newSheet("slug", "name", "suspended", "created_at", "last_request_recorded_at", "keys", "upstream_set", "audit_records_waiting", "offboarded_at", "kept_until")
	var keys int64
	for i := range p.Tenants {
		t := &p.Tenants[i]
		keys += t.Keys
		_ = out.Write([]string{
			t.Slug, cell(t.Name), strconv.FormatBool(t.Suspended), t.CreatedAt.Format(time.RFC3339Nano), stamp(t.LastBatchAt), number(t.Keys),
			strconv.FormatBool(t.Upstream), number(t.Waiting), stamp(t.OffboardedAt), stamp(t.Remains.Until),
		})
	}
	out.control("keys", number(keys))
	return out
}

func gatewaysSheet(p *app.Platform) *sheet {
	out := newSheet("gateway", "started_at", "seen_at", "flushed_through", "pending", "journal_bytes", "silent")
	var pending int64
	for _, g := range p.Gateways {
		pending += g.Pending
		_ = out.Write([]string{
			g.ID.String(), g.StartedAt.Format(time.RFC3339Nano), g.SeenAt.Format(time.RFC3339Nano), g.FlushedThrough.Format(time.RFC3339Nano),
			number(g.Pending), number(g.JournalBytes), strconv.FormatBool(g.Silent),
		})
	}
	out.control("pending", number(pending))
	return out
}

func queuesSheet(p *app.Platform) *sheet {
	out := newSheet("queue", "paused", "kind", "state", "jobs", "oldest_due_at", "late_seconds")
	var jobs int64
	for _, j := range p.Jobs {
		jobs += j.Count
		_ = out.Write([]string{cell(j.Queue), strconv.FormatBool(j.Paused), cell(j.Kind), j.State, number(j.Count), j.OldestAt.Format(time.RFC3339Nano), number(int64(j.Late / time.Second))})
	}
	out.control("jobs", number(jobs))
	return out
}

func failuresSheet(p *app.Platform) *sheet {
	out := newSheet("job", "queue", "kind", "tenant", "state", "attempt", "max_attempts", "attempted_at", "next_at", "last_error")
	for i := range p.Failures {
		f := &p.Failures[i]
		_ = out.Write([]string{
			number(f.ID), cell(f.Queue), cell(f.Kind), f.Tenant, f.State, strconv.Itoa(f.Attempt), strconv.Itoa(f.MaxAttempts), stamp(f.AttemptedAt), stamp(f.NextAt), cell(f.LastError),
		})
	}
	return out
}

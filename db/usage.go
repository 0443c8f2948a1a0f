package db

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/pricing"
	"tollbook/app/usage"
)

// column is one column of a bulk insert: a slice bound as an array and how its
// elements become the column's type.
type column struct {
	name string
	cast string // of one element, with % for its name
	rows any
}

const (
	asText  = "nullif(%, '')"
	asJSON  = "nullif(%, '')::jsonb"
	asFlags = "string_to_array(nullif(%, ''), E'\\x1f')"
	asIs    = "%"
)

// PostingState locks, for sharing, the books of a month against being locked
// meanwhile, and tells its state (DESIGN 5.9).
func (t *Tx) PostingState(m period.Month) (period.State, error) {
	const hold = `select state from period where tenant_id = $1 and month = $2 for share`
	var state string
	found, err := t.row("hold period", []any{&state}, hold, t.Tenant, m.Start())
	if err != nil || found {
		return period.State(state), err
	}
	if err := t.exec("open period", `insert into period (tenant_id, month, state, changed_at) values ($1, $2, 'open', $3) on conflict do nothing`, t.Tenant, m.Start(), t.Now); err != nil {
		return "", err
	}
	_, err = t.row("hold period", []any{&state}, hold, t.Tenant, m.Start())
	return period.State(state), err
}

// EnsureUsageMonth makes the partition of a month; the function behind it is the
// owner's.
func (t *Tx) EnsureUsageMonth(m period.Month) error {
	return t.exec("ensure usage month", `select ensure_usage_month($1::date)`, m.Start())
}

// AddUsage inserts rated events into a batch and posting period and returns the
// ids that were new: what is there already is not added again (DESIGN 5.10).
func (t *Tx) AddUsage(rated []pricing.Rated, batch id.Batch, posting period.Month) (map[id.Event]bool, error) {
	query, args, err := t.usageInsert(rated, batch, posting)
	if err != nil {
		return nil, err
	}
	rows, err := t.sql.QueryContext(t.ctx, query+` on conflict do nothing returning event_id`, args...)
	if err != nil {
		return nil, fmt.Errorf("add usage: %w", err)
	}
	defer rows.Close()
	added := make(map[id.Event]bool, len(rated))
	for rows.Next() {
		var event id.Event
		if err := rows.Scan(&event); err != nil {
			return nil, fmt.Errorf("add usage: %w", err)
		}
		added[event] = true
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("add usage: %w", err)
	}
	return added, nil
}

// AddNewUsage is AddUsage for events that are all believed to be new, which costs
// Postgres an eighth less. If one is there already the transaction fails with ErrTaken.
func (t *Tx) AddNewUsage(rated []pricing.Rated, batch id.Batch, posting period.Month) error {
	query, args, err := t.usageInsert(rated, batch, posting)
	if err != nil {
		return err
	}
	return t.exec("add new usage", query, args...)
}

func (t *Tx) usageInsert(rated []pricing.Rated, batch id.Batch, posting period.Month) (query string, args []any, err error) {
	columns, err := usageColumns(rated)
	if err != nil {
		return "", nil, err
	}
	var names, selects, binds []string
	args = []any{t.Tenant, t.Now, posting.Start(), batch}
	for i, c := range columns {
		alias := fmt.Sprintf("c%d", i)
		args = append(args, c.rows)
		names = append(names, c.name)
		selects = append(selects, strings.ReplaceAll(c.cast, "%", alias))
		binds = append(binds, fmt.Sprintf("unnest($%d::%s[]) as %s", len(args), arrayType(c.rows), alias))
	}
	query = `insert into usage_event (tenant_id, recorded_at, posting_period, batch_id, ` + strings.Join(names, ", ") + `)
		select $1, $2, $3, $4, ` + strings.Join(selects, ", ") + ` from (select ` + strings.Join(binds, ", ") + `) u`
	return query, args, nil
}

func arrayType(rows any) string {
	switch rows.(type) {
	case []int64:
		return "bigint"
	case []bool:
		return "bool"
	case []pgtype.UUID:
		return "uuid"
	case []*time.Time, []time.Time:
		return "timestamptz"
	case [][]byte:
		return "bytea"
	}
	return "text"
}

// of collects one field of every event.
func of[T any](rated []pricing.Rated, field func(*pricing.Rated) T) []T {
	list := make([]T, len(rated))
	for i := range rated {
		list[i] = field(&rated[i])
	}
	return list
}

func usageColumns(rated []pricing.Rated) ([]column, error) {
	split, err := encoded(rated, splitOf)
	if err != nil {
		return nil, err
	}
	tags, err := encoded(rated, func(r *pricing.Rated) any { return orNil(len(r.Event.Tags) == 0, r.Event.Tags) })
	if err != nil {
		return nil, err
	}
	lines, err := encoded(rated, func(r *pricing.Rated) any { return orNil(len(r.Charge.Lines) == 0, r.Charge.Lines) })
	if err != nil {
		return nil, err
	}
	columns := []column{
		{"occurred_at", asIs, of(rated, func(r *pricing.Rated) time.Time { return r.Event.OccurredAt() })},
		{"event_id", asIs, of(rated, func(r *pricing.Rated) pgtype.UUID { return binaryID(r.Event.ID) })},
		{"state", asIs, of(rated, func(r *pricing.Rated) string { return string(r.Event.State) })},
		{"http_status", asIs, of(rated, func(r *pricing.Rated) int64 { return int64(r.Event.HTTPStatus) })},
		{"request_id", asText, of(rated, func(r *pricing.Rated) string { return r.Event.RequestID })},
		{"message_id", asText, of(rated, func(r *pricing.Rated) string { return r.Event.MessageID })},
		{"session_id", asText, of(rated, func(r *pricing.Rated) string { return r.Event.SessionID })},
		{"agent_id", asText, of(rated, func(r *pricing.Rated) string { return r.Event.AgentID })},
		{"parent_agent_id", asText, of(rated, func(r *pricing.Rated) string { return r.Event.ParentAgentID })},
		{"request_class", asText, of(rated, func(r *pricing.Rated) string { return r.Event.RequestClass })},
		{"stop_reason", asText, of(rated, func(r *pricing.Rated) string { return r.Event.StopReason })},
		{"key_id", asIs, of(rated, func(r *pricing.Rated) pgtype.UUID { return binaryID(r.Event.Key) })},
		{"developer_id", asIs, of(rated, func(r *pricing.Rated) pgtype.UUID { return binaryID(r.Event.Developer) })},
		{"developer_verified", asIs, of(rated, func(r *pricing.Rated) bool { return r.Event.DeveloperVerified })},
		{"model_requested", asIs, of(rated, func(r *pricing.Rated) string { return r.Event.ModelRequested })},
		{"model_served", asText, of(rated, func(r *pricing.Rated) string { return r.Event.Counts.Model })},
		{"speed", asText, of(rated, func(r *pricing.Rated) string { return r.Event.Counts.Speed })},
		{"geography", asText, of(rated, func(r *pricing.Rated) string { return r.Event.Counts.Geography })},
		{"tier", asText, of(rated, func(r *pricing.Rated) string { return r.Event.Counts.Tier })},
		{"placement_id", asIs, of(rated, placementOf)},
		{"split", asJSON, split},
		{"attribution_rule", asIs, of(rated, func(r *pricing.Rated) string { return r.Event.Rule })},
		{"rule_version", "nullif(%, 0)::integer", of(rated, func(r *pricing.Rated) int64 { return r.Event.RuleVersion })},
		{"attribution_change_id", asIs, of(rated, func(r *pricing.Rated) pgtype.UUID { return binaryID(r.Event.Change) })},
		{"attribution_snapshot", asIs, of(rated, func(r *pricing.Rated) int64 { return r.Event.Snapshot })},
		{"declared_project", asText, of(rated, func(r *pricing.Rated) string { return r.Event.Project })},
		{"tags", asJSON, tags},
		{"lines", asJSON, lines},
		{"list_pico", asIs, of(rated, func(r *pricing.Rated) int64 { return int64(r.Charge.List) })},
		{"charge_pico", asIs, of(rated, func(r *pricing.Rated) int64 { return int64(r.Charge.Net) })},
		{"discount_bps", asIs, of(rated, func(r *pricing.Rated) int64 { return r.Charge.DiscountBps })},
		{"price_version", asIs, of(rated, func(r *pricing.Rated) int64 { return int64(r.Version) })},
		{"flags", asFlags, of(rated, func(r *pricing.Rated) string { return strings.Join(r.Event.Flags, "\x1f") })},
		{"raw_usage", asIs, of(rated, func(r *pricing.Rated) []byte { return r.Event.RawUsage })},
		{"upstream_started_at", asIs, of(rated, func(r *pricing.Rated) *time.Time { return optional(r.Event.UpstreamStartedAt) })},
		{"first_byte_at", asIs, of(rated, func(r *pricing.Rated) *time.Time { return optional(r.Event.FirstByteAt) })},
		{"ended_at", asIs, of(rated, func(r *pricing.Rated) *time.Time { return optional(r.Event.EndedAt) })},
		{"replica_id", asIs, of(rated, func(r *pricing.Rated) pgtype.UUID { return binaryID(r.Event.Replica) })},
		{"replica_sequence", asIs, of(rated, func(r *pricing.Rated) int64 { return r.Event.ReplicaSequence })},
	}
	for class := range usage.ClassCount {
		columns = append(columns,
			column{class.String() + "_tokens", asIs, of(rated, func(r *pricing.Rated) int64 { return r.Event.Counts.Tokens[class] })},
			column{class.String() + "_rate_pico", asIs, of(rated, func(r *pricing.Rated) int64 { return int64(r.Charge.Rates[class]) })},
			column{class.String() + "_charge_pico", asIs, of(rated, func(r *pricing.Rated) int64 { return int64(r.Charge.Classes[class]) })})
	}
	return columns, nil
}

// binaryID is an id as PostgreSQL stores it; the zero id is NULL.
func binaryID[K id.Kind](i id.Of[K]) pgtype.UUID {
	return pgtype.UUID{Bytes: i.Bytes(), Valid: !i.IsZero()}
}

func orNil(empty bool, value any) any {
	if empty {
		return nil
	}
	return value
}

func placementOf(r *pricing.Rated) pgtype.UUID {
	if len(r.Event.Shares) == 1 {
		return binaryID(r.Event.Shares[0].Placement)
	}
	return pgtype.UUID{}
}

// Part is one placement's share of a split row, as stored.
type Part struct {
	Placement id.Placement `json:"placement"`
	PPM       int64        `json:"ppm"`
	Amount    money.Pico   `json:"amount_pico"`
}

func splitOf(r *pricing.Rated) any {
	if len(r.Event.Shares) == 1 {
		return nil
	}
	parts := make([]Part, len(r.Event.Shares))
	for i, s := range r.Event.Shares {
		parts[i] = Part{Placement: s.Placement, PPM: s.PPM, Amount: r.Amounts[i]}
	}
	return parts
}

func encoded(rated []pricing.Rated, field func(*pricing.Rated) any) ([]string, error) {
	list := make([]string, len(rated))
	for i := range rated {
		value := field(&rated[i])
		if value == nil {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode usage row: %w", err)
		}
		list[i] = string(text)
	}
	return list, nil
}

// Batch is one flush of one tenant into one posting period.
type Batch struct {
	ID        id.Batch
	Posting   period.Month
	Requests  int
	Amount    money.Sum
	Root      [32]byte
	Canonical []byte // compressed canonical bytes, one event a line
	Record    id.Record
}

// AddBatch stores a batch; its audit record is in this transaction already.
func (t *Tx) AddBatch(b Batch) error {
	return t.exec("add usage batch", `insert into usage_batch (tenant_id, batch_id, posting_period, requests, amount_pico, root, canonical, record_id, recorded_at)
		values ($1, $2, $3, $4, $5::numeric, $6, $7, $8, $9)`,
		t.Tenant, b.ID, b.Posting.Start(), b.Requests, b.Amount.Digits(), b.Root[:], b.Canonical, b.Record, t.Now)
}

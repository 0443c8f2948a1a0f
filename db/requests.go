package db

import (
	"slices"
	"strings"
	"time"

	"tollbook/app/id"
)

// Order is how a list of requests is sorted.
type Order string

// The orders an index allows.
const (
	OrderNewest  Order = ""        // by start, latest first
	OrderDearest Order = "dearest" // by charge, highest first; what costs nothing is left out
	OrderOldest  Order = "oldest"  // by start, earliest first
)

// UsageFilter narrows a list of requests; zero fields do not narrow.
type UsageFilter struct {
	From, To  time.Time // half-open
	Node      id.Node   // and everything below it
	Within    []id.Node // subtrees the reader may see; nil means all
	Key       id.Key
	Developer id.Developer
	Session   string
	RequestID string
	Event     id.Event
	Model     string
	States    []string
	// Sessions keeps requests that belong to a Claude Code session.
	Sessions bool
	// Undeclared keeps requests that name no developer.
	Undeclared bool
	TagKey     string // requests with this tag
	TagValue   string // of TagKey; empty: any
	Rule       string // what decided where it is charged
	MinPico    *int64 // at least this charge
	MaxPico    *int64 // at most this charge
	Order      Order
	BeforeAt   time.Time // keyset: strictly behind this row
	BeforeID   id.Event
	BeforePico int64 // its charge, where OrderDearest
	Limit      int
}

// UsageRow is one stored request.
type UsageRow struct {
	EventID             id.Event
	OccurredAt          time.Time
	RecordedAt          time.Time
	PostingPeriod       time.Time
	BatchID             id.Batch
	State               string
	HTTPStatus          int `gorm:"column:http_status"`
	RequestID           *string
	MessageID           *string
	SessionID           *string
	AgentID             *string
	ParentAgentID       *string
	RequestClass        *string
	KeyID               id.Key
	KeyLabel            string
	DeveloperID         id.Developer
	DeveloperVerified   bool
	LabelSealed         []byte
	ModelRequested      string
	ModelServed         *string
	PlacementID         id.Placement
	Split               *string
	AttributionRule     string
	AttributionSnapshot int64
	RuleVersion         *int64    // of the tenant's rules that were asked
	AttributionChangeID id.Change // what put it there; zero where not known
	Tags                *string
	InputTokens         int64
	OutputTokens        int64
	CacheWrite5mTokens  int64 `gorm:"column:cache_write_5m_tokens"`
	CacheWrite1hTokens  int64 `gorm:"column:cache_write_1h_tokens"`
	CacheReadTokens     int64
	InputRate           int64 `gorm:"column:input_rate_pico"`
	OutputRate          int64 `gorm:"column:output_rate_pico"`
	CacheWrite5mRate    int64 `gorm:"column:cache_write_5m_rate_pico"`
	CacheWrite1hRate    int64 `gorm:"column:cache_write_1h_rate_pico"`
	CacheReadRate       int64 `gorm:"column:cache_read_rate_pico"`
	InputCharge         int64 `gorm:"column:input_charge_pico"`
	OutputCharge        int64 `gorm:"column:output_charge_pico"`
	CacheWrite5mCharge  int64 `gorm:"column:cache_write_5m_charge_pico"`
	CacheWrite1hCharge  int64 `gorm:"column:cache_write_1h_charge_pico"`
	CacheReadCharge     int64 `gorm:"column:cache_read_charge_pico"`
	Lines               *string
	ListPico            int64
	ChargePico          int64
	DiscountBps         int64
	PriceVersion        int
	Flags               *string // separated by the unit separator, 0x1f
	ReplicaID           id.Replica
	ReplicaSequence     int64
	// Its latest adjustment, where there is one.
	AdjustedSequence    int // 0: none
	AdjustedKind        string
	AdjustedState       string
	AdjustedPlacementID id.Placement
	AdjustedSplit       *string
	AdjustedChargePico  int64
	AdjustedAt          *time.Time
	AdjustedChangeID    id.Change
	AdjustedNumber      int64 // of the change
}

const usageColumnsRead = `u.event_id, u.occurred_at, u.recorded_at, u.posting_period, u.batch_id, u.state, u.http_status, u.request_id, u.message_id, u.session_id, u.agent_id,
	u.parent_agent_id, u.request_class, u.key_id, u.developer_id, u.developer_verified, u.model_requested, u.model_served, u.placement_id, u.split,
	u.attribution_rule, u.attribution_snapshot, u.rule_version, u.attribution_change_id, u.tags, u.input_tokens, u.output_tokens, u.cache_write_5m_tokens, u.cache_write_1h_tokens, u.cache_read_tokens,
	u.input_rate_pico, u.output_rate_pico, u.cache_write_5m_rate_pico, u.cache_write_1h_rate_pico, u.cache_read_rate_pico,
	u.input_charge_pico, u.output_charge_pico, u.cache_write_5m_charge_pico, u.cache_write_1h_charge_pico, u.cache_read_charge_pico,
	u.lines, u.list_pico, u.charge_pico, u.discount_bps, u.price_version, array_to_string(u.flags, E'\x1f') as flags, u.replica_id, u.replica_sequence`

// Usage lists requests in the filter's order. Where the rollups know which days hold
// what is asked for, only those days are read.
func (t *Tx) Usage(f UsageFilter) ([]UsageRow, error) {
	var rows []UsageRow
	err := t.walk(f, func(limit int, spans []span) (int, error) {
		part := f
		part.Limit = limit
		more, err := t.usage(part, spans)
		rows = append(rows, more...)
		return len(more), err
	})
	return rows, err
}

// UsageIDs lists the ids of what Usage lists.
func (t *Tx) UsageIDs(f UsageFilter) ([]id.Event, error) {
	var list []id.Event
	err := t.walk(f, func(limit int, spans []span) (int, error) {
		part := f
		part.Limit = limit
		s := part.rows(t.Tenant, "u.event_id, u.occurred_at, u.charge_pico", spans)
		var more []struct{ EventID id.Event }
		err := t.scan("list usage ids", &more, s.text, s.args...)
		for _, r := range more {
			list = append(list, r.EventID)
		}
		return len(more), err
	})
	return list, err
}

// walk reads up to the filter's limit of rows: at once, or of some days after the other
// where the rollups know which hold what is asked for. read says how many it found.
func (t *Tx) walk(f UsageFilter, read func(limit int, spans []span) (int, error)) error {
	if !f.byDays() {
		_, err := read(f.Limit, nil)
		return err
	}
	days, err := t.usageDays(f)
	if err != nil {
		return err
	}
	left := f.Limit
	for want := int64(f.Limit); len(days) > 0 && left > 0; want *= 4 {
		some, rest := firstDays(days, want)
		n, err := read(left, ranges(some))
		if err != nil {
			return err
		}
		left, days = left-n, rest
	}
	return nil
}

// byDays says whether the rollups narrow a list more than its indexes do.
func (f *UsageFilter) byDays() bool {
	indexed := f.Session != "" || f.RequestID != "" || !f.Event.IsZero() || f.unfinished() || f.Order != OrderNewest
	return !indexed && (!f.Node.IsZero() || f.Within != nil || !f.Key.IsZero() || f.Model != "" || !f.Developer.IsZero())
}

// unfinished says whether only states other than complete are asked for.
func (f *UsageFilter) unfinished() bool {
	return len(f.States) > 0 && !slices.Contains(f.States, "complete")
}

// day is a UTC day with how many requests a rollup counts in it.
type day struct {
	Day      time.Time
	Requests int64
}

// usageDays finds the days that may hold what a filter asks for, latest first.
func (t *Tx) usageDays(f UsageFilter) ([]day, error) {
	query, args := usageDaysQuery(t.Tenant, f)
	var days []day
	err := t.scan("find days", &days, query, args...)
	return days, err
}

func usageDaysQuery(tenant id.Tenant, f UsageFilter) (string, []any) {
	table := "rollup_placement_day"
	if !f.Developer.IsZero() {
		table = "rollup_developer_day"
	}
	// A request that is split counts in its first placement alone, so a day is there even without a request.
	s := &statement{text: `select r.day, sum(r.requests)::bigint as requests from ` + table + ` r where r.tenant_id = ?`, args: []any{tenant}}
	if !f.Developer.IsZero() {
		s.and("r.developer_id = ?", f.Developer)
	} else {
		if !f.Key.IsZero() {
			s.and("r.key_id = ?", f.Key)
		}
		if f.Model != "" {
			s.and("r.model = ?", f.Model)
		}
	}
	for _, nodes := range f.subtrees() {
		s.and(`r.placement_id in (select placement_id from placement where tenant_id = ? and ancestor_ids && string_to_array(?, ',')::uuid[])`, tenant, nodeList(nodes))
	}
	if !f.From.IsZero() {
		s.and("r.day >= ?::date", f.From.UTC().Format(time.DateOnly))
	}
	for _, until := range []time.Time{f.To, f.BeforeAt} {
		if !until.IsZero() {
			s.and("r.day <= ?::date", until.UTC().Format(time.DateOnly))
		}
	}
	return s.text + " group by 1 order by 1 desc", s.args
}

// subtrees are the nodes a request must have a share below, each list on its own.
func (f *UsageFilter) subtrees() [][]id.Node {
	var lists [][]id.Node
	if !f.Node.IsZero() {
		lists = append(lists, []id.Node{f.Node})
	}
	if f.Within != nil {
		lists = append(lists, f.Within)
	}
	return lists
}

// firstDays takes the latest days that hold as many requests as are wanted.
func firstDays(days []day, want int64) (first, rest []day) {
	for i, d := range days {
		if want -= d.Requests; want <= 0 {
			return days[:i+1], days[i+1:]
		}
	}
	return days, nil
}

// span is a half-open range of instants.
type span struct{ from, to time.Time }

// ranges joins days, latest first, that follow one another.
func ranges(days []day) []span {
	var list []span
	for _, d := range days {
		from := d.Day.UTC()
		to := from.AddDate(0, 0, 1)
		if n := len(list); n > 0 && list[n-1].from.Equal(to) {
			list[n-1].from = from
			continue
		}
		list = append(list, span{from, to})
	}
	return list
}

func (t *Tx) usage(f UsageFilter, spans []span) ([]UsageRow, error) {
	query, args := usageQuery(t.Tenant, f, spans)
	var rows []UsageRow
	err := t.scan("list usage", &rows, query, args...)
	return rows, err
}

// clause is the order as SQL has it.
func (o Order) clause() string {
	switch o {
	case OrderOldest:
		return "occurred_at, event_id"
	case OrderDearest:
		return "charge_pico desc, occurred_at desc, event_id desc"
	case OrderNewest:
	}
	return "occurred_at desc, event_id desc"
}

// qualified is the order among rows u, where others stand beside them.
func (o Order) qualified() string {
	switch o {
	case OrderOldest:
		return "u.occurred_at, u.event_id"
	case OrderDearest:
		return "u.charge_pico desc, u.occurred_at desc, u.event_id desc"
	case OrderNewest:
	}
	return "u.occurred_at desc, u.event_id desc"
}

// usageQuery reads the rows first and names keys and developers of what is left of them.
func usageQuery(tenant id.Tenant, f UsageFilter, spans []span) (string, []any) {
	s := f.rows(tenant, usageColumnsRead, spans)
	s.text = `select u.*, k.label as key_label, with_shard(d.tenant_id, 'developer', d.developer_id, 'label', d.label_sealed) as label_sealed,
			coalesce(a.sequence, 0) as adjusted_sequence, coalesce(a.kind, '') as adjusted_kind, coalesce(a.state, '') as adjusted_state,
			a.placement_id as adjusted_placement_id, a.split::text as adjusted_split, coalesce(a.charge_pico, 0) as adjusted_charge_pico, a.recorded_at as adjusted_at,
			b.change_id as adjusted_change_id, coalesce(c.number, 0) as adjusted_number
		from (` + s.text + `) u
		join virtual_key k on k.tenant_id = ? and k.key_id = u.key_id
		left join developer d on d.tenant_id = ? and d.developer_id = u.developer_id
		left join lateral (select * from adjustment b where b.tenant_id = ? and b.occurred_at = u.occurred_at and b.event_id = u.event_id order by b.sequence desc limit 1) a on true
		left join adjustment_batch b on b.tenant_id = a.tenant_id and b.batch_id = a.batch_id
		left join change c on c.tenant_id = b.tenant_id and c.change_id = b.change_id order by ` + f.Order.qualified()
	s.args = append(s.args, tenant, tenant, tenant)
	return s.text, s.args
}

// rows reads some columns of what a filter asks for; columns name what the order needs.
func (f *UsageFilter) rows(tenant id.Tenant, columns string, spans []span) *statement {
	s := &statement{text: `select ` + columns + ` from usage_event u where u.tenant_id = ?`, args: []any{tenant}}
	f.narrow(tenant, s)
	if len(spans) > 0 {
		s.and("u.occurred_at >= span.starts and u.occurred_at < span.ends")
	}
	s.add(` order by `+f.Order.clause()+` limit ?`, f.Limit)
	if len(spans) == 0 {
		return s
	}
	var from, to []string
	for _, r := range spans {
		from, to = append(from, r.from.Format(time.RFC3339)), append(to, r.to.Format(time.RFC3339))
	}
	s.text = `select u.* from unnest(string_to_array(?, ',')::timestamptz[], string_to_array(?, ',')::timestamptz[]) as span(starts, ends)
		cross join lateral (` + s.text + `) u order by ` + f.Order.clause() + ` limit ?`
	s.args = append(append([]any{strings.Join(from, ","), strings.Join(to, ",")}, s.args...), f.Limit)
	return s
}

// statement is a query that grows by conditions.
type statement struct {
	text string
	args []any
}

func (s *statement) add(text string, args ...any) {
	s.text += text
	s.args = append(s.args, args...)
}

func (s *statement) and(condition string, args ...any) { s.add(" and "+condition, args...) }

// narrow adds a filter's conditions on usage_event u.
func (f *UsageFilter) narrow(tenant id.Tenant, s *statement) {
	if !f.From.IsZero() {
		s.and("u.occurred_at >= ?", f.From)
	}
	if !f.To.IsZero() {
		s.and("u.occurred_at < ?", f.To)
	}
	if !f.Key.IsZero() {
		s.and("u.key_id = ?", f.Key)
	}
	if !f.Developer.IsZero() {
		s.and("u.developer_id = ?", f.Developer)
	}
	if f.Session != "" {
		s.and("u.session_id = ?", f.Session)
	}
	if f.Sessions {
		s.and("u.session_id is not null")
	}
	if f.RequestID != "" {
		s.and("u.request_id = ?", f.RequestID)
	}
	if !f.Event.IsZero() {
		s.and("u.occurred_at = ? and u.event_id = ?::uuid", f.Event.Time(), f.Event) // an id's millisecond is when it occurred
	}
	if f.Model != "" {
		s.and("coalesce(u.model_served, u.model_requested) = ?", f.Model)
	}
	switch {
	case f.unfinished():
		s.and("u.state in ?", f.States)
		s.and("u.state <> 'complete'") // said in so many words: a partial index waits for it
		s.and("not " + settled)
	case len(f.States) > 0:
		s.and("(u.state in ? or "+settled+")", f.States)
	}
	if f.Undeclared {
		s.and("u.developer_id is null")
	}
	f.narrowRarely(tenant, s)
	switch {
	case f.BeforeID.IsZero():
	case f.Order == OrderDearest:
		s.and("(u.charge_pico, u.occurred_at, u.event_id) < (?, ?, ?::uuid)", f.BeforePico, f.BeforeAt, f.BeforeID)
	case f.Order == OrderOldest:
		s.and("(u.occurred_at, u.event_id) > (?, ?::uuid)", f.BeforeAt, f.BeforeID)
	default:
		s.and("(u.occurred_at, u.event_id) < (?, ?::uuid)", f.BeforeAt, f.BeforeID)
	}
}

// settled says whether an adjustment made the price of a request final.
const settled = `exists (select from adjustment a where a.tenant_id = u.tenant_id and a.occurred_at = u.occurred_at and a.event_id = u.event_id and a.kind in ('price', 'true_up') and a.state = 'complete')`

// narrowRarely adds the conditions that no index of usage_event answers alone.
func (f *UsageFilter) narrowRarely(tenant id.Tenant, s *statement) {
	if f.TagKey != "" && f.TagValue != "" {
		s.and("u.tags ->> ? = ?", f.TagKey, f.TagValue)
	} else if f.TagKey != "" {
		s.and("u.tags ->> ? is not null", f.TagKey)
	}
	if f.Rule != "" {
		s.and("(u.attribution_rule = ? or u.attribution_rule = ?)", f.Rule, f.Rule+":node_absent")
	}
	if f.MinPico != nil {
		s.and("u.charge_pico >= ?", *f.MinPico)
	}
	if f.MaxPico != nil {
		s.and("u.charge_pico <= ?", *f.MaxPico)
	}
	if f.Order == OrderDearest {
		s.and("u.charge_pico > 0")
	}
	for _, nodes := range f.subtrees() {
		s.below(tenant, nodes)
	}
}

// placedBelow keeps requests with any share at or below one of the nodes: where an
// adjustment says that they lie, or else where they were recorded. What is asked of an
// adjusted request stands in one place, so that all others cost one look at an index.
const placedBelow = `case when exists (select from adjustment a where a.tenant_id = u.tenant_id and a.occurred_at = u.occurred_at and a.event_id = u.event_id)
	then exists (select from (select * from adjustment b where b.tenant_id = u.tenant_id and b.occurred_at = u.occurred_at and b.event_id = u.event_id order by b.sequence desc limit 1) a
		left join lateral jsonb_array_elements(a.split) as s(part) on true
		join placement p on p.tenant_id = ? and p.placement_id = coalesce(a.placement_id, right(s.part->>'placement', 32)::uuid) and p.ancestor_ids && string_to_array(?, ',')::uuid[])
	else (u.placement_id in (select placement_id from placement where tenant_id = ? and ancestor_ids && string_to_array(?, ',')::uuid[])
	or (u.split is not null and exists (select from jsonb_array_elements(u.split) part join placement p
		on p.tenant_id = ? and p.placement_id = right(part->>'placement', 32)::uuid and p.ancestor_ids && string_to_array(?, ',')::uuid[]))) end`

// below adds that a request lies below one of the nodes.
func (s *statement) below(tenant id.Tenant, nodes []id.Node) {
	list := nodeList(nodes)
	s.and(placedBelow, tenant, list, tenant, list, tenant, list)
}

// nodeList is nodes as string_to_array reads them: a slice would become a row of
// parameters, which no array can be made of. Nothing is below nobody.
func nodeList(nodes []id.Node) string {
	list := make([]string, 0, len(nodes))
	for _, n := range nodes {
		list = append(list, n.UUID())
	}
	return strings.Join(list, ",")
}

// UsageStory is what the page of one request tells beyond a list's row.
type UsageStory struct {
	StopReason        *string
	Speed             *string
	Geography         *string
	Tier              *string
	DeclaredProject   *string
	RawUsage          []byte
	UpstreamStartedAt *time.Time
	FirstByteAt       *time.Time
	EndedAt           *time.Time
	RecordID          id.Record // of the batch
	Sequence          *int64    // the record's place in the log
}

// UsageStory reads the rest of one request; the caller has found it with Usage.
func (t *Tx) UsageStory(event id.Event) (UsageStory, error) {
	var rows []UsageStory
	err := t.scan("read request", &rows, `select u.stop_reason, u.speed, u.geography, u.tier, u.declared_project, u.raw_usage, u.upstream_started_at, u.first_byte_at, u.ended_at,
			b.record_id, l.sequence
		from usage_event u join usage_batch b on b.tenant_id = u.tenant_id and b.batch_id = u.batch_id
		left join audit_leaf l on l.tenant_id = b.tenant_id and l.record_id = b.record_id
		where u.tenant_id = ? and u.occurred_at = ? and u.event_id = ?::uuid`, t.Tenant, event.Time(), event)
	if err != nil || len(rows) == 0 {
		return UsageStory{}, err
	}
	return rows[0], nil
}

package db

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tollbook/app/attribution"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/usage"
)

// AdjustmentKind is why a request lies elsewhere, or costs something else, than recorded.
type AdjustmentKind string

// The kinds of adjustments.
const (
	AdjustRetag AdjustmentKind = "retag" // somebody chose where it is charged
	AdjustMove  AdjustmentKind = "move"  // the hierarchy was another one at its time
	AdjustPrice AdjustmentKind = "price" // its price was provisional, and is known now
	// AdjustTrueUp is of a stream that broke off: the provider counted what was not seen.
	AdjustTrueUp AdjustmentKind = "true_up"
)

// LockAdjustments makes the transaction the only one that posts adjustments for the tenant,
// until it ends: each says what a request was before.
func (t *Tx) LockAdjustments() error {
	return t.exec("lock adjustments", `select pg_advisory_xact_lock(hashtextextended('adjustments:' || $1, 0))`, t.Tenant.UUID())
}

// LyingRow is a request as it lies now, with all adjustments that were posted.
type LyingRow struct {
	EventID                id.Event
	OccurredAt             time.Time
	PostingPeriod          time.Time
	KeyID                  id.Key
	DeveloperID            id.Developer
	Model                  string
	State                  string
	PlacementID            id.Placement
	Split                  *string
	InputTokens            int64
	OutputTokens           int64
	CacheWrite5mTokens     int64 `gorm:"column:cache_write_5m_tokens"`
	CacheWrite1hTokens     int64 `gorm:"column:cache_write_1h_tokens"`
	CacheReadTokens        int64
	InputChargePico        int64
	OutputChargePico       int64
	CacheWrite5mChargePico int64 `gorm:"column:cache_write_5m_charge_pico"`
	CacheWrite1hChargePico int64 `gorm:"column:cache_write_1h_charge_pico"`
	CacheReadChargePico    int64
	ChargePico             int64
	Sequence               int   // of its latest adjustment; 0: none
	Moves                  int64 // how many of its adjustments moved it
}

// Lying says where it is charged, and what of it there is to charge.
func (r *LyingRow) Lying() (attribution.Lying, error) {
	l := attribution.Lying{
		Measured: attribution.Measured{
			Tokens: usage.Tokens{r.InputTokens, r.OutputTokens, r.CacheWrite5mTokens, r.CacheWrite1hTokens, r.CacheReadTokens},
			Classes: [usage.ClassCount]money.Pico{
				money.Pico(r.InputChargePico), money.Pico(r.OutputChargePico), money.Pico(r.CacheWrite5mChargePico), money.Pico(r.CacheWrite1hChargePico), money.Pico(r.CacheReadChargePico),
			},
			Charge: money.Pico(r.ChargePico), State: usage.State(r.State),
		},
		Shares: []usage.Share{{Placement: r.PlacementID, PPM: usage.Whole}},
	}
	if r.Split == nil {
		return l, nil
	}
	var parts []Part
	if err := json.Unmarshal([]byte(*r.Split), &parts); err != nil {
		return l, fmt.Errorf("read split of %s: %w", r.EventID, err)
	}
	l.Shares = l.Shares[:0]
	for _, p := range parts {
		l.Shares = append(l.Shares, usage.Share{Placement: p.Placement, PPM: p.PPM})
	}
	return l, nil
}

// lyingColumns reads a request u and, beside it, its latest adjustment a.
const lyingColumns = `u.event_id, u.occurred_at, u.posting_period, u.key_id, u.developer_id, coalesce(u.model_served, u.model_requested) as model, coalesce(a.state, u.state) as state,
	case when a.sequence is null then u.placement_id else a.placement_id end as placement_id, (case when a.sequence is null then u.split else a.split end)::text as split,
	u.input_tokens, u.output_tokens, u.cache_write_5m_tokens, u.cache_write_1h_tokens, u.cache_read_tokens,
	coalesce(a.input_charge_pico, u.input_charge_pico) as input_charge_pico, coalesce(a.output_charge_pico, u.output_charge_pico) as output_charge_pico,
	coalesce(a.cache_write_5m_charge_pico, u.cache_write_5m_charge_pico) as cache_write_5m_charge_pico,
	coalesce(a.cache_write_1h_charge_pico, u.cache_write_1h_charge_pico) as cache_write_1h_charge_pico,
	coalesce(a.cache_read_charge_pico, u.cache_read_charge_pico) as cache_read_charge_pico, coalesce(a.charge_pico, u.charge_pico) as charge_pico,
	coalesce(a.sequence, 0) as sequence,
	(select count(*) from adjustment m where m.tenant_id = u.tenant_id and m.occurred_at = u.occurred_at and m.event_id = u.event_id and m.kind not in ('price', 'true_up')) as moves`

// latestAdjustment reads a request's latest adjustment beside it.
const latestAdjustment = `left join lateral (select * from adjustment b where b.tenant_id = u.tenant_id and b.occurred_at = u.occurred_at and b.event_id = u.event_id
	order by b.sequence desc limit 1) a on true`

// LyingUsage reads requests by their ids, as they lie now; what is not there is left out.
func (t *Tx) LyingUsage(events []id.Event) ([]LyingRow, error) {
	if len(events) == 0 {
		return nil, nil
	}
	ids, at := make([]string, len(events)), make([]string, len(events))
	for i, e := range events {
		ids[i], at[i] = e.UUID(), e.Time().Format(time.RFC3339Nano)
	}
	var rows []LyingRow
	err := t.scan("read requests as they lie", &rows, `select `+lyingColumns+` from (select a::timestamptz as occurred_at, e::uuid as event_id
			from unnest(string_to_array(?, ','), string_to_array(?, ',')) as n(a, e)) n
		join usage_event u on u.tenant_id = ? and u.occurred_at = n.occurred_at and u.event_id = n.event_id `+latestAdjustment+` order by u.occurred_at, u.event_id`,
		strings.Join(at, ","), strings.Join(ids, ","), t.Tenant)
	return rows, err
}

// LyingIn lists requests that began in a span and lie, in part or whole, at one of some
// placements, oldest first and behind one of them: at most so many.
func (t *Tx) LyingIn(from, to time.Time, at []id.Placement, after id.Event, limit int) ([]LyingRow, error) {
	list := strings.Join(uuids(at), ",")
	s := &statement{text: `select ` + lyingColumns + ` from usage_event u ` + latestAdjustment + ` where u.tenant_id = ?`, args: []any{t.Tenant}}
	s.and("u.occurred_at >= ? and u.occurred_at < ?", from, to)
	if !after.IsZero() {
		s.and("(u.occurred_at, u.event_id) > (?, ?::uuid)", after.Time(), after)
	}
	s.and(`(case when a.sequence is null then u.placement_id else a.placement_id end = any(string_to_array(?, ',')::uuid[])
		or exists (select from jsonb_array_elements(case when a.sequence is null then u.split else a.split end) part where right(part->>'placement', 32)::uuid = any(string_to_array(?, ',')::uuid[])))`, list, list)
	s.add(" order by u.occurred_at, u.event_id limit ?", limit)
	var rows []LyingRow
	err := t.scan("read requests as they lie", &rows, s.text, s.args...)
	return rows, err
}

// UnpricedRow is a request whose price is provisional as it lies now, with what pricing it
// again needs.
type UnpricedRow struct {
	LyingRow

	ModelServed *string
	Speed       *string
	Geography   *string
	Tier        *string
	Lines       *string
	Flags       *string // separated by the unit separator, 0x1f
}

// Unpriced lists requests whose price is provisional, in months that are not locked, oldest
// first and behind one of them: at most so many.
func (t *Tx) Unpriced(after id.Event, limit int) ([]UnpricedRow, error) {
	s := &statement{text: `select ` + lyingColumns + `, u.model_served, u.speed, u.geography, u.tier, u.lines::text as lines, array_to_string(u.flags, E'\x1f') as flags
		from usage_event u ` + latestAdjustment + ` where u.tenant_id = ? and u.state = 'unpriced' and u.state <> 'complete' and coalesce(a.state, u.state) = 'unpriced'
		and not exists (select from period p where p.tenant_id = u.tenant_id and p.month = u.posting_period and shut(p.state))`, args: []any{t.Tenant}}
	if !after.IsZero() {
		s.and("(u.occurred_at, u.event_id) > (?, ?::uuid)", after.Time(), after)
	}
	s.add(" order by u.occurred_at, u.event_id limit ?", limit)
	var rows []UnpricedRow
	err := t.scan("list unpriced requests", &rows, s.text, s.args...)
	return rows, err
}

// EndAdjustments notes that a change has posted all it had to.
func (t *Tx) EndAdjustments(change id.Change) error {
	return t.exec("end adjustments", `insert into adjustment_end (tenant_id, change_id, recorded_at) values ($1, $2, $3) on conflict do nothing`, t.Tenant, change, t.Now)
}

// AdjustmentBatch is what one change posts into one month at once.
type AdjustmentBatch struct {
	ID        id.Batch
	Change    id.Change
	Kind      AdjustmentKind
	Posting   period.Month
	Count     int
	Delta     money.Sum
	Root      [32]byte
	Canonical []byte // compressed canonical bytes, one adjustment a line
	Record    id.Record
}

// Adjusted is one request that is posted anew.
type Adjusted struct {
	Was   *LyingRow
	Now   attribution.Lying
	Lines []attribution.Portion
	// TrueUp is what of a day's reconciliation it is charged for, beyond what was measured.
	TrueUp []TrueUp
}

// TrueUp is what of one reconciling item one request is charged for.
type TrueUp struct {
	Run         string `json:"run"` // the reconciliation, a UUID
	Place       int    `json:"place"`
	Quantity    int64  `json:"quantity"`
	List        int64  `json:"list_pico"`
	Amount      int64  `json:"amount_pico"`
	DiscountBps int64  `json:"discount_bps"` // contracted that day
}

// sequence is the adjustment's place among those of its request, from 1.
func (a *Adjusted) sequence() int64 { return int64(a.Was.Sequence) + 1 }

func (a *Adjusted) delta() int64 { return int64(a.Now.Charge) - a.Was.ChargePico }

// AddAdjustments stores a batch, whose audit record is in this transaction already, and its
// adjustments.
func (t *Tx) AddAdjustments(b *AdjustmentBatch, list []Adjusted) error {
	if err := t.exec("add adjustment batch", `insert into adjustment_batch (tenant_id, batch_id, change_id, kind, posting_period, adjustments, delta_pico, root, canonical, record_id, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7::numeric, $8, $9, $10, $11)`,
		t.Tenant, b.ID, b.Change, string(b.Kind), b.Posting.Start(), b.Count, b.Delta.Digits(), b.Root[:], b.Canonical, b.Record, t.Now); err != nil {
		return err
	}
	for len(list) > 0 {
		n := min(len(list), adjustChunk)
		if err := t.addAdjustments(b, list[:n]); err != nil {
			return err
		}
		if err := t.addLines(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// adjustChunk is how many requests one statement adjusts.
const adjustChunk = 1000

func (t *Tx) addAdjustments(b *AdjustmentBatch, list []Adjusted) error {
	var at []time.Time
	var events, keys, developers, models, states, placements, splits, gains []string
	var sequences, charges, deltas []int64
	var classes [usage.ClassCount][]int64
	for i := range list {
		a := &list[i]
		placement, split := "", ""
		if len(a.Now.Shares) == 1 {
			placement = a.Now.Shares[0].Placement.UUID()
		} else {
			encoded, err := json.Marshal(a.parts())
			if err != nil {
				return fmt.Errorf("encode adjustment: %w", err)
			}
			split = string(encoded)
		}
		at, events, sequences = append(at, a.Was.OccurredAt), append(events, a.Was.EventID.UUID()), append(sequences, a.sequence())
		developer := ""
		if !a.Was.DeveloperID.IsZero() {
			developer = a.Was.DeveloperID.UUID()
		}
		gained := ""
		if len(a.TrueUp) > 0 {
			encoded, err := json.Marshal(a.TrueUp)
			if err != nil {
				return fmt.Errorf("encode true-up: %w", err)
			}
			gained = string(encoded)
		}
		gains = append(gains, gained)
		keys, developers, models = append(keys, a.Was.KeyID.UUID()), append(developers, developer), append(models, a.Was.Model)
		states, placements, splits = append(states, string(a.Now.State)), append(placements, placement), append(splits, split)
		charges, deltas = append(charges, int64(a.Now.Charge)), append(deltas, a.delta())
		for class := range classes {
			classes[class] = append(classes[class], int64(a.Now.Classes[class]))
		}
	}
	return t.exec("add adjustments", `insert into adjustment (tenant_id, batch_id, kind, posting_period, recorded_at, occurred_at, event_id, sequence, day, key_id, developer_id, model, state,
			placement_id, split, charge_pico, delta_pico, input_charge_pico, output_charge_pico, cache_write_5m_charge_pico, cache_write_1h_charge_pico, cache_read_charge_pico, true_up)
		select $1, $2, $3, $4, $5, at, e::uuid, n, (at at time zone 'UTC')::date, k::uuid, nullif(d, '')::uuid, m, s, nullif(p, '')::uuid, nullif(x, '')::jsonb, c, f, c1, c2, c3, c4, c5, nullif(g, '')::jsonb
		from unnest($6::timestamptz[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bigint[], $16::bigint[],
			$17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::text[]) as u(at, e, n, k, d, m, s, p, x, c, f, c1, c2, c3, c4, c5, g)`,
		t.Tenant, b.ID, string(b.Kind), b.Posting.Start(), t.Now, at, events, sequences, keys, developers, models, states, placements, splits, charges, deltas,
		classes[0], classes[1], classes[2], classes[3], classes[4], gains)
}

// parts are what arrives, as a split row has it.
func (a *Adjusted) parts() []Part {
	var parts []Part
	for _, line := range a.Lines[len(a.Lines)-len(a.Now.Shares):] {
		parts = append(parts, Part{Placement: line.Placement, PPM: line.PPM, Amount: line.Charge})
	}
	return parts
}

func (t *Tx) addLines(list []Adjusted) error {
	var at []time.Time
	var events, placements []string
	var sequences, places []int64
	var counts [3 + 2*int(usage.ClassCount) + 2][]int64
	for i := range list {
		a := &list[i]
		for place := range a.Lines {
			l := &a.Lines[place]
			at, events = append(at, a.Was.OccurredAt), append(events, a.Was.EventID.UUID())
			sequences, places, placements = append(sequences, a.sequence()), append(places, int64(place)+1), append(placements, l.Placement.UUID())
			row := [...]int64{
				l.Requests, l.Errors, l.Provisional, l.Tokens[0], l.Tokens[1], l.Tokens[2], l.Tokens[3], l.Tokens[4],
				int64(l.Classes[0]), int64(l.Classes[1]), int64(l.Classes[2]), int64(l.Classes[3]), int64(l.Classes[4]), int64(l.Other), int64(l.Charge),
			}
			for c := range counts {
				counts[c] = append(counts[c], row[c])
			}
		}
	}
	args := []any{t.Tenant, at, events, sequences, places, placements}
	for _, c := range counts {
		args = append(args, c)
	}
	return t.exec("add adjustment lines", `insert into adjustment_line (tenant_id, occurred_at, event_id, sequence, place, placement_id, requests, errors, provisional,
			input_tokens, output_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens,
			input_pico, output_pico, cache_write_5m_pico, cache_write_1h_pico, cache_read_pico, other_pico, charge_pico)
		select $1, at, e::uuid, s, n, p::uuid, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15
		from unnest($2::timestamptz[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
			$14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[])
			as u(at, e, s, n, p, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15)`, args...)
}

// RollAdjusted adds what adjustments of one posting period move to the rollups: at once and
// in the order in which a flush does, so that neither waits for the other in a circle.
func (t *Tx) RollAdjusted(list []Adjusted, posting period.Month) error {
	placements, developers, classes := map[placementDay]*tally{}, map[developerDay]*tally{}, map[classDay]*classTally{}
	for i := range list {
		was := list[i].Was
		day := was.OccurredAt.UTC().Format(time.DateOnly)
		for j := range list[i].Lines {
			line := &list[i].Lines[j]
			one := tally{requests: line.Requests, errors: line.Errors, provisional: line.Provisional, tokens: line.Tokens}
			one.amount.Add(line.Charge)
			add(placements, placementDay{day, line.Placement, was.KeyID, was.Model}, &one)
			if !was.DeveloperID.IsZero() {
				add(developers, developerDay{day, line.Placement, was.DeveloperID}, &one)
			}
			addClasses(classes, classDay{day: day, placement: line.Placement, model: was.Model}, line)
		}
	}
	if err := t.rollPlacements(placements, posting); err != nil {
		return err
	}
	if err := t.rollClassSums(classes, posting); err != nil {
		return err
	}
	return t.rollDevelopers(developers, posting)
}

// AdjustmentRow is one adjustment of a request, with the change that posted it.
type AdjustmentRow struct {
	EventID    id.Event
	Sequence   int
	Kind       string
	ChangeID   id.Change
	Number     int64 // of the change
	BatchID    id.Batch
	DeltaPico  int64
	ChargePico int64
	RecordedAt time.Time
	Reason     string // of the change
}

// Adjustments lists a request's adjustments, the first one first.
func (t *Tx) Adjustments(event id.Event) ([]AdjustmentRow, error) {
	var rows []AdjustmentRow
	err := t.scan("list adjustments", &rows, `select a.event_id, a.sequence, a.kind, b.change_id, c.number, a.batch_id, a.delta_pico, a.charge_pico, a.recorded_at, c.reason
		from adjustment a join adjustment_batch b on b.tenant_id = a.tenant_id and b.batch_id = a.batch_id
		join change c on c.tenant_id = b.tenant_id and c.change_id = b.change_id
		where a.tenant_id = ? and a.occurred_at = ? and a.event_id = ?::uuid order by a.sequence limit ?`, t.Tenant, event.Time(), event, maxAdjustments)
	return rows, err
}

// maxAdjustments bounds what is shown of one request.
const maxAdjustments = 500

// AdjustmentSum is what one change has posted.
type AdjustmentSum struct {
	Adjustments int64
	DeltaPico   string
	LastAt      *time.Time // when the last was posted; nil: none
	EndedAt     *time.Time // when a job had posted all of them; nil: not yet, or none has to
}

// AdjustmentsOf sums what a change has posted.
func (t *Tx) AdjustmentsOf(change id.Change) (AdjustmentSum, error) {
	var s AdjustmentSum
	_, err := t.row("sum adjustments", []any{&s.Adjustments, &s.DeltaPico, &s.LastAt, &s.EndedAt}, `select coalesce(sum(adjustments), 0)::bigint, coalesce(sum(delta_pico), 0)::text, max(recorded_at),
			(select recorded_at from adjustment_end where tenant_id = $1 and change_id = $2)
		from adjustment_batch where tenant_id = $1 and change_id = $2`, t.Tenant, change)
	return s, err
}

// AdjustmentBytes reads a batch's canonical bytes, compressed; found is false when there is none.
func (t *Tx) AdjustmentBytes(batch id.Batch) ([]byte, bool, error) {
	var canonical []byte
	found, err := t.row("read adjustment batch", []any{&canonical}, `select canonical from adjustment_batch where tenant_id = $1 and batch_id = $2`, t.Tenant, batch)
	return canonical, found, err
}

// AddRequestSelection keeps requests that a change names by their digest.
func (t *Tx) AddRequestSelection(document []byte) error {
	digest := sha256.Sum256(document)
	return t.exec("add request selection", `insert into request_selection (tenant_id, digest, document, recorded_at) values ($1, $2, $3, $4) on conflict do nothing`,
		t.Tenant, digest[:], document, t.Now)
}

// RequestSelection reads one; nothing where there is none.
func (t *Tx) RequestSelection(digest [32]byte) ([]byte, error) {
	var document []byte
	_, err := t.row("read request selection", []any{&document}, `select document from request_selection where tenant_id = $1 and digest = $2`, t.Tenant, digest[:])
	return document, err
}

// AdjustedLine is one line of an adjustment, with what its adjustment says beside it.
type AdjustedLine struct {
	EventID            id.Event
	Sequence           int
	State              string
	PlacementID        id.Placement
	InputTokens        int64
	OutputTokens       int64
	CacheWrite5mTokens int64 `gorm:"column:cache_write_5m_tokens"`
	CacheWrite1hTokens int64 `gorm:"column:cache_write_1h_tokens"`
	CacheReadTokens    int64
	InputPico          int64
	OutputPico         int64
	CacheWrite5mPico   int64 `gorm:"column:cache_write_5m_pico"`
	CacheWrite1hPico   int64 `gorm:"column:cache_write_1h_pico"`
	CacheReadPico      int64
	OtherPico          int64
	ChargePico         int64
	AsBatch            bool // it and its batch are of one kind and month
}

// AdjustedLines reads all lines of a batch's adjustments, those of one adjustment in their
// order.
func (t *Tx) AdjustedLines(batch id.Batch) ([]AdjustedLine, error) {
	var rows []AdjustedLine
	err := t.scan("read adjustment lines", &rows, `select a.event_id, a.sequence, a.state, l.placement_id, l.input_tokens, l.output_tokens, l.cache_write_5m_tokens, l.cache_write_1h_tokens,
			l.cache_read_tokens, l.input_pico, l.output_pico, l.cache_write_5m_pico, l.cache_write_1h_pico, l.cache_read_pico, l.other_pico, l.charge_pico,
			a.kind = b.kind and a.posting_period = b.posting_period as as_batch
		from adjustment_batch b join adjustment a on a.tenant_id = b.tenant_id and a.batch_id = b.batch_id
		join adjustment_line l on l.tenant_id = a.tenant_id and l.occurred_at = a.occurred_at and l.event_id = a.event_id and l.sequence = a.sequence
		where b.tenant_id = ? and b.batch_id = ? order by a.event_id, a.sequence, l.place`, t.Tenant, batch)
	return rows, err
}

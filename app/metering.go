package app

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/pricing"
	"tollbook/app/usage"
	"tollbook/db"
)

// Metering is the area that turns measured requests into the ledger.
type Metering struct {
	db     *db.DB
	zip    *zstd.Encoder
	books  sync.Map       // id.Tenant -> *tenantBooks
	months sync.Map       // period.Month -> true: its partition is there
	seen   seenDevelopers // developers that the database has
	owed   owed
	// unpriced counts new rows whose price is provisional.
	unpriced atomic.Int64
}

// tenantBooks are the price books that a tenant's flushes need, parsed; they are
// replaced whole, never changed.
type tenantBooks struct {
	version  int
	inForce  *pricing.Book
	changes  []id.Change // that wait for a decision
	proposed []*pricing.Book
}

// NewMetering makes the area.
func NewMetering(d *db.DB) (*Metering, error) {
	// Batches are kept for years and read seldom, but a gateway compresses one several
	// times a second: the fastest level is a few percent larger.
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	return &Metering{db: d, zip: zip}, nil
}

// Flush writes one tenant's measured requests into the ledger in one commit: rows,
// its rollups, and a batch whose Merkle root is in the audit log. It returns how
// many were new: flushing an event again changes nothing.
func (m *Metering) Flush(ctx context.Context, tenant id.Tenant, events []usage.Event) (int, error) {
	f := flush{m: m, events: tidy(events), later: m.owed.taking.Load() > 0}
	err := m.db.InTenant(ctx, tenant, f.write)
	if errors.Is(err, db.ErrTaken) { // some were flushed before: the commit was not heard of, or a journal was adopted
		f = flush{m: m, events: f.events, later: f.later, again: true}
		err = m.db.InTenant(ctx, tenant, f.write)
	}
	if err != nil {
		// Whatever it was, what is believed to be there is made sure of again.
		m.months.Clear()
		m.seen.forget()
		return f.added, err
	}
	for _, month := range f.months {
		m.months.Store(month, true)
	}
	m.seen.remember(f.developers)
	if f.added > 0 && f.later {
		m.owed.add(tenant)
		if m.owed.taking.Load() == 0 { // who asked has ended meanwhile
			_ = m.place(ctx) // failing that, the clock finds it
		}
	}
	m.unpriced.Add(int64(f.unpriced))
	return f.added, nil
}

// flush is one flush and what it found, which is true once it is committed.
type flush struct {
	m          *Metering
	events     []usage.Event
	later      bool // the batches' places in the log are asked for by PlaceForever
	again      bool // some of the events are in the ledger already
	added      int
	unpriced   int
	months     []period.Month  // made sure of here
	developers []seenDeveloper // stored here, or there before
	books      *tenantBooks
}

func (f *flush) write(tx *db.Tx) error {
	var err error
	if f.books, err = f.m.standing(tx); err != nil {
		return err
	}
	byMonth, err := f.m.postings(tx, f.events, &f.months)
	if err != nil {
		return err
	}
	if err := f.addDevelopers(tx); err != nil {
		return err
	}
	for _, group := range byMonth {
		if err := f.month(tx, group.posting, group.events); err != nil {
			return err
		}
	}
	return dueAgain(tx, f.days())
}

// days are those of the events.
func (f *flush) days() []time.Time {
	var days []time.Time
	for i := range f.events {
		if day := f.events[i].OccurredAt().UTC().Truncate(oneDay); !slices.ContainsFunc(days, day.Equal) {
			days = append(days, day)
		}
	}
	return days
}

// Unpriced counts, since the start, rows whose price is provisional because the book
// has no rate in force or the meter does not know a field; rows that wait for the
// decision about a proposal are not among them.
func (m *Metering) Unpriced() int64 { return m.unpriced.Load() }

// standing reads the price book in force and those that wait for a decision, each
// parsed once.
func (m *Metering) standing(tx *db.Tx) (*tenantBooks, error) {
	version, changes, err := tx.PriceStanding()
	if err != nil {
		return nil, err
	}
	last := &tenantBooks{}
	if found, ok := m.books.Load(tx.Tenant); ok {
		if last, ok = found.(*tenantBooks); !ok {
			return nil, errors.New("read price books: something else is kept")
		}
	}
	if last.version == version && slices.Equal(last.changes, changes) {
		return last, nil
	}
	next := &tenantBooks{version: version, inForce: last.inForce, changes: changes}
	if last.version != version {
		document, err := tx.PriceDocument(version)
		if err != nil {
			return nil, err
		}
		if next.inForce, err = pricing.Parse(document); err != nil {
			return nil, fmt.Errorf("read price book %d: %w", version, err)
		}
	}
	for _, change := range changes {
		book, err := last.proposal(tx, change)
		if err != nil {
			return nil, err
		}
		next.proposed = append(next.proposed, book)
	}
	m.books.Store(tx.Tenant, next)
	return next, nil
}

// proposal finds one proposed book among those parsed before, or reads it.
func (b *tenantBooks) proposal(tx *db.Tx, change id.Change) (*pricing.Book, error) {
	if i := slices.Index(b.changes, change); i >= 0 {
		return b.proposed[i], nil
	}
	proposal, err := tx.PriceProposal(change)
	if err != nil {
		return nil, err
	}
	book, err := pricing.Parse(proposal.Document)
	if err != nil {
		return nil, fmt.Errorf("read proposed price book %s: %w", change, err)
	}
	return book, nil
}

type posting struct {
	posting period.Month
	events  []usage.Event
}

// postings groups events by the month they post to: their own, or the next open one
// when theirs is locked. Each month is held until commit.
func (m *Metering) postings(tx *db.Tx, events []usage.Event, made *[]period.Month) ([]posting, error) {
	own := map[period.Month][]usage.Event{}
	for _, e := range events {
		month := period.MonthOf(e.OccurredAt())
		own[month] = append(own[month], e)
	}
	months := make([]period.Month, 0, len(own))
	for month := range own {
		months = append(months, month)
	}
	slices.SortFunc(months, func(a, b period.Month) int { return a.Start().Compare(b.Start()) })
	var groups []posting
	for _, month := range months {
		if _, there := m.months.Load(month); !there {
			if err := tx.EnsureUsageMonth(month); err != nil {
				return nil, err
			}
			*made = append(*made, month)
		}
		var failed error
		target, err := period.Posting(month, func(candidate period.Month) period.State {
			state, err := tx.PostingState(candidate)
			if err != nil {
				failed = err
			}
			return state
		})
		if failed != nil {
			return nil, failed
		}
		if err != nil {
			return nil, err
		}
		groups = append(groups, posting{posting: target, events: own[month]})
	}
	return groups, nil
}

// addDevelopers stores those that the database is not known to have, and which of those it
// has are verified now.
func (f *flush) addDevelopers(tx *db.Tx) error {
	seen, proven := map[id.Developer]bool{}, map[id.Developer]bool{}
	for i := range f.events {
		if f.events[i].DeveloperVerified {
			proven[f.events[i].Developer] = true
		}
	}
	var ids []string
	var sealed [][]byte
	var verified []bool
	for i := range f.events {
		e := &f.events[i]
		if e.Developer.IsZero() || seen[e.Developer] {
			continue
		}
		seen[e.Developer] = true
		one := seenDeveloper{tx.Tenant, e.Developer, proven[e.Developer]}
		if f.m.seen.has(one) {
			continue
		}
		f.developers = append(f.developers, one)
		ids, sealed, verified = append(ids, e.Developer.UUID()), append(sealed, e.DeveloperLabel), append(verified, one.verified)
	}
	return tx.AddDevelopers(ids, sealed, verified)
}

// month writes the events that post to one month.
func (f *flush) month(tx *db.Tx, month period.Month, events []usage.Event) error {
	rated := make([]pricing.Rated, 0, len(events))
	for _, e := range events {
		one, err := rate(e, f.books.inForce, f.books.version)
		if err != nil {
			return err
		}
		if err := one.Contest(f.books.proposed); err != nil {
			return db.ErrRowRefused.Because(err)
		}
		rated = append(rated, one)
	}
	batch := db.Batch{ID: id.NewBatch(tx.Now), Posting: month, Record: id.NewRecord(tx.Now)}
	fresh, err := f.insert(tx, rated, batch.ID, month)
	if err != nil || len(fresh) == 0 {
		return err
	}
	for i := range fresh {
		if len(fresh[i].Charge.Provisional) > 0 {
			f.unpriced++
		}
	}
	f.added += len(fresh)
	if err := tx.Roll(fresh, month); err != nil {
		return err
	}
	return f.seal(tx, &batch, fresh)
}

// insert adds the rows and returns those that were new.
func (f *flush) insert(tx *db.Tx, rated []pricing.Rated, batch id.Batch, month period.Month) ([]pricing.Rated, error) {
	if !f.again {
		return rated, tx.AddNewUsage(rated, batch, month)
	}
	added, err := tx.AddUsage(rated, batch, month)
	if err != nil {
		return nil, err
	}
	fresh := rated[:0:0]
	for _, r := range rated {
		if added[r.Event.ID] {
			fresh = append(fresh, r)
			delete(added, r.Event.ID) // the same event twice in one flush is one row
		}
	}
	return fresh, nil
}

// maxCount bounds every count of one request: prompts have a few million tokens. What
// is above, or below zero, is garbage that would overflow a charge or a rollup.
const maxCount = 1_000_000_000

func impossible(c *usage.Counts) bool {
	worst := c.WebSearches < 0 || c.WebSearches > maxCount
	check := func(tokens usage.Tokens) {
		for _, n := range tokens {
			worst = worst || n < 0 || n > maxCount
		}
	}
	check(c.Tokens)
	for i := range c.Iterations {
		check(c.Iterations[i].Tokens)
	}
	return worst
}

// rate prices an event; counts that no price can hold are garbage, and are recorded
// as such rather than lost. It refuses shares that are not a whole: attribution made
// none like that, so somebody has to look.
func rate(e usage.Event, book *pricing.Book, version int) (pricing.Rated, error) {
	var whole int64
	for _, s := range e.Shares {
		if s.PPM < 0 || s.PPM > usage.Whole {
			return pricing.Rated{}, db.ErrRowRefused.Because(fmt.Errorf("event %s has a share of %d ppm", e.ID, s.PPM))
		}
		whole += s.PPM
	}
	if whole != usage.Whole {
		return pricing.Rated{}, db.ErrRowRefused.Because(fmt.Errorf("the shares of event %s sum to %d ppm", e.ID, whole))
	}
	if !impossible(&e.Counts) {
		if rated, err := pricing.Rate(e, book, version); err == nil {
			return rated, nil
		}
	}
	if e.State == usage.StateComplete {
		e.State = usage.StateIncomplete
	}
	e.Flags = append(slices.Clone(e.Flags), "counts_impossible")
	e.Counts.Tokens, e.Counts.WebSearches, e.Counts.Iterations = usage.Tokens{}, 0, nil
	rated, err := pricing.Rate(e, book, version)
	if err != nil {
		return pricing.Rated{}, db.ErrRowRefused.Because(err)
	}
	return rated, nil
}

// canonicalRoom is more than most events' canonical bytes take.
const canonicalRoom = 1200

// seal makes the batch's canonical bytes and root and puts them into the log.
func (f *flush) seal(tx *db.Tx, batch *db.Batch, rated []pricing.Rated) error {
	slices.SortFunc(rated, func(a, b pricing.Rated) int {
		x, y := a.Event.ID.Bytes(), b.Event.ID.Bytes()
		return bytes.Compare(x[:], y[:])
	})
	leaves := make([]auditlog.Hash, 0, len(rated))
	lines := make([]byte, 0, len(rated)*canonicalRoom)
	for i := range rated {
		start := len(lines)
		lines = rated[i].AppendCanonical(lines)
		leaves = append(leaves, auditlog.Leaf(lines[start:]))
		lines = append(lines, '\n')
		batch.Amount.Add(rated[i].Charge.Net)
	}
	batch.Requests, batch.Root, batch.Canonical = len(rated), auditlog.Root(leaves), f.m.zip.EncodeAll(lines, nil)
	first, last := rated[0].Event.ID, rated[len(rated)-1].Event.ID
	store := tx.AppendAudit
	if f.later {
		store = tx.StoreAudit
	}
	if err := store(auditlog.Record{
		ID: batch.Record, Action: "usage.batch", Actor: "system", Subject: batch.ID.String(),
		Detail: map[string]any{
			"amount_pico": batch.Amount.Digits(), "first": first.String(), "last": last.String(), "period": batch.Posting.String(),
			"requests": batch.Requests, "root": hex.EncodeToString(batch.Root[:]),
		},
	}); err != nil {
		return err
	}
	return tx.AddBatch(*batch)
}

// ReplicaState is how far one gateway's journal has reached the ledger.
type ReplicaState = db.ReplicaState

// Publish stores how far a gateway's journal has reached the ledger.
func (m *Metering) Publish(ctx context.Context, state ReplicaState) error {
	return m.db.PublishReplica(ctx, state)
}

// Replicas lists the gateways that have not ended.
func (m *Metering) Replicas(ctx context.Context) ([]ReplicaState, error) { return m.db.Replicas(ctx) }

// Refused tells whether an error says that trying the same events again is no use.
func Refused(err error) bool { return errors.Is(err, db.ErrRowRefused) }

// FlushLimit bounds one flush: more events go into the next.
const FlushLimit = 5000

package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

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
	books  sync.Map // bookKey -> *pricing.Book
	months sync.Map // period.Month -> true: its partition is there
	// unpriced counts new rows whose price is provisional.
	unpriced atomic.Int64
}

type bookKey struct {
	tenant  id.Tenant
	version int
	change  id.Change // of a book that is proposed; version is 0 then
}

// NewMetering makes the area.
func NewMetering(d *db.DB) (*Metering, error) {
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	return &Metering{db: d, zip: zip}, nil
}

// Flush writes one tenant's measured requests into the ledger in one commit: rows,
// its rollups, and a batch whose Merkle root is in the audit log. It returns how
// many were new: flushing an event again changes nothing.
func (m *Metering) Flush(ctx context.Context, tenant id.Tenant, events []usage.Event) (int, error) {
	added, unpriced := 0, 0
	events = tidy(events)
	var months []period.Month // made sure of here; known to be there once this is committed
	err := m.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		added, unpriced, months = 0, 0, nil
		book, version, err := m.book(tx)
		if err != nil {
			return err
		}
		proposed, err := m.proposed(tx)
		if err != nil {
			return err
		}
		byMonth, err := m.postings(tx, events, &months)
		if err != nil {
			return err
		}
		if err := addDevelopers(tx, events); err != nil {
			return err
		}
		for _, group := range byMonth {
			n, err := m.flushMonth(tx, group.posting, group.events, book, version, proposed, &unpriced)
			if err != nil {
				return err
			}
			added += n
		}
		return nil
	})
	if err != nil {
		m.months.Clear() // whatever it was, what is believed to be there is made sure of again
		return added, err
	}
	for _, month := range months {
		m.months.Store(month, true)
	}
	m.unpriced.Add(int64(unpriced))
	return added, nil
}

// Unpriced counts, since the start, rows whose price is provisional because the book
// has no rate in force or the meter does not know a field; rows that wait for the
// decision about a proposal are not among them.
func (m *Metering) Unpriced() int64 { return m.unpriced.Load() }

// book reads the price book in force, parsed once per version.
func (m *Metering) book(tx *db.Tx) (*pricing.Book, int, error) {
	version, err := tx.PriceVersion()
	if err != nil {
		return nil, 0, err
	}
	key := bookKey{tenant: tx.Tenant, version: version}
	if known, ok := m.books.Load(key); ok {
		if book, ok := known.(*pricing.Book); ok {
			return book, version, nil
		}
	}
	document, err := tx.PriceDocument(version)
	if err != nil {
		return nil, 0, err
	}
	book, err := pricing.Parse(document)
	if err != nil {
		return nil, 0, fmt.Errorf("read price book %d: %w", version, err)
	}
	m.books.Store(key, book)
	return book, version, nil
}

// proposed reads the price books that wait for a decision, parsed once each.
func (m *Metering) proposed(tx *db.Tx) ([]*pricing.Book, error) {
	changes, err := tx.OpenPriceProposals()
	if err != nil {
		return nil, err
	}
	var books []*pricing.Book
	for _, change := range changes {
		key := bookKey{tenant: tx.Tenant, change: change}
		if known, ok := m.books.Load(key); ok {
			if book, ok := known.(*pricing.Book); ok {
				books = append(books, book)
				continue
			}
		}
		proposal, err := tx.PriceProposal(change)
		if err != nil {
			return nil, err
		}
		book, err := pricing.Parse(proposal.Document)
		if err != nil {
			return nil, fmt.Errorf("read proposed price book %s: %w", change, err)
		}
		m.books.Store(key, book)
		books = append(books, book)
	}
	return books, nil
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

func addDevelopers(tx *db.Tx, events []usage.Event) error {
	seen := map[id.Developer]bool{}
	var ids []string
	var sealed [][]byte
	var verified []bool
	for i := range events {
		e := &events[i]
		if e.Developer.IsZero() || seen[e.Developer] {
			continue
		}
		seen[e.Developer] = true
		ids, sealed, verified = append(ids, e.Developer.UUID()), append(sealed, e.DeveloperLabel), append(verified, e.DeveloperVerified)
	}
	return tx.AddDevelopers(ids, sealed, verified)
}

func (m *Metering) flushMonth(tx *db.Tx, month period.Month, events []usage.Event, book *pricing.Book, version int, proposed []*pricing.Book, unpriced *int) (int, error) {
	rated := make([]pricing.Rated, 0, len(events))
	for _, e := range events {
		one, err := rate(e, book, version)
		if err != nil {
			return 0, err
		}
		if err := one.Contest(proposed); err != nil {
			return 0, db.ErrRowRefused.Because(err)
		}
		rated = append(rated, one)
	}
	batch := db.Batch{ID: id.NewBatch(tx.Now), Posting: month, Record: id.NewRecord(tx.Now)}
	added, err := tx.AddUsage(rated, batch.ID, month)
	if err != nil || len(added) == 0 {
		return 0, err
	}
	fresh := rated[:0:0]
	for _, r := range rated {
		if added[r.Event.ID] {
			fresh = append(fresh, r)
			if len(r.Charge.Provisional) > 0 {
				*unpriced++
			}
			delete(added, r.Event.ID) // the same event twice in one flush is one row
		}
	}
	if err := tx.Roll(fresh, month); err != nil {
		return 0, err
	}
	return len(fresh), m.seal(tx, &batch, fresh)
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
func (m *Metering) seal(tx *db.Tx, batch *db.Batch, rated []pricing.Rated) error {
	slices.SortFunc(rated, func(a, b pricing.Rated) int { return strings.Compare(a.Event.ID.UUID(), b.Event.ID.UUID()) })
	leaves := make([]auditlog.Hash, 0, len(rated))
	lines := make([]byte, 0, len(rated)*canonicalRoom)
	for i := range rated {
		start := len(lines)
		lines = rated[i].AppendCanonical(lines)
		leaves = append(leaves, auditlog.Leaf(lines[start:]))
		lines = append(lines, '\n')
		batch.Amount.Add(rated[i].Charge.Net)
	}
	batch.Requests, batch.Root, batch.Canonical = len(rated), auditlog.Root(leaves), m.zip.EncodeAll(lines, nil)
	first, last := rated[0].Event.ID, rated[len(rated)-1].Event.ID
	if err := tx.AppendAudit(auditlog.Record{
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

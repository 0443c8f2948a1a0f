package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/money"
	"tollbook/app/pricing"
	"tollbook/db"
)

// Prices is the area of price books: which are applied, which are proposed, and how
// the vendor's next list and a contract's discount become proposals.
type Prices struct {
	db      *db.DB
	access  *Access
	changes *Changes
	vendor  []byte // the list this binary ships
}

// NewPrices makes the area; vendor is the list this binary ships.
func NewPrices(d *db.DB, access *Access, changes *Changes, vendor []byte) *Prices {
	p := &Prices{db: d, access: access, changes: changes, vendor: vendor}
	changes.govern(changePrices, governed{checks: "finance", floor: approval.FloorSecond, lock: (*db.Tx).LockPrices, draft: p.draft, apply: p.apply, impact: p.impact})
	return p
}

// Where a proposed book comes from.
const (
	basisVendor   = "vendor"   // a newer list of the vendor's
	basisContract = "contract" // the tenant's discount
	basisFile     = "file"     // a document of the tenant's own
)

// pricePayload is what a change of prices says: digests stand for the documents.
type pricePayload struct {
	Basis       string `json:"basis"`
	Document    string `json:"document_sha256"`
	Vendor      string `json:"vendor_sha256"`
	BaseVersion int    `json:"base_version"`
	DiscountBps *int64 `json:"discount_bps,omitempty"` // of a contract
}

func firstPrices(book *pricing.Book) pricePayload {
	digest := book.Digest()
	text := hex.EncodeToString(digest[:])
	return pricePayload{Basis: basisVendor, Document: text, Vendor: text}
}

// priceAsk is what a maker sends: a document, or a discount on the applied one.
type priceAsk struct {
	Document    string `json:"document"`
	DiscountBps *int64 `json:"discount_bps"`
}

// applied is the price book in force, for making another of it.
type applied struct {
	version  int
	vendor   [32]byte
	document []byte
	book     *pricing.Book
}

// current reads the applied book and holds it until commit: nobody else proposes or
// applies prices meanwhile.
func current(tx *db.Tx) (applied, error) {
	if err := tx.LockPrices(); err != nil {
		return applied{}, err
	}
	return inForce(tx)
}

func inForce(tx *db.Tx) (applied, error) {
	rows, err := tx.PriceVersions(1)
	if err != nil {
		return applied{}, err
	}
	if len(rows) == 0 || len(rows[0].VendorDigest) != sha256.Size {
		return applied{}, db.ErrPricesAbsent
	}
	now := applied{version: rows[0].Version, vendor: [32]byte(rows[0].VendorDigest)}
	if now.document, err = tx.PriceDocument(now.version); err != nil {
		return applied{}, err
	}
	now.book, err = pricing.Parse(now.document)
	return now, err
}

var errAsk = fault.Invalid("payload", "prices_payload", `The payload of a change of prices is {"document":"the whole price book"} or {"discount_bps":1234}.`)

// draft makes a proposal of what a maker sent.
func (p *Prices) draft(tx *db.Tx, _ Actor, payload []byte, from time.Time) (draft, error) {
	var ask priceAsk
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&ask); err != nil || (ask.Document == "") == (ask.DiscountBps == nil) {
		return draft{}, errAsk
	}
	now, err := current(tx)
	if err != nil {
		return draft{}, err
	}
	if ask.DiscountBps != nil {
		document, err := pricing.WithDiscount(now.document, *ask.DiscountBps, from, "contract discount, proposed "+tx.Now.Format(time.DateOnly))
		if err != nil {
			return draft{}, err
		}
		return p.book(now, basisContract, now.vendor, document, from, ask.DiscountBps)
	}
	return p.book(now, basisFile, now.vendor, []byte(ask.Document), from, nil)
}

var errSamePrices = fault.Invalid("document", "prices_same", "No price would change: the applied price book says the same.")

// book makes the draft of a document on the applied one. A change without a date begins
// with its first difference.
func (p *Prices) book(now applied, basis string, vendor [32]byte, document []byte, from time.Time, bps *int64) (draft, error) {
	proposed, err := pricing.Parse(document)
	if err != nil {
		return draft{}, err
	}
	differences := pricing.Diff(now.book, proposed)
	if len(differences) == 0 && vendor == now.vendor {
		return draft{}, errSamePrices
	}
	if from.IsZero() {
		from = pricing.Begins(differences)
	}
	digest := proposed.Digest()
	return draft{
		effective: from,
		payload: pricePayload{
			Basis: basis, Document: hex.EncodeToString(digest[:]), Vendor: hex.EncodeToString(vendor[:]), BaseVersion: now.version, DiscountBps: bps,
		},
		store: func(tx *db.Tx, c approval.Change) error {
			return tx.AddPriceProposal(db.PriceProposalRow{ChangeID: c.ID, Basis: basis, BaseVersion: now.version, VendorDigest: vendor[:], Document: document})
		},
	}, nil
}

var (
	errPricesMoved = fault.New(fault.KindConflict, "prices_moved", "Another price book was applied since this one was proposed. Propose it again on that one.")
	errDocument    = fault.New(fault.KindConflict, "digest_changed", "The price book is not what was proposed; propose it again.")
)

// apply makes a proposed book the next version. What else was proposed on the old
// version is taken back: its document does not hold what was just decided.
func (p *Prices) apply(tx *db.Tx, c approval.Change) error {
	now, err := current(tx)
	if err != nil {
		return err
	}
	proposal, err := tx.PriceProposal(c.ID)
	if err != nil {
		return err
	}
	var payload pricePayload
	if err := json.Unmarshal(c.Payload, &payload); err != nil {
		return fmt.Errorf("read change of prices: %w", err)
	}
	digest := sha256.Sum256(proposal.Document)
	if hex.EncodeToString(digest[:]) != payload.Document || hex.EncodeToString(proposal.VendorDigest) != payload.Vendor {
		return errDocument
	}
	if payload.BaseVersion != now.version {
		return errPricesMoved
	}
	version, err := tx.AddPriceVersion(proposal.Document, [32]byte(proposal.VendorDigest), c.ID)
	if err != nil {
		return err
	}
	if err := tx.Enqueue(job.SettlePrices{Tenant: tx.Tenant.String(), Change: c.ID.String()}); err != nil {
		return err
	}
	return p.overtake(tx, c.ID, fmt.Sprintf("price book %d was applied; this was proposed on %d", version, now.version))
}

// overtake takes back every open proposal but one, and proposes the vendor's list anew
// on the version that is in force then.
func (p *Prices) overtake(tx *db.Tx, but id.Change, why string) error {
	open, err := tx.OpenPriceProposals()
	if err != nil {
		return err
	}
	who := System(tx.Tenant)
	for _, change := range open {
		if change == but {
			continue
		}
		view, err := changeOf(tx, change)
		if err != nil {
			return err
		}
		if err := p.changes.withdraw(tx, who, view.Change, why); err != nil {
			return err
		}
	}
	_, err = p.proposeVendor(tx, who)
	return err
}

// ProposeVendor proposes the list this binary ships where a tenant's applied book was
// made from another one: once for each list and version, whoever asks how often. A
// list that a person rejected, or that was in force once, is not news. It tells
// whether it proposed.
func (p *Prices) ProposeVendor(ctx context.Context, tenant id.Tenant) (bool, error) {
	proposed := false
	err := p.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		var err error
		proposed, err = p.proposeVendor(tx, System(tenant))
		return err
	})
	return proposed, err
}

func (p *Prices) proposeVendor(tx *db.Tx, who Actor) (bool, error) {
	now, err := current(tx)
	if err != nil {
		return false, err
	}
	vendor := sha256.Sum256(p.vendor)
	if vendor == now.vendor {
		return false, nil
	}
	if known, err := tx.VendorKnown(vendor, now.version); err != nil || known {
		return false, err
	}
	document, err := pricing.Carry(p.vendor, now.book)
	if err != nil {
		return false, err
	}
	d, err := p.book(now, basisVendor, vendor, document, time.Time{}, nil)
	if err != nil {
		return false, err
	}
	_, _, err = p.changes.submit(tx, who, changePrices, "the vendor's list of a newer release", d)
	return err == nil, err
}

// VendorDigest names the list this binary ships.
func (p *Prices) VendorDigest() string {
	digest := sha256.Sum256(p.vendor)
	return hex.EncodeToString(digest[:])
}

// Force applies prices at once, past the tenant's people: for the installation's
// operator, before anybody may decide or when nobody can. The record says so.
func (p *Prices) Force(ctx context.Context, who Actor, ask Ask) (approval.Change, error) {
	if who.Kind != ActorCommand {
		return approval.Change{}, ErrNotAllowed
	}
	var applied approval.Change
	err := p.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		d, err := p.draft(tx, who, ask.Payload, ask.EffectiveFrom)
		if err != nil {
			return err
		}
		forced := proposal{kind: changePrices, payload: d.payload, effective: d.effective, reason: ask.Reason, rule: approval.RuleBreakGlass}
		applied, err = p.changes.change(tx, who, forced, func(c approval.Change) error {
			if err := d.store(tx, c); err != nil {
				return err
			}
			return p.apply(tx, c)
		})
		return err
	})
	return applied, err
}

// AskDiscount is the proposal of a contract discount in basis points.
func AskDiscount(bps int64, from time.Time, reason string) Ask {
	return Ask{Kind: changePrices, Payload: fmt.Appendf(nil, `{"discount_bps":%d}`, bps), EffectiveFrom: from, Reason: reason}
}

// AskDocument is the proposal of a whole price book.
func AskDocument(document []byte, reason string) (Ask, error) {
	payload, err := json.Marshal(priceAsk{Document: string(document)})
	return Ask{Kind: changePrices, Payload: payload, Reason: reason}, err
}

// PriceBook is what a tenant's prices are: the book in force or an older one, all
// versions, and what waits for a decision.
type PriceBook struct {
	Version  int
	Book     *pricing.Book
	Document []byte
	Versions []PriceVersion
	Open     []ChangeView
}

// PriceVersion is one applied price book.
type PriceVersion struct {
	Version    int
	Digest     string
	RecordedAt time.Time
	Change     id.Change
	Number     int64
	Reason     string
}

// maxPriceVersions bounds the list of versions: one a week for four years.
const maxPriceVersions = 200

// Book shows a version of the price book; zero is the one in force.
func (p *Prices) Book(ctx context.Context, who Actor, version int) (PriceBook, error) {
	if err := p.access.Check(who, "price", "read"); err != nil {
		return PriceBook{}, err
	}
	var shown PriceBook
	err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.PriceVersions(maxPriceVersions)
		if err != nil {
			return err
		}
		for _, r := range rows {
			shown.Versions = append(shown.Versions, PriceVersion{
				Version: r.Version, Digest: hex.EncodeToString(r.Digest), RecordedAt: r.RecordedAt.UTC(), Change: r.ChangeID, Number: r.Number, Reason: r.Reason,
			})
		}
		if shown.Version = version; version == 0 && len(rows) > 0 {
			shown.Version = rows[0].Version
		}
		if shown.Document, err = tx.PriceDocument(shown.Version); err != nil {
			return err
		}
		if shown.Book, err = pricing.Parse(shown.Document); err != nil {
			return err
		}
		shown.Open, err = p.open(tx)
		return err
	})
	if errors.Is(err, db.ErrPricesAbsent) && version != 0 {
		err = ErrPriceVersion
	}
	return shown, err
}

// ErrPriceVersion reports a version that was never applied.
var ErrPriceVersion = fault.New(fault.KindNotFound, "price_version_absent", "There is no such version of the price book.")

func (p *Prices) open(tx *db.Tx) ([]ChangeView, error) {
	changes, err := tx.OpenPriceProposals()
	if err != nil {
		return nil, err
	}
	list := make([]ChangeView, 0, len(changes))
	for _, change := range changes {
		row, err := tx.Change(change)
		if err != nil {
			return nil, err
		}
		view, err := changeView(&row)
		if err != nil {
			return nil, err
		}
		if view.Impact, err = p.impact(tx, view.Change); err != nil {
			return nil, err
		}
		list = append(list, view)
	}
	return list, nil
}

// PriceProposal is a change of prices with all it takes to decide on it.
type PriceProposal struct {
	ChangeView
	Origin      string // vendor, contract or file
	BaseVersion int
	Overtaken   bool // another version was applied since
	Differences []pricing.Difference
	Since       time.Time // the first day a price differs; zero if none does
	Effect      PriceEffect
}

// PriceEffect is what was used since then of the models that a change touches.
type PriceEffect struct {
	Models   []string
	Requests int64
	Charge   money.Sum // at the prices it was charged at
}

// Proposal shows a change of prices against the book it was made on.
func (p *Prices) Proposal(ctx context.Context, who Actor, change id.Change) (PriceProposal, error) {
	if err := p.access.Check(who, "price", "read"); err != nil {
		return PriceProposal{}, err
	}
	var shown PriceProposal
	err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Change(change)
		if err != nil {
			return err
		}
		if shown.ChangeView, err = changeView(&row); err != nil {
			return err
		}
		return p.compare(tx, &shown)
	})
	return shown, err
}

// compare fills in what a change of prices changes.
func (p *Prices) compare(tx *db.Tx, shown *PriceProposal) error {
	proposal, err := tx.PriceProposal(shown.ID)
	if err != nil {
		return err
	}
	version, err := tx.PriceVersion()
	if err != nil {
		return err
	}
	base, err := tx.PriceDocument(proposal.BaseVersion)
	if err != nil {
		return err
	}
	before, err := pricing.Parse(base)
	if err != nil {
		return err
	}
	after, err := pricing.Parse(proposal.Document)
	if err != nil {
		return err
	}
	shown.Origin, shown.BaseVersion, shown.Overtaken = proposal.Basis, proposal.BaseVersion, version != proposal.BaseVersion
	shown.Differences = pricing.Diff(before, after)
	if shown.Since = pricing.Begins(shown.Differences); shown.Since.IsZero() {
		return nil
	}
	return shown.Effect.sum(tx, shown.Since, shown.Differences)
}

func (e *PriceEffect) sum(tx *db.Tx, since time.Time, differences []pricing.Difference) error {
	rows, err := tx.ModelsSince(since)
	if err != nil {
		return err
	}
	for _, r := range rows {
		for _, d := range differences {
			if !d.Touches(r.Model) {
				continue
			}
			charge, err := money.SumOfPico(r.ChargePico)
			if err != nil {
				return err
			}
			e.Models = append(e.Models, r.Model)
			e.Requests += r.Requests
			e.Charge.AddSum(&charge)
			break
		}
	}
	return nil
}

// impact says what a change of prices would do.
func (p *Prices) impact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	shown := PriceProposal{ChangeView: ChangeView{Change: c}}
	if err := p.compare(tx, &shown); err != nil {
		return approval.Impact{}, err
	}
	if shown.Since.IsZero() {
		return approval.Impact{Sentence: "No price changes; the sources of some lines do."}, nil
	}
	lines := "1 line of price book %d changes"
	if n := len(shown.Differences); n != 1 {
		lines = strconv.Itoa(n) + " lines of price book %d change"
	}
	return approval.Impact{Sentence: fmt.Sprintf(lines+", the first from %s; requests since then on models it touches: %d.",
		shown.BaseVersion, shown.Since.Format(time.DateOnly), shown.Effect.Requests)}, nil
}

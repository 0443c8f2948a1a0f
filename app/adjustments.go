package app

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"tollbook/app/attribution"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/usage"
	"tollbook/db"
)

// Adjustments is the area of corrections: requests that are charged elsewhere, or for
// another amount, than they were recorded. What was recorded stays; rows beside it say what
// leaves and what arrives.
type Adjustments struct {
	db      *db.DB
	access  *Access
	changes *Changes
	reports *Reports
	zip     *zstd.Encoder
}

// NewAdjustments makes the area; reports finds the requests that a filter keeps.
func NewAdjustments(d *db.DB, access *Access, changes *Changes, reports *Reports) (*Adjustments, error) {
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	a := &Adjustments{db: d, access: access, changes: changes, reports: reports, zip: zip}
	a.govern()
	return a, nil
}

// openBooks holds the months that rows are posted to, and refuses one that is locked.
func openBooks(tx *db.Tx, rows []db.LyingRow) error {
	posted := map[period.Month]int{}
	for i := range rows {
		posted[period.MonthOf(rows[i].PostingPeriod)]++
	}
	months := make([]period.Month, 0, len(posted))
	for month := range posted {
		months = append(months, month)
	}
	slices.SortFunc(months, func(a, b period.Month) int { return a.Start().Compare(b.Start()) })
	for _, month := range months {
		state, err := tx.PostingState(month)
		if err != nil {
			return err
		}
		if state.Shut() {
			return fault.New(fault.KindConflict, "period_closed", fmt.Sprintf(
				"%s is closed, and %d of these %d requests are in its books. Leave them out, or have %s reopened, which is a change that somebody approves; a closed month never changes by itself.",
				month, posted[month], len(rows), month))
		}
	}
	return nil
}

// forest is the hierarchy as it is now known to have been, at any instant since one.
type forest struct {
	versions []hierarchy.Version
	instants []time.Time
	trees    map[time.Time]*hierarchy.Tree
}

func forestSince(tx *db.Tx, from time.Time) (*forest, error) {
	versions, err := tx.NodeVersions()
	if err != nil {
		return nil, err
	}
	return &forest{versions: versions, instants: hierarchy.Instants(versions, from), trees: map[time.Time]*hierarchy.Tree{}}, nil
}

// turned is the instant from which on the tree is what it is at another.
func (f *forest) turned(at time.Time) time.Time {
	i, found := slices.BinarySearchFunc(f.instants, at, time.Time.Compare)
	if !found {
		i--
	}
	return f.instants[max(i, 0)]
}

func (f *forest) at(at time.Time) (*hierarchy.Tree, error) {
	turned := f.turned(at)
	if tree, made := f.trees[turned]; made {
		return tree, nil
	}
	tree, err := hierarchy.Build(f.versions, turned, time.Time{})
	if err != nil {
		return nil, err
	}
	f.trees[turned] = tree
	return tree, nil
}

// post writes what requests become and what that moves, in the caller's transaction, which
// holds the adjustments and the months. Placements are interned already.
func (a *Adjustments) post(tx *db.Tx, kind db.AdjustmentKind, change id.Change, list []db.Adjusted) error {
	return a.postInto(tx, kind, change, list, nil)
}

// postInto is post where requests of some months are posted to others: those of a month that
// is shut, to the next that is open.
func (a *Adjustments) postInto(tx *db.Tx, kind db.AdjustmentKind, change id.Change, list []db.Adjusted, into map[period.Month]period.Month) error {
	byMonth := map[period.Month][]db.Adjusted{}
	for _, one := range list {
		month := period.MonthOf(one.Was.PostingPeriod)
		if elsewhere, moves := into[month]; moves {
			month = elsewhere
		}
		byMonth[month] = append(byMonth[month], one)
	}
	months := make([]period.Month, 0, len(byMonth))
	for month := range byMonth {
		months = append(months, month)
	}
	slices.SortFunc(months, func(x, y period.Month) int { return x.Start().Compare(y.Start()) })
	for _, month := range months {
		batch := db.AdjustmentBatch{ID: id.NewBatch(tx.Now), Change: change, Kind: kind, Posting: month, Record: id.NewRecord(tx.Now)}
		if err := a.seal(tx, &batch, byMonth[month]); err != nil {
			return err
		}
		if err := tx.AddAdjustments(&batch, byMonth[month]); err != nil {
			return err
		}
		if err := tx.RollAdjusted(byMonth[month], month); err != nil {
			return err
		}
	}
	var days []time.Time
	for i := range list {
		if day := list[i].Was.OccurredAt.UTC().Truncate(oneDay); !slices.ContainsFunc(days, day.Equal) {
			days = append(days, day)
		}
	}
	return dueAgain(tx, days)
}

// seal makes the batch's canonical bytes and root and puts them into the log.
func (a *Adjustments) seal(tx *db.Tx, batch *db.AdjustmentBatch, list []db.Adjusted) error {
	var lines []byte
	leaves := make([]auditlog.Hash, 0, len(list))
	for i := range list {
		line, err := canonicalAdjustment(batch, &list[i])
		if err != nil {
			return err
		}
		leaves = append(leaves, auditlog.Leaf(line))
		lines = append(append(lines, line...), '\n')
		for j := range list[i].Lines {
			batch.Delta.Add(list[i].Lines[j].Charge)
		}
	}
	batch.Count, batch.Root, batch.Canonical = len(list), auditlog.Root(leaves), a.zip.EncodeAll(lines, nil)
	return tx.AppendAudit(auditlog.Record{
		ID: batch.Record, Action: "adjustment.batch", Actor: string(ActorSystem), Subject: batch.ID.String(),
		Detail: map[string]any{
			"change": batch.Change.String(), "delta_pico": batch.Delta.Digits(), "kind": string(batch.Kind), "period": batch.Posting.String(),
			"requests": batch.Count, "root": hex.EncodeToString(batch.Root[:]),
		},
	})
}

// canonicalAdjustment is what is hashed of one adjustment: a JSON object with sorted keys
// and amounts in whole pico-dollars.
func canonicalAdjustment(batch *db.AdjustmentBatch, one *db.Adjusted) ([]byte, error) {
	leaving := len(one.Lines) - len(one.Now.Shares)
	said := map[string]any{
		"change": batch.Change.String(), "event": one.Was.EventID.String(), "kind": string(batch.Kind), "period": batch.Posting.String(),
		"sequence": one.Was.Sequence + 1, "state": string(one.Now.State), "leaves": canonicalLines(one.Lines[:leaving]), "arrives": canonicalLines(one.Lines[leaving:]),
	}
	if len(one.TrueUp) > 0 {
		said["true_up"] = one.TrueUp
	}
	if recorded := period.MonthOf(one.Was.PostingPeriod); recorded != batch.Posting {
		said["recorded_period"] = recorded.String()
	}
	line, err := json.Marshal(said)
	if err != nil {
		return nil, fmt.Errorf("encode adjustment of %s: %w", one.Was.EventID, err)
	}
	return line, nil
}

func canonicalLines(lines []attribution.Portion) []map[string]any {
	list := make([]map[string]any, 0, len(lines))
	for i := range lines {
		l := &lines[i]
		one := map[string]any{"placement": l.Placement.String(), "ppm": l.PPM, "charge_pico": int64(l.Charge), "other_pico": int64(l.Other)}
		for class := range usage.ClassCount {
			one[class.String()] = []int64{l.Tokens[class], int64(l.Classes[class])}
		}
		list = append(list, one)
	}
	return list
}

package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/period"
	"tollbook/app/retention"
	"tollbook/db"
)

// purgedMonth is a class's month of which an export lacks something.
type purgedMonth struct {
	class retention.Class
	month period.Month
}

// miss notes it, once.
func (x *logExport) miss(class retention.Class, month period.Month) {
	if one := (purgedMonth{class, month}); !slices.Contains(x.gone, one) {
		x.gone = append(x.gone, one)
	}
}

var errPurgeWaits = fault.New(fault.KindUnavailable, "purge_unplaced", "A purge was applied just now and its record is not under a signed head yet. Export again in a quarter of an hour.")

// purges writes, of each purge that took something of the records, its own record with the
// proof of its place, and the hashes that its digest covers.
func (x *logExport) purges(tx *db.Tx) error {
	for _, gone := range x.gone {
		row, err := purgeRecord(tx, gone)
		if err != nil {
			return err
		}
		if row.Sequence < 0 || row.Sequence >= x.manifest.Size {
			return errPurgeWaits
		}
		hashes, err := auditlog.ProveRecord(x.manifest.Size, row.Sequence, tx.LogNodes)
		if err != nil {
			return fmt.Errorf("prove record of a purge: %w", err)
		}
		list, err := purgedHashes(tx, gone)
		if err != nil {
			return err
		}
		base := path.Join(auditlog.DirectoryPurged, row.RecordID.String())
		proof := auditlog.Proof{Sequence: row.Sequence, Hashes: hashes, Checkpoint: x.head.Message}.Text()
		if err := errors.Join(x.put(base+auditlog.SuffixRecord, row.Canonical), x.put(base+auditlog.SuffixProof, proof), x.put(base+auditlog.SuffixHashes, hashLines(list))); err != nil {
			return err
		}
	}
	return nil
}

// purgeRecord finds the record of the purge that took a month of a class.
func purgeRecord(tx *db.Tx, gone purgedMonth) (db.LogRow, error) {
	missing := fault.New(fault.KindInternal, "purge_missing", "Something of "+stoneName(gone.class, gone.month.String())+" is missing that no purge took.")
	stone, found, err := tx.TombstoneOf(gone.class, gone.month)
	if err != nil || !found {
		return db.LogRow{}, errors.Join(err, missing)
	}
	rows, err := tx.LogPage(db.LogFilter{Action: auditlog.Purged, Subject: stone.ChangeID.String(), Limit: maxPurge})
	if err != nil {
		return db.LogRow{}, err
	}
	for i := range rows {
		var said struct{ Detail auditlog.Purge }
		if json.Unmarshal(rows[i].Canonical, &said) == nil && said.Detail.Class == string(gone.class) && said.Detail.Month == gone.month.String() {
			return rows[i], nil
		}
	}
	return db.LogRow{}, missing
}

// purgedHashes are the roots of the batches, or the leaves of the records, that a purge took.
func purgedHashes(tx *db.Tx, gone purgedMonth) ([]auditlog.Hash, error) {
	var list []auditlog.Hash
	for after := int64(-1); ; {
		var n int
		if gone.class == retention.Audit {
			rows, err := tx.ClearedLeaves(gone.month, after+1, verifyBatch)
			if err != nil {
				return nil, err
			}
			for i := range rows {
				list, after = append(list, auditlog.Hash(rows[i].Leaf)), rows[i].Sequence
			}
			n = len(rows)
		} else {
			rows, err := tx.PurgedBatches(gone.class, gone.month, after, verifyBatch)
			if err != nil {
				return nil, err
			}
			for i := range rows {
				list, after = append(list, auditlog.Hash(rows[i].Root)), rows[i].Sequence
			}
			n = len(rows)
		}
		if n < verifyBatch {
			return list, nil
		}
	}
}

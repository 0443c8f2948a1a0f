package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"

	"tollbook/app/auditlog"
	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/app/retention"
	"tollbook/db"
)

// absence is what of a month is not stored any more, as the records tell it: the roots of its
// batches, or the leaves of its records, in the order of the log.
type absence struct {
	first  int64 // the first record's sequence
	record string
	digest hash.Hash
}

func stoneName(class retention.Class, month string) string { return string(class) + " of " + month }

// miss notes that something of a month is not there: whether a purge took it shows later in
// the log.
func (v *verifier) miss(class retention.Class, month, record string, part []byte) {
	name := stoneName(class, month)
	gone := v.missing[name]
	if gone == nil {
		gone = &absence{first: v.tree.Size(), record: record, digest: sha256.New()}
		if v.missing == nil {
			v.missing = map[string]*absence{}
		}
		v.missing[name] = gone
	}
	_, _ = gone.digest.Write(part)
}

// purged reads the record of a purge, and compares the tombstone with it.
func (v *verifier) purged(tx *db.Tx, r *db.LogRow, detail []byte) (string, error) {
	if r.Action != auditlog.Purged {
		return "", nil
	}
	var said auditlog.Purge
	change, err := id.ParseChange(r.Subject)
	if err != nil || json.Unmarshal(detail, &said) != nil {
		return "it names no purge", nil //nolint:nilerr // that is the finding
	}
	rows, err := tx.Tombstones(change, maxPurge)
	if err != nil {
		return "", err
	}
	for i := range rows {
		if rows[i].Class != said.Class || period.MonthOf(rows[i].Month).String() != said.Month {
			continue
		}
		if hex.EncodeToString(rows[i].Digest) != said.Digest || rows[i].RowCount != said.Rows || rows[i].ChargePico != said.ChargePico {
			return "the tombstone it names says something else", nil
		}
		if v.stones == nil {
			v.stones = map[string]auditlog.Purge{}
		}
		v.stones[stoneName(retention.Class(said.Class), said.Month)] = said
		return "", nil
	}
	return "the tombstone it names is missing", nil
}

// explained finds the first thing that is missing and that no purge took.
func (v *verifier) explained() error {
	var worst *auditlog.FindingError
	for name, gone := range v.missing {
		why := ""
		said, found := v.stones[name]
		switch {
		case !found:
			why = "what belongs to it is missing, and no purge of " + name + " took it"
		case hex.EncodeToString(gone.digest.Sum(nil)) != said.Digest:
			why = fmt.Sprintf("of %s something is missing that Change %d did not purge", name, said.Number)
		}
		if why != "" && (worst == nil || gone.first < worst.Sequence) {
			worst = &auditlog.FindingError{Sequence: gone.first, Record: gone.record, Why: why}
		}
	}
	if worst != nil {
		return worst
	}
	return nil
}

package app

import (
	"encoding/json"
	"fmt"

	"tollbook/app/auditlog"
	"tollbook/app/witness"
	"tollbook/db"
)

// keyStory is the log's keys with what each signed of the next one.
func keyStory(tx *db.Tx) ([]byte, error) {
	rows, err := tx.LogKeyRows()
	if err != nil {
		return nil, err
	}
	story := make([]auditlog.PublicKey, 0, len(rows))
	for i := range rows {
		story = append(story, auditlog.PublicKey{Verifier: rows[i].Verifier, Endorsed: rows[i].Endorsed})
	}
	text, err := json.MarshalIndent(story, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode keys of the log: %w", err)
	}
	return text, nil
}

// maxExportedSights bounds what witnesses answered in one export; the newest are there.
const maxExportedSights = 3000

// sights writes what witnesses answered for the heads that are in the export.
func (x *logExport) sights(tx *db.Tx) error {
	rows, err := tx.Sights(x.head.Size, maxExportedSights)
	if err != nil {
		return err
	}
	list := []witness.Sight{}
	for i := range rows {
		row := &rows[i]
		if row.Size != x.head.Size && !x.sizes[row.Size] {
			continue
		}
		sight := witness.Sight{Size: row.Size, Witness: row.Witness, Kind: witness.Kind(row.Kind), Object: row.Object, SeenAt: row.RecordedAt.UTC()}
		sight.File = witness.FileName(row.Size, len(list), sight.Kind)
		if err := x.put(sight.File, row.Receipt); err != nil {
			return err
		}
		x.seen = max(x.seen, row.Size)
		list = append(list, sight)
	}
	x.saw = len(list)
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("encode sights: %w", err)
	}
	return x.put(witness.FileIndex, text)
}

// witnessWords say what nobody outside has seen.
func (x *logExport) witnessWords(say func(string, ...any)) {
	say("")
	if x.saw == 0 {
		if x.configured == 0 {
			say("No witness is configured. Whoever holds the log key could have put another key set, or another")
			say("record, into this log.")
			return
		}
		say("No witness has seen a head that is here yet: whoever holds the log key could have put another")
		say("key set, or another record, into this log.")
		return
	}
	say("%s/  what witnesses outside answered for these heads, word for word, with an index: heads as", witness.Directory)
	say("objects in a store with lock, cosignatures of other logs (C2SP tlog-cosignature), timestamps")
	say("(RFC 3161: openssl ts -verify -data CHECKPOINT -in FILE.tsr). The largest head one of them saw has")
	say("%d records. Give their keys as you got them yourself with --witness-keys FILE: cosignature keys,", x.seen)
	say("a line each, and the authority's root certificates in PEM. With --checkpoint FILE, a head that")
	say("you or a witness kept, verify tells whether this log goes on from it.")
	if tail := x.manifest.Size - x.seen; tail > 0 {
		say("The last %d records are not under a head that a witness saw: the unwitnessed tail.", tail)
	}
}

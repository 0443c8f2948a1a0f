package db

import "time"

// WitnessRow is one time a witness was asked to see a head.
type WitnessRow struct {
	Witness    string
	Kind       string
	Size       int64 // of the head
	Seen       bool
	Receipt    []byte // what came back, word for word; empty where it was not seen
	Object     string // where the witness keeps it, if that has a name
	Reason     string // why it was not seen
	RecordedAt time.Time
}

const witnessColumns = `select witness, kind, size, seen, receipt, object, reason, recorded_at from audit_witness `

// AddWitness stores what came of asking a witness.
func (t *Tx) AddWitness(w WitnessRow) error {
	if w.Receipt == nil {
		w.Receipt = []byte{}
	}
	return t.exec("add sight of a head", `insert into audit_witness (tenant_id, witness, kind, size, recorded_at, seen, receipt, object, reason) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		t.Tenant, w.Witness, w.Kind, w.Size, t.Now, w.Seen, w.Receipt, w.Object, w.Reason)
}

// LastSeen reads the largest head that a witness saw.
func (t *Tx) LastSeen(witness string) (WitnessRow, bool, error) {
	return t.witness("read last head seen", `where tenant_id = ? and witness = ? and seen order by size desc, recorded_at desc limit 1`, t.Tenant, witness)
}

// LastAsked reads the last time that a witness was asked.
func (t *Tx) LastAsked(witness string) (WitnessRow, bool, error) {
	return t.witness("read last time a witness was asked", `where tenant_id = ? and witness = ? order by recorded_at desc, size desc limit 1`, t.Tenant, witness)
}

func (t *Tx) witness(step, query string, args ...any) (WitnessRow, bool, error) {
	var rows []WitnessRow
	if err := t.scan(step, &rows, witnessColumns+query, args...); err != nil || len(rows) == 0 {
		return WitnessRow{}, false, err
	}
	return rows[0], true, nil
}

// Sights reads what witnesses saw of heads up to a size, the largest first.
func (t *Tx) Sights(upTo int64, limit int) ([]WitnessRow, error) {
	var rows []WitnessRow
	err := t.scan("read sights of heads", &rows, witnessColumns+`where tenant_id = ? and size <= ? and seen order by size desc, witness, recorded_at limit ?`, t.Tenant, upTo, limit)
	return rows, err
}

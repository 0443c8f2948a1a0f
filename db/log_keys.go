package db

import "time"

// LogKeyRow is a key that signed heads of the log, or decisions.
type LogKeyRow struct {
	Verifier   string
	Endorsed   []byte // by which the key before names it; empty: none did
	RecordedAt time.Time
	EndedSize  int64 // of the first head that it did not sign any more; 0: none
	EndedAt    *time.Time
}

// AddLogKey stores a key that signs heads of the log, and tells whether it is new.
func (t *Tx) AddLogKey(verifier string, endorsed []byte) (bool, error) {
	var one int
	return t.row("add key of the log", []any{&one}, `insert into audit_key (tenant_id, verifier, endorsed, recorded_at) values ($1, $2, $3, $4) on conflict do nothing returning 1`,
		t.Tenant, verifier, endorsed, t.Now)
}

// EndLogKey stores that a key signed no longer from a head of a size on.
func (t *Tx) EndLogKey(verifier string, size int64) error {
	return t.exec("end key of the log", `insert into audit_key_end (tenant_id, verifier, size, recorded_at) values ($1, $2, $3, $4) on conflict do nothing`, t.Tenant, verifier, size, t.Now)
}

// LogKeyRows reads the keys that signed heads of the log or decisions, oldest first, each
// with its latest end. Of two that began at once, the one that names the other comes first.
func (t *Tx) LogKeyRows() ([]LogKeyRow, error) {
	var rows []LogKeyRow
	err := t.scan("read keys of the log", &rows, `select k.verifier, k.endorsed, k.recorded_at, coalesce(e.size, 0) as ended_size, e.recorded_at as ended_at
		from audit_key k left join lateral (select size, recorded_at from audit_key_end where tenant_id = k.tenant_id and verifier = k.verifier order by size desc limit 1) e on true
		where k.tenant_id = ? order by k.recorded_at, coalesce(length(k.endorsed), 0), k.verifier`, t.Tenant)
	return rows, err
}

// LogKeys reads the keys that signed heads of the log, oldest first.
func (t *Tx) LogKeys() ([]string, error) {
	var keys []string
	err := t.scan("read keys of the log", &keys, `select verifier from audit_key where tenant_id = ? order by recorded_at, verifier`, t.Tenant)
	return keys, err
}

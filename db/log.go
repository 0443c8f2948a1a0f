package db

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// sequenceBatch bounds one sequencing transaction.
const sequenceBatch = 1000

// SequenceAudit gives up to a thousand pending records the next places, oldest
// first, and grows the log's tree over them. An advisory lock makes it the tenant's only
// sequencer until commit; it returns how many it placed.
func (t *Tx) SequenceAudit() (int, error) {
	if err := t.exec("lock sequencer", `select pg_advisory_xact_lock(hashtextextended('audit:' || $1, 0))`, t.Tenant.UUID()); err != nil {
		return 0, err
	}
	next, err := t.LogSize()
	if err != nil {
		return 0, err
	}
	var pending []struct {
		RecordID  id.Record
		Canonical []byte
	}
	// Ids begin with their time. Each record is looked up by itself: there are far more of
	// them than wait, and a plan made when there were few would read all of them each time.
	if err := t.scan("read pending records", &pending, `select p.record_id, r.canonical
		from (select record_id from audit_pending where tenant_id = ? order by record_id limit ?) p
		cross join lateral (select canonical from audit_record r where r.tenant_id = ? and r.record_id = p.record_id offset 0) r
		order by p.record_id`, t.Tenant, sequenceBatch, t.Tenant); err != nil {
		return 0, err
	}
	if len(pending) == 0 {
		return 0, nil
	}
	ids, leaves, places, hashes := []string{}, [][]byte{}, []int64{}, []auditlog.Hash{}
	for i, p := range pending {
		leaf := auditlog.Leaf(p.Canonical)
		ids, leaves, places, hashes = append(ids, p.RecordID.UUID()), append(leaves, leaf[:]), append(places, next+int64(i)), append(hashes, leaf)
	}
	grown, err := auditlog.Grow(next, hashes, t.LogNodes)
	if err != nil {
		return 0, fmt.Errorf("grow log: %w", err)
	}
	if err := t.exec("add leaves", `insert into audit_leaf (tenant_id, sequence, record_id, leaf, sequenced_at)
		select $1, s, r::uuid, l, $5 from unnest($2::bigint[], $3::text[], $4::bytea[]) as u(s, r, l)`, t.Tenant, places, ids, leaves, t.Now); err != nil {
		return 0, err
	}
	if err := t.addNodes(grown); err != nil {
		return 0, err
	}
	return len(pending), t.exec("clear pending", `delete from audit_pending where tenant_id = $1 and record_id = any($2::uuid[])`, t.Tenant, ids)
}

func (t *Tx) addNodes(grown []auditlog.Node) error {
	levels, positions, hashes := []int64{}, []int64{}, [][]byte{}
	for _, node := range grown {
		levels, positions, hashes = append(levels, int64(node.Level)), append(positions, node.Position), append(hashes, node.Hash[:])
	}
	return t.exec("add nodes of the log", `insert into audit_node (tenant_id, level, position, hash)
		select $1, l, p, h from unnest($2::bigint[], $3::bigint[], $4::bytea[]) as u(l, p, h)`, t.Tenant, levels, positions, hashes)
}

// LogSize is how many records have a place.
func (t *Tx) LogSize() (int64, error) {
	var size int64
	_, err := t.row("read log size", []any{&size}, `select coalesce(max(sequence) + 1, 0) from audit_leaf where tenant_id = $1`, t.Tenant)
	return size, err
}

// ErrLogNode reports a hash of the log's tree that should be there and is not.
var ErrLogNode = fault.New(fault.KindInternal, "log_node_missing", "A hash of the log's tree is missing.")

// LogNodes reads hashes of the log's tree, in the order asked for.
func (t *Tx) LogNodes(places []auditlog.Node) ([]auditlog.Hash, error) {
	levels, positions := make([]int64, len(places)), make([]int64, len(places))
	for i, place := range places {
		levels[i], positions[i] = int64(place.Level), place.Position
	}
	rows, err := t.sql.QueryContext(t.ctx, `select coalesce(n.hash, l.leaf) from unnest($2::bigint[], $3::bigint[]) with ordinality as u(level, position, at)
		left join audit_node n on n.tenant_id = $1 and n.level = u.level and n.position = u.position
		left join audit_leaf l on u.level = 0 and l.tenant_id = $1 and l.sequence = u.position order by u.at`, t.Tenant, levels, positions)
	if err != nil {
		return nil, fmt.Errorf("read nodes of the log: %w", err)
	}
	defer rows.Close()
	hashes := make([]auditlog.Hash, 0, len(places))
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return nil, fmt.Errorf("read nodes of the log: %w", err)
		}
		if len(raw) != len(auditlog.Hash{}) {
			place := places[len(hashes)]
			return nil, ErrLogNode.Because(fmt.Errorf("that of level %d, position %d", place.Level, place.Position))
		}
		hashes = append(hashes, auditlog.Hash(raw))
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read nodes of the log: %w", err)
	}
	return hashes, nil
}

// LogRow is one record with its place; Sequence is -1 where it has none yet.
type LogRow struct {
	Sequence   int64
	RecordID   id.Record
	Action     string
	Actor      string
	Subject    string
	Canonical  []byte
	Leaf       []byte
	RecordedAt time.Time
}

// anyRecord reads records, those without a place among them.
const anyRecord = `select coalesce(l.sequence, -1) as sequence, r.record_id, r.action, r.actor, r.subject, r.canonical, l.leaf, r.recorded_at
		from audit_record r left join audit_leaf l on l.tenant_id = r.tenant_id and l.record_id = r.record_id where r.tenant_id = ?`

// Log reads placed records from a sequence on.
func (t *Tx) Log(from int64, limit int) ([]LogRow, error) {
	var rows []LogRow
	err := t.scan("read log", &rows, `select l.sequence, r.record_id, r.action, r.actor, r.subject, r.canonical, l.leaf, r.recorded_at
		from audit_leaf l join audit_record r on r.tenant_id = l.tenant_id and r.record_id = l.record_id
		where l.tenant_id = ? and l.sequence >= ? order by l.sequence limit ?`, t.Tenant, from, limit)
	return rows, err
}

// LogFilter narrows the log; zero values do not. Action may end in a point, which stands
// for all that begin with it.
type LogFilter struct {
	Action, Actor, Subject string
	From, To               time.Time // half-open, of RecordedAt
	Before                 time.Time // with BeforeID: older than that record
	BeforeID               id.Record
	Limit                  int
}

// LogCursor names the place behind a record in the log's page.
func LogCursor(r LogRow) string {
	return strconv.FormatInt(r.RecordedAt.UnixMicro(), 10) + "." + r.RecordID.String()
}

// Seek makes the filter go on behind a place that LogCursor named.
func (f *LogFilter) Seek(cursor string) error {
	if cursor == "" {
		return nil
	}
	micros, record, _ := strings.Cut(cursor, ".")
	at, err := strconv.ParseInt(micros, 10, 64)
	if err == nil {
		f.BeforeID, err = id.ParseRecord(record)
	}
	if err != nil {
		return fault.Invalid("cursor", "cursor_syntax", "The page's cursor cannot be read; start from the first page.")
	}
	f.Before = time.UnixMicro(at).UTC()
	return nil
}

// LogPage reads records, newest first, those without a place among them.
func (t *Tx) LogPage(f LogFilter) ([]LogRow, error) {
	query := anyRecord
	args := []any{t.Tenant}
	also := func(condition string, values ...any) { query, args = query+" and "+condition, append(args, values...) }
	if prefix, all := strings.CutSuffix(f.Action, "."); all {
		also("r.action >= ? and r.action < ?", prefix+".", prefix+"/")
	} else if f.Action != "" {
		also("r.action = ?", f.Action)
	}
	if f.Actor != "" {
		also("r.actor = ?", f.Actor)
	}
	if f.Subject != "" {
		also("r.subject = ?", f.Subject)
	}
	if !f.From.IsZero() {
		also("r.recorded_at >= ?", f.From)
	}
	if !f.To.IsZero() {
		also("r.recorded_at < ?", f.To)
	}
	if !f.BeforeID.IsZero() {
		also("(r.recorded_at, r.record_id) < (?, ?)", f.Before, f.BeforeID)
	}
	var rows []LogRow
	err := t.scan("read a page of the log", &rows, query+` order by r.recorded_at desc, r.record_id desc limit ?`, append(args, f.Limit)...)
	return rows, err
}

// LogRecord reads one record.
func (t *Tx) LogRecord(record id.Record) (LogRow, bool, error) {
	var rows []LogRow
	err := t.scan("read record", &rows, anyRecord+` and r.record_id = ?`, t.Tenant, record)
	if err != nil || len(rows) == 0 {
		return LogRow{}, false, err
	}
	return rows[0], true, nil
}

// LogSpan is where the records of a time are in the log: from one sequence to before
// another. Records find their places in the order of their times but for those that are
// written at once, so that the span may hold some of just before and just after.
func (t *Tx) LogSpan(from, to time.Time) (first, through int64, err error) {
	_, err = t.row("find span of the log", []any{&first, &through}, `select coalesce(min(l.sequence), 0), coalesce(max(l.sequence) + 1, 0)
		from audit_record r join audit_leaf l on l.tenant_id = r.tenant_id and l.record_id = r.record_id
		where r.tenant_id = $1 and r.recorded_at >= $2 and r.recorded_at < $3`, t.Tenant, from, to)
	return first, through, err
}

// PendingAudit counts records that have no place yet.
func (t *Tx) PendingAudit() (int64, error) {
	var n int64
	_, err := t.row("count pending records", []any{&n}, `select count(*) from audit_pending where tenant_id = $1`, t.Tenant)
	return n, err
}

// CheckpointRow is a signed head of the log.
type CheckpointRow struct {
	Size       int64
	Root       []byte
	Message    []byte // signed
	RecordedAt time.Time
}

// AddCheckpoint stores a signed head; one of the same size is left as it is.
func (t *Tx) AddCheckpoint(c CheckpointRow) error {
	return t.exec("add checkpoint", `insert into audit_checkpoint (tenant_id, size, root, message, recorded_at) values ($1, $2, $3, $4, $5) on conflict do nothing`,
		t.Tenant, c.Size, c.Root, c.Message, t.Now)
}

// Checkpoints reads signed heads up to a size, newest first.
func (t *Tx) Checkpoints(upTo int64, limit int) ([]CheckpointRow, error) {
	var rows []CheckpointRow
	err := t.scan("read checkpoints", &rows, `select size, root, message, recorded_at from audit_checkpoint
		where tenant_id = ? and size <= ? order by size desc limit ?`, t.Tenant, upTo, limit)
	return rows, err
}

// FirstCheckpoint reads the first signed head of at least a size.
func (t *Tx) FirstCheckpoint(from int64) (CheckpointRow, bool, error) {
	var c CheckpointRow
	found, err := t.row("read checkpoint", []any{&c.Size, &c.Root, &c.Message, &c.RecordedAt}, `select size, root, message, recorded_at from audit_checkpoint
		where tenant_id = $1 and size >= $2 order by size limit 1`, t.Tenant, from)
	return c, found, err
}

// CheckpointDue tells whether the log has grown since its newest signed head, and that
// is older than an instant.
func (t *Tx) CheckpointDue(before time.Time) (bool, error) {
	var due bool
	_, err := t.row("look for a checkpoint", []any{&due}, `select coalesce((select max(sequence) + 1 from audit_leaf where tenant_id = $1), 0) > coalesce(max(size), 0)
		and coalesce(max(recorded_at), '-infinity') <= $2 from audit_checkpoint where tenant_id = $1`, t.Tenant, before)
	return due, err
}

// AddLogCheck stores which record tells what the verifier found.
func (t *Tx) AddLogCheck(record id.Record) error {
	return t.exec("add check of the log", `insert into audit_check (tenant_id, recorded_at, record_id) values ($1, $2, $3)`, t.Tenant, t.Now, record)
}

// LastLogCheck reads the record of the verifier's newest outcome.
func (t *Tx) LastLogCheck() (LogRow, bool, error) {
	var record id.Record
	found, err := t.row("find last check of the log", []any{&record}, `select record_id from audit_check where tenant_id = $1 order by recorded_at desc, record_id desc limit 1`, t.Tenant)
	if err != nil || !found {
		return LogRow{}, false, err
	}
	return t.LogRecord(record)
}

// BatchBytes reads the compressed canonical bytes of a usage batch.
func (t *Tx) BatchBytes(batch id.Batch) ([]byte, bool, error) {
	var compressed []byte
	found, err := t.row("read usage batch", []any{&compressed}, `select canonical from usage_batch where tenant_id = $1 and batch_id = $2`, t.Tenant, batch)
	return compressed, found, err
}

package db

import (
	"time"

	"tollbook/app/id"
	"tollbook/app/period"
)

// LockDisputes makes the transaction the only one that raises disputes of a company, or takes
// steps of them, until it ends.
func (t *Tx) LockDisputes() error {
	return t.exec("lock disputes", `select pg_advisory_xact_lock(hashtextextended('disputes:' || $1, 0))`, t.Tenant.UUID())
}

// DisputeRow is a dispute as its latest step, and the change that this proposed, have it.
type DisputeRow struct {
	DisputeID        id.Dispute
	Number           int64
	Month            time.Time
	NodeID           id.Node
	ToNodeID         id.Node
	Narrowed         string // JSON
	RequestsSHA256   []byte `gorm:"column:requests_sha256"`
	Requests         int
	AmountPico       string // that would move, when it was raised
	Reason           string
	AnswererMemberID *id.Member
	Actor            string
	PersonID         id.Person
	MemberID         id.Member
	ChangeID         id.Change
	RecordedAt       time.Time

	// How it stands, the latest in reading; not of AddDispute.
	Steps              int
	State              string
	Since              time.Time // in that state
	ResolutionChangeID *id.Change
	ResolutionNumber   int64  // 0: none
	NowPico            string // that would move, as of the latest step
}

// What its change came to counts from the instant that came to it: nobody has to say so again.
const disputeSelect = `select * from (select d.dispute_id, d.number, d.month, d.node_id, d.to_node_id, d.narrowed::text as narrowed, d.requests_sha256, d.requests, d.amount_pico::text as amount_pico, d.reason,
		d.answerer_member_id, d.actor, d.person_id, d.member_id, d.change_id, d.recorded_at, s.place as steps, s.amount_pico::text as now_pico, s.resolution_change_id, coalesce(c.number, 0) as resolution_number,
		case when s.state = 'proposed' and m.state = 'applied' then 'moved' when s.state = 'proposed' and m.state in ('rejected', 'expired') then s.before_state else s.state end as state,
		case when s.state = 'proposed' and m.state in ('applied', 'rejected', 'expired') then m.moved_at else s.recorded_at end as since
	from dispute d
	join lateral (select * from dispute_step s where s.tenant_id = d.tenant_id and s.dispute_id = d.dispute_id order by s.place desc limit 1) s on true
	left join change c on c.tenant_id = d.tenant_id and c.change_id = s.resolution_change_id
	left join lateral (select m.state, m.moved_at from change_move m where m.tenant_id = d.tenant_id and m.change_id = s.resolution_change_id order by m.place desc limit 1) m on true
	where d.tenant_id = ?) d where true`

// AddDispute stores a dispute; its first step has to follow.
func (t *Tx) AddDispute(r *DisputeRow) error {
	return t.exec("raise dispute", `insert into dispute (tenant_id, dispute_id, number, month, node_id, to_node_id, narrowed, requests_sha256, requests, amount_pico, reason, answerer_member_id, actor, person_id,
			member_id, change_id, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10::numeric, $11, $12, $13, $14, $15, $16, $17)`,
		t.Tenant, r.DisputeID, r.Number, r.Month, r.NodeID, r.ToNodeID, r.Narrowed, r.RequestsSHA256, r.Requests, r.AmountPico, r.Reason, r.AnswererMemberID, r.Actor, r.PersonID, r.MemberID, r.ChangeID, t.Now)
}

// DisputeFilter narrows a list of disputes.
type DisputeFilter struct {
	Month  period.Month // zero: any
	State  string       // empty: any; standing: all that have not ended
	Within []id.Node    // nodes of which one is charged or should be; nil: all
	Before int64        // numbers below it; 0: all
	Limit  int
}

// Disputes lists disputes, the newest number first.
func (t *Tx) Disputes(f *DisputeFilter) ([]DisputeRow, error) {
	s := &statement{text: disputeSelect, args: []any{t.Tenant}}
	if f.Month != (period.Month{}) {
		s.and("d.month = ?", f.Month.Start())
	}
	switch f.State {
	case "":
	case "standing":
		s.add(" and d.state in ('open', 'accepted', 'proposed')")
	default:
		s.and("d.state = ?", f.State)
	}
	if f.Within != nil {
		list := nodeList(f.Within)
		s.and("(d.node_id = any(string_to_array(?, ',')::uuid[]) or d.to_node_id = any(string_to_array(?, ',')::uuid[]))", list, list)
	}
	if f.Before > 0 {
		s.and("d.number < ?", f.Before)
	}
	s.add(" order by d.number desc limit ?", f.Limit)
	var rows []DisputeRow
	err := t.scan("list disputes", &rows, s.text, s.args...)
	return rows, err
}

// Dispute reads one dispute; found is false when there is none.
func (t *Tx) Dispute(dispute id.Dispute) (DisputeRow, bool, error) {
	var rows []DisputeRow
	err := t.scan("read dispute", &rows, disputeSelect+` and d.dispute_id = ?`, t.Tenant, dispute)
	if err != nil || len(rows) == 0 {
		return DisputeRow{}, false, err
	}
	return rows[0], true, nil
}

// DisputeOf is the dispute that a change would resolve, as its latest step says; found is false
// where there is none.
func (t *Tx) DisputeOf(resolution id.Change) (DisputeRow, bool, error) {
	var rows []DisputeRow
	err := t.scan("read dispute of a change", &rows, disputeSelect+` and d.resolution_change_id = ? limit 1`, t.Tenant, resolution)
	if err != nil || len(rows) == 0 {
		return DisputeRow{}, false, err
	}
	return rows[0], true, nil
}

// DisputeStepRow is one step of a dispute, with how it stood after it.
type DisputeStepRow struct {
	Place              int
	Kind               string
	State              string
	BeforeState        string
	Actor              string
	PersonID           id.Person
	Note               string
	AmountPico         string // that would move, as of this step
	ResolutionChangeID *id.Change
	ChangeID           id.Change
	RecordedAt         time.Time
}

// AddDisputeStep adds the next step of a dispute.
func (t *Tx) AddDisputeStep(dispute id.Dispute, r *DisputeStepRow) error {
	return t.exec("add step of a dispute", `insert into dispute_step (tenant_id, dispute_id, place, kind, state, before_state, actor, person_id, note, amount_pico, resolution_change_id, change_id, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::numeric, $11, $12, $13)`,
		t.Tenant, dispute, r.Place, r.Kind, r.State, r.BeforeState, r.Actor, r.PersonID, r.Note, r.AmountPico, r.ResolutionChangeID, r.ChangeID, t.Now)
}

// DisputeSteps lists the steps of a dispute in their order.
func (t *Tx) DisputeSteps(dispute id.Dispute, limit int) ([]DisputeStepRow, error) {
	var rows []DisputeStepRow
	err := t.scan("list steps of a dispute", &rows, `select place, kind, state, before_state, actor, person_id, note, amount_pico::text as amount_pico, resolution_change_id, change_id, recorded_at
		from dispute_step where tenant_id = ? and dispute_id = ? order by place limit ?`, t.Tenant, dispute, limit)
	return rows, err
}

package db

import (
	"time"

	"tollbook/app/id"
	"tollbook/app/period"
)

// LockCommentary makes the transaction the only one that takes steps of a company's
// commentaries, until it ends.
func (t *Tx) LockCommentary() error {
	return t.exec("lock commentary", `select pg_advisory_xact_lock(hashtextextended('commentary:' || $1, 0))`, t.Tenant.UUID())
}

// CommentaryStepRow is one step of a node's commentary of a month, with how it stands after it.
type CommentaryStepRow struct {
	NodeID         id.Node
	Place          int
	Kind           string
	State          string
	Revision       int
	Actor          string
	PersonID       id.Person
	AuthorPersonID *id.Person
	OwnerMemberID  *id.Member
	Body           string
	Figures        *string // canonical bytes
	FiguresSHA256  []byte  `gorm:"column:figures_sha256"`
	ChangeID       id.Change
	RecordedAt     time.Time
}

// AddCommentaryStep adds the next step of a node's commentary.
func (t *Tx) AddCommentaryStep(m period.Month, r *CommentaryStepRow) error {
	return t.exec("add step of a commentary", `insert into commentary_step (tenant_id, month, node_id, place, kind, state, revision, actor, person_id, author_person_id, owner_member_id, body, figures, figures_sha256,
			change_id, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		t.Tenant, m.Start(), r.NodeID, r.Place, r.Kind, r.State, r.Revision, r.Actor, r.PersonID, r.AuthorPersonID, r.OwnerMemberID, r.Body, r.Figures, r.FiguresSHA256, r.ChangeID, t.Now)
}

// CommentarySteps lists the steps of a month's commentaries by node and in their order: of one
// node, or of all where that is zero.
func (t *Tx) CommentarySteps(m period.Month, node id.Node, limit int) ([]CommentaryStepRow, error) {
	s := &statement{text: `select node_id, place, kind, state, revision, actor, person_id, author_person_id, owner_member_id, body, figures, figures_sha256, change_id, recorded_at
		from commentary_step where tenant_id = ? and month = ?`, args: []any{t.Tenant, m.Start()}}
	if !node.IsZero() {
		s.and("node_id = ?", node)
	}
	s.add(" order by node_id, place limit ?", limit)
	var rows []CommentaryStepRow
	err := t.scan("list steps of commentaries", &rows, s.text, s.args...)
	return rows, err
}

// CommentaryReminded lists who was reminded of a commentary since an instant, of whichever month.
func (t *Tx) CommentaryReminded(since time.Time) ([]id.Member, error) {
	var rows []struct{ OwnerMemberID id.Member }
	err := t.scan("list whom commentaries reminded", &rows, `select distinct owner_member_id from commentary_step where tenant_id = ? and kind = 'reminded' and owner_member_id is not null and recorded_at >= ?
		order by 1 limit 5000`, t.Tenant, since)
	list := make([]id.Member, 0, len(rows))
	for i := range rows {
		list = append(list, rows[i].OwnerMemberID)
	}
	return list, err
}

// PlacedClassRow is what one model and token class used and cost at one placement.
type PlacedClassRow struct {
	PlacementID id.Placement
	ClassRow    `gorm:"embedded"`
}

// PlacedClasses sums a posting period by placement, model and token class, of the days before one.
func (t *Tx) PlacedClasses(m period.Month, before time.Time) ([]PlacedClassRow, error) {
	var rows []PlacedClassRow
	err := t.scan("sum classes by placement", &rows, `select placement_id, model, class, sum(tokens)::bigint as tokens, sum(charge_pico)::text as charge_pico from rollup_class_day
		where tenant_id = ? and posting_period = ? and day < ? group by 1, 2, 3 order by 1, 2, 3`, t.Tenant, m.Start(), before)
	return rows, err
}

package app

import (
	"cmp"
	"slices"
	"strings"

	"tollbook/app/commentary"
	"tollbook/app/dispute"
	"tollbook/app/export/packet"
	"tollbook/app/id"
	"tollbook/db"
)

// commentaries reads what the owners of nodes wrote about the month, as it was known: of a part
// of the company, those of its nodes.
func (g *gathering) commentaries() error {
	rows, err := g.tx.CommentarySteps(g.month, id.Node{}, maxCommentarySteps)
	if err != nil || len(rows) == 0 {
		return err
	}
	views, err := readCommentaries(g.tx, g.p.members, g.p.access, g.month, g.scope, commentary.Standard(), false)
	if err != nil {
		return err
	}
	actors := make([]string, 0, len(rows))
	for i := range rows {
		actors = append(actors, rows[i].Actor)
	}
	hands, err := g.p.members.hands(g.tx, actors)
	if err != nil {
		return err
	}
	for i := range views {
		v := &views[i]
		one := packet.Comment{Code: v.Code, Name: v.Name, Path: g.pathOf(v.Node, v.Code), Owner: v.OwnerName, Stale: v.Stale}
		for k := range rows {
			if rows[k].NodeID != v.Node || rows[k].RecordedAt.After(g.asOf) {
				continue
			}
			if err := commented(&one, &rows[k], hands); err != nil {
				return err
			}
		}
		if one.State != "" {
			g.f.Comments = append(g.f.Comments, one)
		}
	}
	return nil
}

// pathOf is a node's path from the packet's root down.
func (g *gathering) pathOf(node id.Node, code string) string {
	if i, there := g.index[node]; there {
		return g.f.Nodes[i].Path
	}
	return code
}

// commented takes one step of a node's commentary.
func commented(one *packet.Comment, row *db.CommentaryStepRow, hands map[string]Hand) error {
	one.State = row.State
	switch commentary.Kind(row.Kind) {
	case commentary.Written:
		one.Text, one.Revision, one.By, one.At, one.AcceptedBy = row.Body, row.Revision, hands[row.Actor].Name, row.RecordedAt.UTC(), ""
		if row.Figures == nil {
			return nil
		}
		f, err := commentary.Read([]byte(*row.Figures))
		if err != nil {
			return err
		}
		one.Digest = commentary.Digest([]byte(*row.Figures))
		one.Actual, one.Before, one.Price, one.Volume, one.Mix, one.Tools, one.Plan = f.Actual, f.Before, f.Price, f.Volume, f.Mix, f.Tools, nil
		if f.Planned {
			plan := f.Plan
			one.Plan = &plan
		}
	case commentary.Accepted:
		one.AcceptedBy, one.AcceptedAt = hands[row.Actor].Name, row.RecordedAt.UTC()
	case commentary.Asked, commentary.Reminded, commentary.Returned:
	}
	return nil
}

// maxPacketDisputes bounds the disputes of one month that a packet tells of.
const maxPacketDisputes = 5000

// disputes reads what budget owners dispute of the month, as it stood: of a part of the
// company, what one of its nodes is charged or should be.
func (g *gathering) disputes() error {
	filter := db.DisputeFilter{Month: g.month, Limit: maxPacketDisputes}
	if g.scope != nil {
		for node := range g.index {
			filter.Within = append(filter.Within, node)
		}
		slices.SortFunc(filter.Within, func(a, b id.Node) int { return strings.Compare(a.String(), b.String()) })
	}
	rows, err := g.tx.Disputes(&filter)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(r db.DisputeRow) bool { return r.RecordedAt.After(g.asOf) })
	for i := range rows {
		if rows[i].Since.After(g.asOf) {
			if err := g.stood(&rows[i]); err != nil {
				return err
			}
		}
	}
	views, err := disputeViews(g.tx, g.p.members, rows)
	if err != nil {
		return err
	}
	for i := range views {
		v := &views[i]
		g.f.Disputes = append(g.f.Disputes, packet.Dispute{
			Number: v.Number, Code: v.NodeCode, To: v.ToCode, Requests: int64(v.Requests), Amount: v.AmountNow, Reason: v.Reason, State: string(v.State), Open: !v.State.Ended(), By: v.Raiser.Name, RaisedAt: v.RaisedAt,
			Since: v.Since, Change: v.ResolutionNumber,
		})
	}
	slices.SortFunc(g.f.Disputes, func(a, b packet.Dispute) int { return cmp.Compare(a.Number, b.Number) })
	return nil
}

// stood takes a dispute back to its latest step before the packet's instant.
func (g *gathering) stood(row *db.DisputeRow) error {
	steps, err := g.tx.DisputeSteps(row.DisputeID, dispute.MaxSteps)
	for i := range steps {
		if s := &steps[i]; !s.RecordedAt.After(g.asOf) {
			row.State, row.Since, row.NowPico = s.State, s.RecordedAt, s.AmountPico
			row.ResolutionChangeID, row.ResolutionNumber = nil, 0
		}
	}
	return err
}

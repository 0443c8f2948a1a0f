package app

import (
	"context"
	"fmt"
	"time"

	"tollbook/app/approval"
	"tollbook/app/closing"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/app/reconcile"
	"tollbook/db"
)

// AskMateriality is the proposal of how much of a month may stay unexplained.
func AskMateriality(want closing.Materiality, reason string) Ask {
	return ask(changeMateriality, reason, want)
}

// materialityInForce is the latest version; version 0 is the standard one.
func materialityInForce(tx *db.Tx) (m closing.Materiality, version int, err error) {
	rows, err := tx.Materialities(1)
	if err != nil || len(rows) == 0 {
		return closing.Standard(), 0, err
	}
	r := &rows[0]
	return closing.Materiality{Month: money.Cents(r.MonthCents), Node: money.Cents(r.NodeCents), DaysSigned: r.DaysSigned, Answered: r.CommentaryAnswered}, r.Version, nil
}

func (c *Closing) draftMateriality(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var want closing.Materiality
	if err := strict(payload, &want); err != nil {
		return draft{}, err
	}
	if err := want.Check(); err != nil {
		return draft{}, err
	}
	now, _, err := materialityInForce(tx)
	if err != nil {
		return draft{}, err
	}
	if now == want {
		return draft{}, fault.Invalid("month", "materiality_same", "That is so already: nothing would change.")
	}
	return draft{payload: want}, nil
}

func (c *Closing) applyMateriality(tx *db.Tx, ch approval.Change) error {
	var want closing.Materiality
	if err := stored(ch, &want); err != nil {
		return err
	}
	return tx.AddMateriality(&db.MaterialityRow{
		MonthCents: int64(want.Month), NodeCents: int64(want.Node), DaysSigned: want.DaysSigned, CommentaryAnswered: want.Answered, EffectiveFrom: tx.Now, ChangeID: ch.ID,
	})
}

func (c *Closing) materialityImpact(tx *db.Tx, ch approval.Change) (approval.Impact, error) {
	var want closing.Materiality
	if err := stored(ch, &want); err != nil {
		return approval.Impact{}, err
	}
	now, _, err := materialityInForce(tx)
	if err != nil {
		return approval.Impact{}, err
	}
	return approval.Impact{Sentence: fmt.Sprintf("From now on no month is locked with more unexplained than %s; it was %s. Signatures of what is unexplained in months that are closing have to be given anew.",
		MaterialityWords(want), MaterialityWords(now))}, nil
}

// MaterialityWords says a materiality in a sentence.
func MaterialityWords(m closing.Materiality) string {
	said := fmt.Sprintf("$%s in all, or $%s at one node", m.Month, m.Node)
	if m.DaysSigned {
		said += ", each day signed by two"
	}
	if m.Answered {
		said += ", commentary answered wherever it was asked for"
	}
	return said
}

// MaterialityView is what is in force.
type MaterialityView struct {
	closing.Materiality

	Version int // 0: the standard one
}

// Materiality is how much of a month may stay unexplained, as is in force.
func (c *Closing) Materiality(ctx context.Context, who Actor) (MaterialityView, error) {
	var view MaterialityView
	if err := c.access.Check(who, "period", "read"); err != nil {
		return view, err
	}
	err := c.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) (err error) {
		view.Materiality, view.Version, err = materialityInForce(tx)
		return err
	})
	return view, err
}

// monthDays is how each day of a month was held against what the provider reports.
func monthDays(tx *db.Tx, m period.Month, terms *closing.Materiality) (*closing.Days, error) {
	d := &closing.Days{TwoSign: terms.DaysSigned, Coverage: -1}
	sources, err := tx.Sources(1)
	if err != nil {
		return nil, err
	}
	if d.Sourced = len(sources) > 0; d.Sourced {
		d.FirstDay = sources[0].FirstDay.UTC()
	}
	rows, err := tx.RunDays(m.Start(), m.End())
	if err != nil {
		return nil, err
	}
	signs, err := countingSignOffs(tx, m.Start(), m.End())
	if err != nil {
		return nil, err
	}
	runs, total := map[time.Time]*db.RunRow{}, ReconciledDay{}
	for i := range rows {
		runs[rows[i].Day.UTC()] = &rows[i]
	}
	for at := m.Start(); at.Before(m.End()); at = at.Add(oneDay) {
		day := closing.Day{Day: at, State: string(reconcile.StateNoReport)}
		if r := runs[at]; r != nil {
			one, err := reconciledDay(r)
			if err != nil {
				return nil, err
			}
			total.add(&one)
			day.State, day.Open = r.State, r.Open
			parts := map[string]bool{}
			for k := range signs {
				if signs[k].RunID == r.RunID {
					parts[signs[k].Part] = true
				}
			}
			day.Signed = parts[PartPreparer] && parts[PartReviewer]
		}
		d.List = append(d.List, day)
	}
	d.Difference.AddSum(&total.Difference)
	if len(rows) > 0 {
		total.bps()
		d.Coverage = total.Bps
	}
	return d, nil
}

// explained are what was found unknown on days of a month and explained, and a second person
// agreed: by what the variances are about.
type explained map[explainedKey]bool

type explainedKey struct {
	day               time.Time
	surface, key, mod string  // of what is unknown in all
	node              id.Node // of what is unknown at one node
}

// maxExplained bounds the variances of one month.
const maxExplained = 10_000

func explainedIn(tx *db.Tx, m period.Month) (explained, error) {
	rows, err := tx.Variances(&db.VarianceFilter{Month: m, State: string(reconcile.StandingResolved), Class: string(reconcile.ClassUnknown), Limit: maxExplained})
	if err != nil {
		return nil, err
	}
	said := explained{}
	for i := range rows {
		r := &rows[i]
		switch {
		case r.AmountPico == "0": // a later reconciliation did not find it any more
		case r.NodeID != nil:
			said[explainedKey{day: r.Day.UTC(), node: *r.NodeID}] = true
		default:
			said[explainedKey{day: r.Day.UTC(), surface: r.Surface, key: r.APIKey, mod: r.Model}] = true
		}
	}
	return said, nil
}

// monthUnexplained sums what nobody can say of a month's charges: of its days' reconciliations
// that count, and of its invoices.
func monthUnexplained(tx *db.Tx, m period.Month, terms *closing.Materiality, billed *closing.Invoices) (*closing.Unexplained, error) {
	items, err := tx.DayItems(m, []reconcile.Class{reconcile.ClassUnknown, reconcile.ClassRounding})
	if err != nil {
		return nil, err
	}
	said, err := explainedIn(tx, m)
	if err != nil {
		return nil, err
	}
	u := &closing.Unexplained{Materiality: *terms, Residual: billed.Gross}
	nodes := map[id.Node]*money.Sum{}
	for i := range items {
		it := &items[i]
		if it.Class == reconcile.ClassRounding {
			size := reconcile.Magnitude(&it.Amount)
			u.Rounding.AddSum(&size)
			continue
		}
		said.weigh(u, it, nodes)
	}
	if len(nodes) == 0 {
		return u, nil
	}
	codes, err := codesAt(tx, m.End().Add(-oneDay))
	if err != nil {
		return nil, err
	}
	for node, sum := range nodes {
		u.Nodes = append(u.Nodes, closing.NodeAmount{Code: codes(node), Amount: *sum})
	}
	return u, nil
}

// weigh adds an item that is unknown: what of it lies at nodes, each without its sign, and
// what lies at none.
func (e explained) weigh(u *closing.Unexplained, it *db.DayItem, nodes map[id.Node]*money.Sum) {
	g := it.Cell.Group
	all := e[explainedKey{day: it.Day, surface: string(g.Surface), key: g.Key, mod: g.Model}]
	var nowhere money.Sum
	nowhere.AddSum(&it.Amount)
	add := func(size *money.Sum, node id.Node) {
		if all || (!node.IsZero() && e[explainedKey{day: it.Day, node: node}]) {
			u.Explained.AddSum(size)
			return
		}
		u.Unknown.AddSum(size)
		if node.IsZero() {
			return
		}
		if nodes[node] == nil {
			nodes[node] = &money.Sum{}
		}
		nodes[node].AddSum(size)
	}
	for i := range it.Nodes {
		n := &it.Nodes[i]
		nowhere.SubSum(&n.Amount)
		size := reconcile.Magnitude(&n.Amount)
		add(&size, n.Node)
	}
	size := reconcile.Magnitude(&nowhere)
	add(&size, id.Node{})
}

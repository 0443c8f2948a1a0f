package app

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/closing"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// govern tells the funnel of the moves of a month. Beginning to close it takes nothing from
// anybody but that finance decides from then on; shutting it, reopening it and leaving a
// step out take two persons, the second of whom signs closes.
func (c *Closing) govern() {
	c.changes.govern(changeSoftClose, governed{checks: "finance", lock: (*db.Tx).LockClosing, draft: c.draftMove(changeSoftClose), apply: c.applyMove, impact: c.moveImpact})
	c.changes.govern(changeClose, governed{checks: "close", floor: approval.FloorPair, lock: (*db.Tx).LockClosing, draft: c.draftMove(changeClose), apply: c.applyMove, impact: c.moveImpact})
	c.changes.govern(changeReopen, governed{checks: "close", floor: approval.FloorPair, lock: (*db.Tx).LockClosing, draft: c.draftMove(changeReopen), apply: c.applyMove, impact: c.moveImpact})
	c.changes.govern(changeWaiver, governed{checks: "close", floor: approval.FloorPair, lock: (*db.Tx).LockClosing, draft: c.draftWaiver, apply: c.applyWaiver, impact: c.waiverImpact})
	c.changes.govern(changeMateriality, governed{
		checks: "close", floor: approval.FloorSecond, revisable: true, lock: (*db.Tx).LockCloseTerms, draft: c.draftMateriality, apply: c.applyMateriality, impact: c.materialityImpact,
	})
	c.changes.govern(changeHolidays, governed{
		checks: "finance", floor: approval.FloorSecond, lock: (*db.Tx).LockCloseTerms, draft: c.draftHolidays, apply: c.applyHolidays, impact: c.holidaysImpact,
	})
}

// periodAsk is what a maker sends; to is said only where a month is shut.
type periodAsk struct {
	Period string `json:"period"`
	To     string `json:"to,omitempty"`
}

// periodDocument is what a change says that moves a month: what whoever decides looked at.
type periodDocument struct {
	Period   string `json:"period"`
	From     string `json:"from"`
	To       string `json:"to"`
	Revision int    `json:"revision"` // after the move
	Requests int64  `json:"requests"`
	Charges  string `json:"charges"` // US dollars
	// Figures is the digest of every step's figures: with others, it is not what was looked at.
	Figures string `json:"figures_sha256"`
}

// AskSoftClose is the proposal to begin closing a month.
func AskSoftClose(m period.Month, reason string) Ask {
	return ask(changeSoftClose, reason, periodAsk{Period: m.String()})
}

// AskClose is the proposal to shut a month: to lock it, and then to close it.
func AskClose(m period.Month, to period.State, reason string) Ask {
	return ask(changeClose, reason, periodAsk{Period: m.String(), To: string(to)})
}

// AskReopen is the proposal to take a month that is shut back to closing, as another revision.
func AskReopen(m period.Month, reason string) Ask {
	return ask(changeReopen, reason, periodAsk{Period: m.String()})
}

// destination is the state that a kind of change takes a month to.
func (q *periodAsk) destination(kind string) (period.State, error) {
	if kind != changeClose {
		if q.To != "" {
			return "", fault.Invalid("to", "period_to", "A change of kind %s says itself what it takes a month to: leave it out.", kind)
		}
		return period.StateClosing, nil
	}
	to := period.State(q.To)
	if !to.Shut() {
		return "", fault.Invalid("to", "period_to", "A month is locked, and then closed: %.40q is neither.", q.To)
	}
	return to, nil
}

func (c *Closing) draftMove(kind string) func(*db.Tx, Actor, []byte, time.Time) (draft, error) {
	return func(tx *db.Tx, _ Actor, payload []byte, from time.Time) (draft, error) {
		var asked periodAsk
		if err := strict(payload, &asked); err != nil {
			return draft{}, err
		}
		if !from.IsZero() {
			return draft{}, fault.Invalid("effective_from", "period_dated", "A month moves when it is decided: leave the date out.")
		}
		month, err := period.ParseMonth(asked.Period)
		if err != nil {
			return draft{}, err
		}
		to, err := asked.destination(kind)
		if err != nil {
			return draft{}, err
		}
		m, err := c.moving(tx, month, to)
		if err != nil {
			return draft{}, err
		}
		if m.standing.Reopens(to) != (kind == changeReopen) {
			return draft{}, fault.New(fault.KindConflict, "period_move", month.String()+" is "+string(m.standing.State)+".")
		}
		return draft{payload: m.document(to)}, nil
	}
}

// move is a month that is about to move.
type move struct {
	*work

	after period.Standing
}

// moving works out what a move of a month would be, or why it may not be made.
func (c *Closing) moving(tx *db.Tx, m period.Month, to period.State) (*move, error) {
	through, err := flushedThrough(tx.Context(), c.db)
	if err != nil {
		return nil, err
	}
	w, cal, err := c.held(tx, m, through)
	if err != nil {
		return nil, err
	}
	after, err := cal.move(m, to, tx.Now)
	if err != nil {
		return nil, err
	}
	if to.Shut() && len(w.blocks) > 0 {
		return nil, blocked(m, to, w.blocks)
	}
	return &move{w, after}, nil
}

const blocksNamed = 8

// blocked says what keeps a month from being shut.
func blocked(m period.Month, to period.State, blocks []closing.Block) error {
	said := []string{}
	for i := range blocks {
		if i == blocksNamed {
			said = append(said, fmt.Sprintf("and %d more", len(blocks)-i))
			break
		}
		text := blocks[i].Text
		if blocks[i].Step != "" {
			text = StepWords(blocks[i].Step) + ": " + text
		}
		said = append(said, text)
	}
	return fault.New(fault.KindConflict, "period_blocked", fmt.Sprintf("%s cannot be %s yet. %s", m, to, strings.Join(said, " ")))
}

// StepWords is a step as people call it.
func StepWords(step closing.Step) string {
	switch step {
	case closing.StepUsage:
		return "Usage complete"
	case closing.StepPrices:
		return "Everything priced"
	case closing.StepReconciled:
		return "Days reconciled"
	case closing.StepUnexplained:
		return "Unexplained below materiality"
	case closing.StepInvoice:
		return "Invoice entered"
	case closing.StepAllocation:
		return "Invoice allocated"
	case closing.StepSuspense:
		return "Suspense cleared"
	case closing.StepAccrual:
		return "Accrual posted"
	case closing.StepCapital:
		return "Capitalization reviewed"
	case closing.StepJournal:
		return "Journal balanced"
	case closing.StepApproved:
		return "Journal approved"
	case closing.StepLock:
		return "Month locked"
	case closing.StepDisputes:
		return "Disputes on record"
	case closing.StepCommentary:
		return "Commentary given"
	case closing.StepExported:
		return "Exported and acknowledged"
	case closing.StepPacket:
		return "Packet delivered"
	case closing.StepCheckpoint:
		return "Checkpoint witnessed"
	}
	return string(step)
}

// document is what a change says of a move.
func (m *move) document(to period.State) periodDocument {
	usage := m.facts[closing.StepUsage].Figures
	doc := periodDocument{Period: m.month.String(), From: string(m.standing.State), To: string(to), Revision: m.after.Revision, Figures: m.figuresDigest(to)}
	for _, f := range usage {
		switch f.Name {
		case "requests":
			_, _ = fmt.Sscan(f.Value, &doc.Requests)
		case "charges_usd":
			doc.Charges = f.Value
		}
	}
	return doc
}

// figuresDigest is one digest of the figures of every step that a move rests on. What comes up
// about a month after it was locked is not of what is signed to close it.
func (w *work) figuresDigest(to period.State) string {
	var all []byte
	for _, d := range closing.Definitions() {
		if to == period.StateClosed && d.Stage != closing.ToClose {
			continue
		}
		if b, there := w.bytes[d.Step]; there {
			digest := closing.Digest(b)
			all = append(all, digest[:]...)
		}
	}
	digest := closing.Digest(all)
	return hex.EncodeToString(digest[:])
}

func (d *periodDocument) of(c approval.Change) (month period.Month, to period.State, err error) {
	if err = stored(c, d); err != nil {
		return month, to, err
	}
	month, err = period.ParseMonth(d.Period)
	return month, period.State(d.To), err
}

var errPeriodMoved = errOvertaken("digest_changed", "The month, or a figure of it, is not what this was proposed for. Look at it and propose it again.")

// applyMove moves a month, with everything that posts to it held: the figures have to be what
// was proposed. What is kept of a month that is locked is kept in the same commit.
func (c *Closing) applyMove(tx *db.Tx, ch approval.Change) error {
	var doc periodDocument
	month, to, err := doc.of(ch)
	if err != nil {
		return err
	}
	row, err := tx.HoldPeriod(month)
	if err != nil {
		return err
	}
	m, err := c.moving(tx, month, to)
	if err != nil {
		return err
	}
	if now := m.document(to); now != doc && (to.Shut() || now.From != doc.From || now.Revision != doc.Revision) {
		return errPeriodMoved
	}
	if err := tx.AddPeriodMove(&db.PeriodMoveRow{
		Month: month.Start(), Place: row.Moves + 1, FromState: row.State, ToState: string(to), Revision: m.after.Revision, Actor: ch.Maker, Reason: ch.Reason, ChangeID: ch.ID,
	}); err != nil {
		return err
	}
	if to == period.StateLocked {
		return freeze(tx, month, m.after.Revision, ch.ID)
	}
	return nil
}

func (c *Closing) moveImpact(tx *db.Tx, ch approval.Change) (approval.Impact, error) {
	var doc periodDocument
	month, to, err := doc.of(ch)
	if err != nil {
		return approval.Impact{}, err
	}
	charges, err := money.ParseSum(doc.Charges)
	if err != nil {
		return approval.Impact{}, err
	}
	impact := approval.Impact{Moved: charges}
	said := fmt.Sprintf("%s, revision %d: %d requests, $%s.", month, doc.Revision, doc.Requests, charges.Display())
	switch {
	case doc.From == string(period.StateOpen):
		said += " From now on finance decides about every change with effect in it; charges still post to it."
	case to == period.StateLocked:
		said += " It takes no charge, no adjustment and no entry any more: what comes late posts to the next open month. Its figures are kept as they are."
	case to == period.StateClosed:
		said += " It is closed, and stays so unless a change reopens it."
	default:
		said += " It takes charges, adjustments and entries again; every signature has to be given anew, and what was sent of it is overtaken by the next revision."
	}
	impact.Sentence = said
	return impact, nil
}

// waiverAsk is what a maker sends; waiverDocument what the change says.
type waiverAsk struct {
	Period string `json:"period"`
	Step   string `json:"step"`
}

type waiverDocument struct {
	Period   string `json:"period"`
	Revision int    `json:"revision"`
	Step     string `json:"step"`
}

// AskWaiver is the proposal that a step of a month's checklist does not apply.
func AskWaiver(m period.Month, step closing.Step, reason string) Ask {
	return ask(changeWaiver, reason, waiverAsk{Period: m.String(), Step: string(step)})
}

func (c *Closing) draftWaiver(tx *db.Tx, _ Actor, payload []byte, _ time.Time) (draft, error) {
	var asked waiverAsk
	if err := strict(payload, &asked); err != nil {
		return draft{}, err
	}
	month, err := period.ParseMonth(asked.Period)
	if err != nil {
		return draft{}, err
	}
	cal, err := readCalendar(tx)
	if err != nil {
		return draft{}, err
	}
	doc := waiverDocument{Period: month.String(), Revision: cal.at(month).Revision, Step: asked.Step}
	return draft{payload: doc}, c.waivable(tx, &doc)
}

// waivable refuses to leave out a step that always applies, or does not apply already.
func (c *Closing) waivable(tx *db.Tx, doc *waiverDocument) error {
	month, err := period.ParseMonth(doc.Period)
	if err != nil {
		return err
	}
	d, err := closing.Defined(closing.Step(doc.Step))
	if err != nil || !d.Waivable {
		return fault.Invalid("step", "step_applies", "%.60q is no step of the checklist that may be left out.", doc.Step)
	}
	cal, err := readCalendar(tx)
	if err != nil {
		return err
	}
	if !slices.Contains(cal.months, month) {
		return ErrPeriodAbsent
	}
	stands := cal.at(month)
	late := stands.State.Shut() && d.Stage == closing.ToLock
	if late || stands.State == period.StateClosed || stands.Revision != doc.Revision {
		return errPeriodMoved
	}
	waived, err := tx.Waivers(month, doc.Revision)
	if err == nil && slices.ContainsFunc(waived, func(w db.WaiverRow) bool { return w.Step == doc.Step }) {
		err = fault.New(fault.KindConflict, "step_waived", "That step is left out already.")
	}
	return err
}

func (c *Closing) applyWaiver(tx *db.Tx, ch approval.Change) error {
	var doc waiverDocument
	if err := stored(ch, &doc); err != nil {
		return err
	}
	if err := c.waivable(tx, &doc); err != nil {
		return err
	}
	month, err := period.ParseMonth(doc.Period)
	if err != nil {
		return err
	}
	return tx.AddWaiver(month, doc.Revision, doc.Step, ch.ID)
}

func (c *Closing) waiverImpact(_ *db.Tx, ch approval.Change) (approval.Impact, error) {
	var doc waiverDocument
	if err := stored(ch, &doc); err != nil {
		return approval.Impact{}, err
	}
	return approval.Impact{Sentence: fmt.Sprintf("%s, revision %d, is closed without the step “%s”. Nothing that is charged changes.", doc.Period, doc.Revision, StepWords(closing.Step(doc.Step)))}, nil
}

// freeze keeps the figures of a month as they are: what each node was charged, and what each
// account of an entity came to.
func freeze(tx *db.Tx, m period.Month, revision int, change id.Change) error {
	charged, err := tx.ChargedIn(m)
	if err != nil {
		return err
	}
	balances, err := tx.Balances(m, time.Time{})
	if err != nil {
		return err
	}
	booked, err := tx.Booked(m)
	if err != nil {
		return err
	}
	figures := make([]db.FrozenRow, 0, len(charged)+len(balances))
	head := db.FreezeRow{Revision: revision, ChangeID: change, Cents: int64(booked.Owed)}
	var total money.Sum
	for i := range charged {
		row := &charged[i]
		sum, err := money.SumOfPico(row.ChargePico)
		if err != nil {
			return err
		}
		total.AddSum(&sum)
		head.Requests += row.Requests
		path := strings.Split(row.Path, "\x1f")
		figures = append(figures, db.FrozenRow{
			Kind: "node", Entity: row.Entity, NodeID: &row.NodeID, Code: path[len(path)-1], Path: strings.Join(path, hierarchy.PathSeparator), Capitalization: row.Capitalization,
			Requests: row.Requests, ChargePico: row.ChargePico,
		})
	}
	for i := range balances {
		row, err := trialRow(&balances[i])
		if err != nil {
			return err
		}
		figures = append(figures, db.FrozenRow{Kind: "account", Entity: row.Entity, Code: string(row.Account), ChargePico: "0", DebitCents: int64(row.Debits), CreditCents: int64(row.Credits)})
	}
	head.ChargePico = total.Digits()
	canonical, err := frozenBytes(m, &head, figures)
	if err != nil {
		return err
	}
	return tx.AddFreeze(m, &head, canonical, figures)
}

// frozenBytes are the bytes that the digest of a month's figures is of.
func frozenBytes(m period.Month, head *db.FreezeRow, figures []db.FrozenRow) ([]byte, error) {
	type figure struct {
		Kind           string `json:"kind"`
		Entity         string `json:"entity"`
		Code           string `json:"code"`
		Node           string `json:"node,omitempty"`
		Capitalization string `json:"capitalization,omitempty"`
		Requests       int64  `json:"requests"`
		ChargePico     string `json:"charge_pico"`
		DebitCents     int64  `json:"debit_cents"`
		CreditCents    int64  `json:"credit_cents"`
	}
	document := struct {
		Version    int      `json:"version"`
		Period     string   `json:"period"`
		Revision   int      `json:"revision"`
		Requests   int64    `json:"requests"`
		ChargePico string   `json:"charge_pico"`
		OwedCents  int64    `json:"owed_cents"`
		Figures    []figure `json:"figures"`
	}{1, m.String(), head.Revision, head.Requests, head.ChargePico, head.Cents, []figure{}}
	for i := range figures {
		f := &figures[i]
		one := figure{Kind: f.Kind, Entity: f.Entity, Code: f.Code, Capitalization: f.Capitalization, Requests: f.Requests, ChargePico: f.ChargePico, DebitCents: f.DebitCents, CreditCents: f.CreditCents}
		if f.NodeID != nil {
			one.Node = f.NodeID.String()
		}
		document.Figures = append(document.Figures, one)
	}
	canonical, err := json.Marshal(document)
	if err != nil {
		return nil, errors.Join(errors.New("encode a month's figures"), err)
	}
	return canonical, nil
}

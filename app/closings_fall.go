package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tollbook/app/auditlog"
	"tollbook/app/closing"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/notice"
	"tollbook/app/period"
	"tollbook/db"
)

// falls notes every signature that counts no more, and has those told whom it concerns.
func (w *work) falls(tx *db.Tx) (int, error) {
	var fell []int
	for i := range w.steps {
		for _, place := range w.steps[i].Falling {
			if err := w.fall(tx, place, "figures", string(ActorSystem), ""); err != nil {
				return len(fell), err
			}
			fell = append(fell, place)
		}
	}
	if len(fell) == 0 {
		return 0, nil
	}
	return len(fell), w.tellFalls(tx, fell, string(ActorSystem), "")
}

func (w *work) fall(tx *db.Tx, place int, cause, actor, reason string) error {
	signed := &w.signed[place-1]
	facts := w.bytes[closing.Step(signed.Step)]
	record := auditlog.Record{ID: id.NewRecord(tx.Now), Action: "close.sign_off_fell", Actor: actor, Subject: w.month.String(), Detail: map[string]any{
		"period": w.month.String(), "revision": signed.Revision, "step": signed.Step, "part": signed.Part, "place": place, "member": signed.MemberID.String(),
		"cause": cause, "signed": string(signed.Facts), "facts": string(facts), "reason": reason,
	}}
	if err := tx.AppendAudit(record); err != nil {
		return err
	}
	return tx.AddFall(w.month, place, cause, facts, record.ID)
}

// fallsTold is the record by which people hear of signatures that fell at once.
const fallsTold = "close.sign_offs_told"

// fallen is what such a record says.
type fallen struct {
	Period  string       `json:"period"`
	Change  id.Change    `json:"change"` // by which the month stands where it does
	Reason  string       `json:"reason"` // of who took a signature back
	Fell    []fallenSign `json:"fell"`
	Changed []string     `json:"changed"` // figures, as a mail says them
}

type fallenSign struct {
	Step   closing.Step `json:"step"`
	Part   closing.Part `json:"part"`
	Member id.Member    `json:"member"`
}

// maxChanged bounds the figures that a mail names.
const maxChanged = 12

// tellFalls asks for those to be told whose signatures fell, and whose work the steps are: once
// for all that fell at once.
func (w *work) tellFalls(tx *db.Tx, places []int, actor, reason string) error {
	moves, err := tx.PeriodMoves(w.month, 1)
	if err != nil || len(moves) == 0 {
		return err
	}
	said := fallen{Period: w.month.String(), Change: moves[0].ChangeID, Reason: reason, Changed: []string{}}
	seen := map[closing.Step]bool{}
	for _, place := range places {
		signed := &w.signed[place-1]
		step := closing.Step(signed.Step)
		said.Fell = append(said.Fell, fallenSign{Step: step, Part: closing.Part(signed.Part), Member: signed.MemberID})
		if seen[step] {
			continue
		}
		seen[step] = true
		was, err := closing.FiguresOf(signed.Facts)
		if err != nil {
			return err
		}
		for _, c := range closing.Differing(was, w.facts[step].Figures) {
			if len(said.Changed) < maxChanged {
				said.Changed = append(said.Changed, fmt.Sprintf("%s, %s: %s, now %s", StepWords(step), strings.ReplaceAll(c.Name, "_", " "), c.Was, c.Is))
			}
		}
	}
	document, err := json.Marshal(said)
	if err != nil {
		return fmt.Errorf("encode signatures that fell: %w", err)
	}
	record := auditlog.Record{ID: id.NewRecord(tx.Now), Action: fallsTold, Actor: actor, Subject: w.month.String(), Detail: map[string]any{
		"period": said.Period, "signatures": len(said.Fell), "fell": string(document),
	}}
	if err := tx.AppendAudit(record); err != nil {
		return err
	}
	return tx.Enqueue(job.NotifyChange{Tenant: tx.Tenant.String(), Record: record.ID.String()})
}

// fallenOf reads such a record.
func fallenOf(row *db.LogRow) (fallen, error) {
	var record struct {
		Detail struct {
			Fell string `json:"fell"`
		} `json:"detail"`
	}
	var said fallen
	if err := json.Unmarshal(row.Canonical, &record); err != nil {
		return said, fmt.Errorf("read record %s: %w", row.RecordID, err)
	}
	if err := json.Unmarshal([]byte(record.Detail.Fell), &said); err != nil {
		return said, fmt.Errorf("read record %s: %w", row.RecordID, err)
	}
	return said, nil
}

// owners are the roles whose work the steps are.
func (f *fallen) owners() []Role {
	var roles []Role
	for i := range f.Fell {
		if d, err := closing.Defined(f.Fell[i].Step); err == nil && !slices.Contains(roles, Role(d.Owner)) {
			roles = append(roles, Role(d.Owner))
		}
	}
	return roles
}

// fallen makes those due a message whose signatures fell, and whose work the steps are.
func (a *audience) fallen(h *happening, said *fallen, but []id.Person) {
	d := notice.Due{Purpose: notice.Fell, Record: h.record}
	for i := range said.Fell {
		if one := a.room.account(said.Fell[i].Member); one != nil {
			a.addPerson(one.person, but, d)
		}
	}
	owners := said.owners()
	for i := range a.room.accounts {
		one := &a.room.accounts[i]
		if slices.ContainsFunc(one.grants, func(g Grant) bool { return slices.Contains(owners, g.Role) }) {
			a.addPerson(one.person, but, d)
		}
	}
}

// hear reads what fell, and makes whom it concerns due a message, but for who did it.
func (a *audience) hear(tx *db.Tx, h *happening) error {
	row, found, err := tx.LogRecord(h.record)
	if err != nil || !found {
		return err
	}
	said, err := fallenOf(&row)
	if err != nil {
		return err
	}
	actors, err := tx.MakerPersons(h.actor)
	if err != nil {
		return err
	}
	a.fallen(h, &said, actors)
	return nil
}

// fallen fills in a letter about signatures that fell.
func (l *Letter) fallen(public, slug string, row *db.LogRow) error {
	said, err := fallenOf(row)
	if err != nil {
		return err
	}
	m, err := period.ParseMonth(said.Period)
	if err != nil {
		return err
	}
	month := m.Start().Format("January 2006")
	seen := map[closing.Step]bool{}
	for i := range said.Fell {
		if step := said.Fell[i].Step; !seen[step] {
			seen[step] = true
			l.Steps = append(l.Steps, StepWords(step))
		}
	}
	l.About, l.Changed, l.Reason, l.URL = "the close of "+month, said.Changed, quoted(said.Reason), public+"/t/"+slug+"/close/"+said.Period
	return nil
}

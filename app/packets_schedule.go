package app

import (
	"context"
	"errors"
	"time"

	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/period"
	"tollbook/db"
)

// finalMonths is how many months back a month that was closed is still sent by itself.
const finalMonths = 3

// wanted is a packet that a recipient is due.
type wanted struct {
	recipient db.RecipientRow
	month     period.Month
	final     bool
}

// packetsDue asks for what recipients are due to be looked for; of a company that was let go,
// nobody is sent anything any more.
func packetsDue(tx *db.Tx) ([]db.Job, error) {
	if _, gone, err := tx.Offboarding(); err != nil || gone {
		return nil, err
	}
	rows, err := tx.LiveRecipients(1)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return []db.Job{job.SchedulePackets{Tenant: tx.Tenant.String()}}, nil
}

// Schedule builds and queues what recipients are due: drafts by their day and hour in the
// company's zone, and final packets of months that were closed since they were recipients. It
// keeps no position: what is due follows from what was queued, so that it may be ended
// anywhere, and called twice it queues nothing twice.
func (p *Packets) Schedule(ctx context.Context, tenant id.Tenant) (int, error) {
	if !p.log.Signs() {
		return 0, nil
	}
	var list []wanted
	if err := p.db.ReadTenant(ctx, tenant, func(tx *db.Tx) (err error) {
		list, err = p.wanted(tx)
		return err
	}); err != nil {
		return 0, err
	}
	queued := 0
	var failed error
	for i := range list {
		fresh, err := p.send(ctx, tenant, &list[i])
		if err != nil { // one recipient's trouble does not keep the others waiting
			failed = errors.Join(failed, err)
			continue
		}
		if fresh {
			queued++
		}
	}
	return queued, failed
}

// send builds what a recipient is due, unless it is there, and queues it.
func (p *Packets) send(ctx context.Context, tenant id.Tenant, w *wanted) (bool, error) {
	made, _, err := p.build(ctx, tenant, builderOf(System(tenant)), w.month, w.recipient.ScopeNodeID)
	if errors.Is(err, db.ErrPacketAbsent) {
		return false, nil // their node was retired
	}
	if err != nil {
		return false, err
	}
	queued := false
	err = p.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		row, err := tx.Packet(made)
		if err != nil || w.final != (row.State == "FINAL") {
			return err // reopened, or closed, meanwhile: the next look decides anew
		}
		queued, err = p.due(tx, string(ActorSystem), &row, &w.recipient)
		return err
	})
	return queued, err
}

// wanted lists what is due and not queued.
func (p *Packets) wanted(tx *db.Tx) ([]wanted, error) {
	if _, gone, err := tx.Offboarding(); err != nil || gone {
		return nil, err
	}
	rows, err := tx.LiveRecipients(maxRecipients)
	if err != nil {
		return nil, err
	}
	tenant, err := tx.TenantRow()
	if err != nil {
		return nil, err
	}
	zone := Profile{TimeZone: tenant.TimeZone}.Location()
	var list []wanted
	for i := range rows {
		r := &rows[i]
		draft, err := draftDue(tx, r, zone)
		if err != nil {
			return nil, err
		}
		if draft != nil {
			list = append(list, *draft)
		}
		finals, err := finalsDue(tx, r)
		if err != nil {
			return nil, err
		}
		list = append(list, finals...)
	}
	return list, nil
}

// draftDue is the draft of the month before, once its day and hour have come in the
// company's zone; nothing where anything of that month was queued for the recipient.
func draftDue(tx *db.Tx, r *db.RecipientRow, zone *time.Location) (*wanted, error) {
	if r.DraftDay == nil {
		return nil, nil
	}
	here := tx.Now.In(zone)
	at := time.Date(here.Year(), here.Month(), *r.DraftDay, r.DraftHour, 0, 0, 0, zone)
	if tx.Now.Before(at) || r.LiveAt.After(at) {
		return nil, nil
	}
	month := period.MonthOf(time.Date(here.Year(), here.Month(), 1, 0, 0, 0, 0, time.UTC)).Previous()
	state, err := tx.PeriodState(month)
	if err != nil || state.Shut() {
		return nil, err
	}
	sent, err := tx.PacketDeliveries(db.PacketDeliveryFilter{Recipient: r.RecipientID, Month: month, Limit: 1})
	if err != nil || len(sent) > 0 {
		return nil, err
	}
	return &wanted{recipient: *r, month: month}, nil
}

// finalsDue are the final packets of the latest months that were closed since somebody was a
// recipient: each is built anew after its month was closed, and sent unless it was.
func finalsDue(tx *db.Tx, r *db.RecipientRow) ([]wanted, error) {
	if !r.Final {
		return nil, nil
	}
	var list []wanted
	month := period.MonthOf(tx.Now)
	for range finalMonths + 1 {
		locked, found, err := lockedSince(tx, month)
		if err != nil {
			return nil, err
		}
		if found && !r.LiveAt.After(locked) {
			done, err := finalQueued(tx, r, month, locked)
			if err != nil {
				return nil, err
			}
			if !done {
				list = append(list, wanted{recipient: *r, month: month, final: true})
			}
		}
		month = month.Previous()
	}
	return list, nil
}

// finalQueued tells whether the packet that was built of a month since it was closed is
// queued for a recipient.
func finalQueued(tx *db.Tx, r *db.RecipientRow, month period.Month, locked time.Time) (bool, error) {
	sent, err := tx.PacketDeliveries(db.PacketDeliveryFilter{Recipient: r.RecipientID, Month: month, Limit: 1})
	if err != nil || len(sent) == 0 {
		return false, err
	}
	return sent[0].PacketState == "FINAL" && !sent[0].RecordedAt.Before(locked), nil
}

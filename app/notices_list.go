package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/notice"
	"tollbook/db"
)

// DeliveryView is one message to one recipient, with how it stands.
type DeliveryView struct {
	ID       id.Delivery
	Change   id.Change
	Number   int64
	Kind     string // of the change
	Channel  notice.ChannelKind
	Purpose  notice.Purpose
	To       Hand   // a person
	Label    string // of a channel
	DueAt    time.Time
	State    notice.State // empty before the first attempt
	StateAt  time.Time
	Answer   string
	Tries    int
	Sendable bool // it came to an end, and may be sent again
}

// DeliveryAsk chooses deliveries.
type DeliveryAsk struct {
	State   string // waiting, or one of notice.States; empty: any
	Channel string // a kind of channel; empty: any
	Number  int64  // of a change; 0: any
	Before  id.Delivery
	Limit   int
}

// DeliveryPage is one page of deliveries, newest first.
type DeliveryPage struct {
	Rows []DeliveryView
	Next id.Delivery // to go on before; zero on the last page
}

// StateWaiting chooses deliveries that are not at an end.
const StateWaiting = "waiting"

// MaxDeliveries bounds one page of deliveries.
const MaxDeliveries = 500

// Deliveries lists what was due to whom and what became of it.
func (n *Notices) Deliveries(ctx context.Context, who Actor, ask DeliveryAsk) (DeliveryPage, error) {
	if err := n.changes.access.Check(who, "delivery", "read"); err != nil {
		return DeliveryPage{}, err
	}
	if ask.State != "" && ask.State != StateWaiting && !slices.Contains(notice.States(), notice.State(ask.State)) {
		return DeliveryPage{}, fault.Invalid("state", "state_unknown", "There is no delivery in a state %.40q.", ask.State)
	}
	if ask.Channel != "" && !slices.Contains(channelKinds(), notice.ChannelKind(ask.Channel)) {
		return DeliveryPage{}, fault.Invalid("channel", "channel_kind", "There is no channel %.40q.", ask.Channel)
	}
	limit := min(max(ask.Limit, 1), MaxDeliveries)
	var page DeliveryPage
	err := n.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Deliveries(db.DeliveryFilter{State: ask.State, Channel: ask.Channel, Number: ask.Number, Before: ask.Before, Limit: limit + 1})
		if err != nil {
			return err
		}
		if len(rows) > limit {
			rows = rows[:limit]
			page.Next = rows[limit-1].DeliveryID
		}
		var people []string
		for i := range rows {
			if !rows[i].MemberID.IsZero() {
				people = append(people, rows[i].MemberID.String())
			}
		}
		hands, err := n.members.hands(tx, people)
		if err != nil {
			return err
		}
		for i := range rows {
			page.Rows = append(page.Rows, deliveryView(&rows[i], hands))
		}
		return nil
	})
	return page, err
}

func deliveryView(r *db.DeliveryListRow, hands map[string]Hand) DeliveryView {
	v := DeliveryView{
		ID: r.DeliveryID, Change: r.ChangeID, Number: r.Number, Kind: r.Kind, Channel: notice.ChannelKind(r.Channel), Purpose: notice.Purpose(r.Purpose), Label: r.Label,
		DueAt: r.RecordedAt.UTC(), State: notice.State(r.State), StateAt: r.StateAt.UTC(), Answer: r.Answer, Tries: r.Tries, Sendable: notice.State(r.State).Ended(),
	}
	if !r.MemberID.IsZero() {
		v.To = hands[r.MemberID.String()]
	}
	return v
}

// Muted lists what the actor gets no mail about.
func (n *Notices) Muted(ctx context.Context, who Actor) ([]notice.Topic, error) {
	if err := n.changes.allowed(who, changeMutes); err != nil {
		return nil, err
	}
	var topics []notice.Topic
	err := n.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		mutes, err := tx.Mutes(who.Person)
		if err != nil {
			return err
		}
		topics, err = notice.ParseTopics(strings.Fields(mutes[who.Person]))
		return err
	})
	return topics, err
}

// Mute sets what the actor gets no mail about from now on, under every account of theirs.
func (n *Notices) Mute(ctx context.Context, who Actor, list []string) error {
	if err := n.changes.allowed(who, changeMutes); err != nil {
		return err
	}
	if who.Kind != ActorPerson {
		return ErrNoPerson
	}
	topics, err := notice.ParseTopics(list)
	if err != nil {
		return err
	}
	return n.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		mutes, err := tx.Mutes(who.Person)
		if err != nil {
			return err
		}
		next := notice.JoinTopics(topics)
		if mutes[who.Person] == next {
			return nil
		}
		payload := map[string]any{"person": who.Person.String(), "muted": next}
		_, err = n.changes.change(tx, who, proposal{kind: changeMutes, payload: payload, reason: "own choice of mail"}, func(c approval.Change) error {
			return tx.SetMutes(id.NewVersion(tx.Now), who.Person, next, c.ID)
		})
		return err
	})
}

package demo

import (
	"context"
	"fmt"
	"time"

	"tollbook/app"
	"tollbook/app/commentary"
	"tollbook/app/fault"
	"tollbook/app/period"
)

// ReceiverName is what the link of the second budget owner is called: whom the first one's
// disputes are answered by.
const ReceiverName = "receiving_owner"

// Receiver owns the budget of the other business unit.
func Receiver() Person {
	return Person{app.RoleBudgetOwner, "u-elena", "Elena Petrova", "elena.petrova@meridian.example", "BU-20"}
}

// admitReceiver admits the second budget owner, who has no token. A data directory of an older
// release has none of them yet.
func admitReceiver(ctx context.Context, areas Areas, who app.Actor, state *State, issuerURL string) error {
	if state.ReceivesAt == issuerURL {
		return nil
	}
	p := Receiver()
	_, err := areas.Members.Add(ctx, who, app.NewMember{Issuer: issuerURL, Subject: p.Subject, Name: p.Name, Email: p.Email, Role: p.Role, NodeCode: p.Node}, reason)
	if err != nil && fault.KindOf(err) != fault.KindConflict {
		return fmt.Errorf("admit the second budget owner: %w", err)
	}
	state.ReceivesAt = issuerURL
	return nil
}

// texts are what the first budget owner wrote about the month before, by node.
func texts() [][2]string {
	return [][2]string{
		{"CC-4100", "Perception moved its nightly regression to the larger model for two weeks while the lidar stack was re-written. The volume goes back in the current month; the mix does not."},
		{"P-4300-01", "The scenario generator covered the winter test drives. Two engineers joined it, as the reforecast says; use a head is what it was."},
	}
}

// notes has finance ask owners about the month before, one of them answer for some nodes and
// dispute what another was charged, once.
func notes(ctx context.Context, areas Areas, who app.Actor, state *State, issuerURL string, now time.Time) error {
	if state.Noted {
		return nil
	}
	month := period.MonthOf(now).Previous()
	err := as(ctx, areas, who, issuerURL, app.RoleFinanceAdmin, now, func(finance app.Actor) error {
		_, err := areas.Commentaries.Ask(ctx, finance, app.CommentaryAsk{Month: month, Kind: commentary.Asked, Threshold: commentary.Standard(), Note: "for the close, by the third workday"})
		return err
	})
	if err != nil {
		return fmt.Errorf("ask for commentary: %w", err)
	}
	err = as(ctx, areas, who, issuerURL, app.RoleBudgetOwner, now, func(owner app.Actor) error {
		for _, one := range texts() {
			about, err := areas.Commentaries.Node(ctx, owner, month, one[0], commentary.Standard())
			if err != nil {
				return err
			}
			if err := areas.Commentaries.Write(ctx, owner, app.NewCommentary{Month: month, Node: one[0], Text: one[1], Seen: about.Digest}); err != nil {
				return err
			}
		}
		_, err := areas.Disputes.Raise(ctx, owner, app.NewDispute{
			Month: month, Node: "CC-4400", To: "CC-5200", Reason: "The incident reviews ran for Telemetry, on our key: they had none of their own yet.",
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("answer and dispute: %w", err)
	}
	err = as(ctx, areas, who, issuerURL, app.RoleController, now, func(controller app.Actor) error {
		return areas.Commentaries.Review(ctx, controller, app.CommentaryReview{Month: month, Node: texts()[0][0], Kind: commentary.Accepted})
	})
	if err != nil {
		return fmt.Errorf("accept a commentary: %w", err)
	}
	state.Noted = true
	return nil
}

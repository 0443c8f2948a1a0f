package demo

import (
	"context"
	"fmt"
	"time"

	"tollbook/app"
)

// waiting is a change somebody of the company proposed, and what was said about it.
type waiting struct {
	role   app.Role
	ask    app.Ask
	asks   app.Role // who asks about it; empty: nobody
	remark string
}

// waitingChanges wait for somebody else's decision: of an engineer, an analyst and the owner.
func waitingChanges(now time.Time) []waiting {
	month := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	return []waiting{
		{
			role: app.RoleEngineeringAdmin, asks: app.RoleController, remark: "Does the plan of the project move with it from the same day?",
			ask: app.Ask{
				Kind: "node", EffectiveFrom: month, Reason: "Dataset tooling is in maintenance; its team moved to Data engineering.",
				Payload: []byte(`{"operations":[{"op":"move","code":"P-4100-11","parent_code":"CC-6300"},{"op":"capitalization","code":"P-4100-11","capitalization":"expense"}]}`),
			},
		},
		{
			role: app.RoleAnalyst,
			ask: app.Ask{
				Kind: "node", EffectiveFrom: month, Reason: "The depots’ systems are run by this team, too: as the budget calls it.",
				Payload: []byte(`{"operations":[{"op":"rename","code":"CC-5300","name":"Depot systems"}]}`),
			},
		},
		{
			role: app.RoleTenantOwner, asks: app.RoleFinanceAdmin, remark: "Two persons from 100 dollars on: is that what the board meant?",
			ask: app.Ask{
				Kind: "policies", Reason: "The board asks for a second pair of eyes on large moves.",
				Payload: []byte(`{"policies":[
					{"code":"large-moves","kinds":["node"],"at_least":"100.00","expire_days":14,"remind_days":3,"escalate_days":5,"escalate_to":[{"role":"controller"}],
						"steps":[{"name":"Receiving owner accepts","quorum":1,"who":[{"owner":true}]},{"name":"Finance approves","quorum":1,"who":[{"role":"finance_admin"},{"role":"controller"}]}]},
					{"code":"prices","kinds":["prices"],"expire_days":30,"remind_days":7,"steps":[{"name":"Controller approves","quorum":1,"who":[{"role":"controller"}]}]}]}`),
			},
		},
	}
}

// propose leaves what the company's people propose waiting, once.
func propose(ctx context.Context, areas Areas, who app.Actor, state *State, issuerURL string, now time.Time) error {
	if state.Proposed {
		return nil
	}
	for _, one := range waitingChanges(now.UTC()) {
		var made app.ChangeView
		err := as(ctx, areas, who, issuerURL, one.role, now, func(maker app.Actor) error {
			var err error
			made, err = areas.Approvals.Propose(ctx, maker, one.ask, "")
			return err
		})
		if err != nil {
			return fmt.Errorf("propose as %s: %w", one.role, err)
		}
		if one.asks == "" {
			continue
		}
		err = as(ctx, areas, who, issuerURL, one.asks, now, func(asking app.Actor) error {
			return areas.Approvals.Remark(ctx, asking, made.ID, app.RemarkQuestion, one.remark)
		})
		if err != nil {
			return fmt.Errorf("ask as %s: %w", one.asks, err)
		}
	}
	state.Proposed = true
	return nil
}

// as does something in a session of its own, as the person with a role.
func as(ctx context.Context, areas Areas, who app.Actor, issuerURL string, role app.Role, now time.Time, do func(app.Actor) error) error {
	for _, p := range People() {
		if p.Role != role {
			continue
		}
		cookie, err := areas.SignIns.Accept(ctx, who.Tenant, app.Claims{Issuer: issuerURL, Subject: p.Subject, SignedInAt: now})
		if err != nil {
			return err
		}
		person, err := areas.SignIns.BySession(ctx, cookie)
		if err != nil {
			return err
		}
		if err := do(person); err != nil {
			return err
		}
		return areas.SignIns.EndSession(ctx, person, person.Session)
	}
	return nil
}

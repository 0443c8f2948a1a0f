package demo

import (
	"context"
	"fmt"
	"strings"

	"tollbook/app"
	"tollbook/app/period"
)

// mapAccounts says what the example company's NetSuite calls its accounts, nodes, entities
// and months, so that the journal of any month can be exported at once.
func mapAccounts(ctx context.Context, areas Areas, who app.Actor, plan Plan) error {
	rules := []string{
		"field,source,code,value",
		"subsidiary,entity,US01,Meridian Robotics : US", "subsidiary,entity,US02,Meridian Robotics : Services",
		"account,account,6410,6410 AI services : Autonomy", "account,account,6420,6420 AI services : Fleet", "account,account,6430,6430 AI services : Corporate",
		"account,kind,expense,6400 AI services", "account,kind,capitalized_asset,1520 Internal-use software", "account,kind,accrued_liability,2150 Accrued liabilities",
		"account,kind,intercompany_due_from,1310 Due from affiliates", "account,kind,intercompany_due_to,2310 Due to affiliates", "account,kind,suspense,1999 Suspense",
		"account,kind,rounding,6999 Rounding", "account,kind,payable,2000 Accounts payable", "account,kind,shared_pool,6490 Shared AI services", "account,kind,reconciliation_residual,6998 Reconciliation differences",
		"department,node,*,Unassigned",
	}
	names := map[string]string{}
	for _, n := range hierarchy() {
		names[n.Code] = n.Name
		department := n.Name
		if n.Kind == "project" {
			department = names[n.ParentCode]
		}
		rules = append(rules, "department,node,"+n.Code+","+department)
		if n.Capitalization == "capitalize" {
			rules = append(rules, "account,node,"+n.Code+",1520 Internal-use software")
		}
	}
	const ahead = 24
	for i := range months + ahead {
		month := plan.start().AddDate(0, i, 0)
		rules = append(rules, "period,period,"+month.Format("2006-01")+","+month.Format("Jan 2006"))
	}
	if err := areas.Exports.SetMapping(ctx, who, app.MappingAsk{System: "netsuite", InUse: true, Rules: strings.Join(rules, "\n") + "\n"}, reason); err != nil {
		return fmt.Errorf("map accounts: %w", err)
	}
	for i := range months { // those that are over: their files are there for who only reads, too
		if _, err := areas.Exports.Make(ctx, who, "netsuite", period.MonthOf(plan.start().AddDate(0, i, 0))); err != nil {
			return fmt.Errorf("export the journal: %w", err)
		}
	}
	return nil
}

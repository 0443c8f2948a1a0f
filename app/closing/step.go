package closing

import (
	"slices"
	"time"

	"tollbook/app/fault"
	"tollbook/app/period"
)

// Step is one line of the checklist.
type Step string

// The steps.
const (
	StepUsage       Step = "usage"          // every day's usage is complete
	StepPrices      Step = "prices"         // every request has its final price
	StepReconciled  Step = "reconciliation" // every day was held against what the provider reports
	StepInvoice     Step = "invoice"        // the provider's invoice is there, or what it would bill stays accrued
	StepAllocation  Step = "allocation"     // and it is split among nodes, and booked
	StepUnexplained Step = "unexplained"    // what nobody can say of it is not material
	StepSuspense    Step = "suspense"       // nothing is charged to nobody, or somebody says why
	StepAccrual     Step = "accrual"        // what was used and is not invoiced is accrued
	StepCapital     Step = "capitalization" // what is capitalized was looked at
	StepJournal     Step = "journal"        // the entries are complete and balance
	StepDisputes    Step = "disputes"       // what owners say is another's is on record
	StepCommentary  Step = "commentary"     // and why their months came to what they did
	StepApproved    Step = "journal_review" // and somebody answers for them
	StepLock        Step = "lock"           // the month takes nothing more
	StepExported    Step = "exported"       // finance's own systems have what was posted, and said so
	StepPacket      Step = "packet"         // and everybody who is due it the packet
	StepCheckpoint  Step = "checkpoint"     // and somebody outside has seen so
)

// Definition is a step as the checklist has it.
type Definition struct {
	Step Step
	// Owner is the role whose work it is, and Reviewer the object whose approval a reviewer
	// needs; empty: nobody signs it, its figures say it all.
	Owner    string
	Reviewer string
	Workday  int    // of the month after, by whose end it is due
	After    []Step // which have to be done before
	Waivable bool   // it may not apply, where an approved change says so
	Stage    Stage
}

// Stage is when a step is asked for.
type Stage int

// The stages, in their order.
const (
	ToLock  Stage = iota // before the month is locked
	Shuts                // it is what locking does, or follows from it: nobody is asked
	ToClose              // between locking and closing it
)

// Definitions are the steps in their order.
func Definitions() []Definition {
	const finance, controller, product = "finance_admin", "controller", "tollbook"
	return []Definition{
		{Step: StepUsage, Owner: finance, Reviewer: "finance", Workday: 1, Waivable: true},
		{Step: StepPrices, Owner: finance, Reviewer: "finance", Workday: 1, After: []Step{StepUsage}},
		{Step: StepReconciled, Owner: finance, Reviewer: "finance", Workday: 2, After: []Step{StepUsage}, Waivable: true},
		{Step: StepInvoice, Owner: finance, Reviewer: "finance", Workday: 3, After: []Step{StepUsage}, Waivable: true},
		{Step: StepSuspense, Owner: finance, Reviewer: "finance", Workday: 2, After: []Step{StepUsage}, Waivable: true},
		{Step: StepAccrual, Owner: finance, Reviewer: "finance", Workday: 3, After: []Step{StepPrices}},
		{Step: StepAllocation, Owner: finance, Reviewer: "close", Workday: 3, After: []Step{StepInvoice, StepAccrual}, Waivable: true},
		{Step: StepUnexplained, Owner: finance, Reviewer: "close", Workday: 3, After: []Step{StepReconciled, StepAllocation}},
		{Step: StepCapital, Owner: controller, Reviewer: "finance", Workday: 3, After: []Step{StepSuspense}, Waivable: true},
		{Step: StepDisputes, Owner: product, Workday: 3},
		{Step: StepCommentary, Owner: finance, Reviewer: "finance", Workday: 4, After: []Step{StepSuspense}, Waivable: true},
		{Step: StepJournal, Owner: product, Workday: 4, After: []Step{StepAccrual, StepAllocation}},
		{Step: StepApproved, Owner: controller, Reviewer: "close", Workday: 4, After: []Step{StepJournal, StepCapital, StepUnexplained, StepDisputes, StepCommentary}},
		{Step: StepLock, Owner: controller, Workday: 5, After: []Step{StepApproved}, Stage: Shuts},
		{Step: StepExported, Owner: finance, Reviewer: "close", Workday: 6, After: []Step{StepLock}, Waivable: true, Stage: ToClose},
		{Step: StepPacket, Owner: product, Workday: 6, After: []Step{StepLock}, Waivable: true, Stage: ToClose},
		{Step: StepCheckpoint, Owner: product, Workday: 5, After: []Step{StepLock}, Stage: Shuts},
	}
}

// ErrStep refuses a step that is none.
var ErrStep = fault.New(fault.KindNotFound, "close_step_absent", "The checklist has no such step.")

// Defined is a step's definition.
func Defined(step Step) (Definition, error) {
	all := Definitions()
	i := slices.IndexFunc(all, func(d Definition) bool { return d.Step == step })
	if i < 0 {
		return Definition{}, ErrStep
	}
	return all[i], nil
}

// Signed tells whether persons sign the step.
func (d *Definition) Signed() bool { return d.Reviewer != "" }

// Calendar is the days on which nobody at a company works, besides weekends.
type Calendar map[time.Time]bool

// Workday tells whether somebody works on a day.
func (c Calendar) Workday(day time.Time) bool {
	return day.Weekday() != time.Saturday && day.Weekday() != time.Sunday && !c[day]
}

// maxFree bounds the days in a row that nobody works on: a list of nothing but holidays ends.
const maxFree = 366

// Due is the day by whose end a step of a month is due: so many workdays into the month after
// it.
func (d *Definition) Due(m period.Month, holidays Calendar) time.Time {
	at, free := m.End(), 0
	for left := d.Workday; ; at = at.AddDate(0, 0, 1) {
		if holidays.Workday(at) {
			left--
		} else {
			free++
		}
		if left <= 0 || free > maxFree {
			return at
		}
	}
}

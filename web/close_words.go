package web

import (
	"tollbook/app"
	"tollbook/app/closing"
	"tollbook/app/period"
	"tollbook/web/ui"
)

// ownerWords are whose work a step is.
func ownerWords(owner string) string {
	if owner == "tollbook" {
		return "Tollbook, by itself"
	}
	return ui.Words(owner)
}

// stepMeans says what a step is about.
func stepMeans(step closing.Step) string {
	switch step {
	case closing.StepUsage:
		return "Every gateway has delivered every request of the month, and none of them may still change."
	case closing.StepPrices:
		return "Every request has the price of the book that held for it."
	case closing.StepReconciled:
		return "Every day was held against what the provider reports, is final, and has no variance that nobody resolved. Days without a report have a reason that somebody of finance signs."
	case closing.StepUnexplained:
		return "What nobody can explain is not material, in all and at each node. What was explained as unknown, or is rounding, is reviewed by who signs closes."
	case closing.StepInvoice:
		return "The provider’s invoice for the month is entered and held against the ledger. Where it is late, what was used stays accrued, and somebody signs so."
	case closing.StepAllocation:
		return "What is billed is split among nodes to the cent and booked. What nothing explains has a reason that who signs closes agrees to."
	case closing.StepSuspense:
		return "Nothing is charged to nobody. What is left there has a reason that somebody of finance signs."
	case closing.StepAccrual:
		return "Each day’s charges are posted, and what is owed is what the month comes to."
	case closing.StepCapital:
		return "What is capitalized was looked at, and each of its nodes has a document that says why. Whether it may be capitalized is the controller’s judgment."
	case closing.StepJournal:
		return "The month’s entries are there, and debits are credits in every entity."
	case closing.StepApproved:
		return "Two persons answer for the month’s entries, the second of whom signs closes."
	case closing.StepLock:
		return "The month takes no charge, no adjustment and no entry."
	case closing.StepDisputes:
		return "What owners of nodes say is another’s is on record, with its amount. What has not ended keeps no month from being locked."
	case closing.StepCommentary:
		return "Owners who were asked why their month came to what it did have answered, or somebody of finance says why it is locked without."
	case closing.StepExported:
		return "Every entry of the month is in a file that finance’s own system took, each with the id it has there, and the general ledger says what was exported."
	case closing.StepPacket:
		return "The final packet has reached everybody who is due it."
	case closing.StepCheckpoint:
		return "A witness outside has seen a head of the audit log that covers the last move of the month."
	}
	return ""
}

// nextMove and closesTo are what a month that is not closed is about to be.
func nextMove(c *app.CloseView) string {
	if c.Standing.State == period.StateLocked {
		return "closing"
	}
	return "locking"
}

func closesTo(c *app.CloseView) string {
	if c.Standing.State == period.StateLocked {
		return "closed"
	}
	return "locked"
}

// keyFigures are the first few of a step, for a row.
func keyFigures(s *app.CloseStep) []closing.Figure {
	const shown = 3
	return s.Facts.Figures[:min(shown, len(s.Facts.Figures))]
}

// reasonOf is what was typed into the form that was sent.
func reasonOf(f closeForm, which string) string {
	if f.Which != which {
		return ""
	}
	return f.Reason
}

// unsignable says why a person can sign nothing here.
func unsignable(v *closeStepView) string {
	switch {
	case !v.Step.Signed():
		return "Nobody signs this step: its figures say it all."
	case v.Close.Standing.State == period.StateOpen:
		return "The month is open. Begin to close it first."
	case v.Step.State == closing.Waived:
		return "It is left out."
	case v.Step.Stage == closing.ToClose && !v.Close.Standing.State.Shut():
		return "It is signed when the month is locked."
	case !signable(v.Close, v.Step):
		return "The month is " + string(v.Close.Standing.State) + ": nothing of this step is signed any more."
	}
	switch v.Step.State {
	case closing.Done:
		return "It is prepared and reviewed."
	case closing.Waived:
		return "It is left out."
	case closing.Blocked:
		return "Something is in its way."
	case closing.Waiting:
		return "A step before it is not done."
	case closing.Signed:
		return "It waits for somebody else to review it."
	case closing.Ready, closing.NotAsked:
	}
	return "It waits for somebody of finance to prepare it."
}

// signWords say what a signature here means.
func signWords(v *closeStepView) string {
	if v.Part == closing.Prepared {
		return "You say that " + monthName(v.Close.Month) + " is as the figures beside this have it, and that the step is done."
	}
	return "You have looked at what " + v.Step.Preparer.By.Name + " prepared, and agree."
}

func noteLabel(v *closeStepView) string {
	if v.Part == closing.Prepared && v.Step.Facts.Asks != "" {
		return v.Step.Facts.Asks
	}
	return "Anything to say"
}

package job

// SequenceAudit gives every unsequenced audit record of a tenant its place in the
// log.
type SequenceAudit struct {
	Tenant string `json:"tenant"`
}

// Kind implements River's JobArgs.
func (SequenceAudit) Kind() string { return "sequence_audit" }

// Tick is the minute's clock: it asks the database what is due and fans out.
type Tick struct{}

// Kind implements River's JobArgs.
func (Tick) Kind() string { return "tick" }

// ProposePrices proposes the vendor's list this binary ships to a tenant whose prices
// were made from another. The digest names the list: a process that ships another one
// leaves the job to one that has it.
type ProposePrices struct {
	Tenant string `json:"tenant"`
	Digest string `json:"digest"`
}

// Kind implements River's JobArgs.
func (ProposePrices) Kind() string { return "propose_prices" }

// ProveSums compares rollups, events and batches of a tenant's open months and
// records the outcome.
type ProveSums struct {
	Tenant string `json:"tenant"`
}

// Kind implements River's JobArgs.
func (ProveSums) Kind() string { return "prove_sums" }

// PostAccruals posts the days of a tenant whose charges are not what is posted of them. Day,
// YYYY-MM-DD, is the last that was over when it was asked for: one job a day.
type PostAccruals struct {
	Tenant string `json:"tenant"`
	Day    string `json:"day"`
}

// Kind implements River's JobArgs.
func (PostAccruals) Kind() string { return "post_accruals" }

// PullReports pulls the provider's usage and cost reports of a UTC day, YYYY-MM-DD.
type PullReports struct {
	Tenant string `json:"tenant"`
	Day    string `json:"day"`
}

// Kind implements River's JobArgs.
func (PullReports) Kind() string { return "pull_reports" }

// ReconcileDay holds a day's charges against what the provider reports of it. Day is YYYY-MM-DD.
type ReconcileDay struct {
	Tenant string `json:"tenant"`
	Day    string `json:"day"`
	// Gathered waits some minutes, so that all that is posted to a day meanwhile is one job.
	Gathered bool `json:"gathered,omitempty"`
}

// Kind implements River's JobArgs.
func (ReconcileDay) Kind() string { return "reconcile_day" }

// ReconcileDays does so for every day that may still change. Day is the last that was over
// when it was asked for: one job a day.
type ReconcileDays struct {
	Tenant string `json:"tenant"`
	Day    string `json:"day"`
}

// Kind implements River's JobArgs.
func (ReconcileDays) Kind() string { return "reconcile_days" }

// TendCloses looks whether signatures of months that are closing still count. Hour,
// YYYY-MM-DDTHH, is when it was asked for: one job an hour.
type TendCloses struct {
	Tenant string `json:"tenant"`
	Hour   string `json:"hour"`
}

// Kind implements River's JobArgs.
func (TendCloses) Kind() string { return "tend_closes" }

// SignLog signs the head of a tenant's log.
type SignLog struct {
	Tenant string `json:"tenant"`
}

// Kind implements River's JobArgs.
func (SignLog) Kind() string { return "sign_log" }

// WitnessLog shows the newest head of a tenant's log to one witness, by its name.
type WitnessLog struct {
	Tenant  string `json:"tenant"`
	Witness string `json:"witness"`
}

// Kind implements River's JobArgs.
func (WitnessLog) Kind() string { return "witness_log" }

// VerifyLog recomputes a tenant's log from its stored bytes and compares it with what was
// signed.
type VerifyLog struct {
	Tenant string `json:"tenant"`
}

// Kind implements River's JobArgs.
func (VerifyLog) Kind() string { return "verify_log" }

// TendChanges expires, reminds of and escalates a tenant's changes that wait.
type TendChanges struct {
	Tenant string `json:"tenant"`
}

// Kind implements River's JobArgs.
func (TendChanges) Kind() string { return "tend_changes" }

// MoveCharges posts adjustments for what was charged since the effective instant of a
// change of the hierarchy that lies back.
type MoveCharges struct {
	Tenant string `json:"tenant"`
	Change string `json:"change"`
}

// Kind implements River's JobArgs.
func (MoveCharges) Kind() string { return "move_charges" }

// SettlePrices posts adjustments for requests whose price was provisional and is known now:
// by the change that applied a price book, or once a day.
type SettlePrices struct {
	Tenant string `json:"tenant"`
	Change string `json:"change,omitempty"`
}

// Kind implements River's JobArgs.
func (SettlePrices) Kind() string { return "settle_prices" }

// NotifyChange works out who is to be told of an event of a change: what a record of the
// audit log says happened.
type NotifyChange struct {
	Tenant string `json:"tenant"`
	Record string `json:"record"`
}

// Kind implements River's JobArgs.
func (NotifyChange) Kind() string { return "notify_change" }

// PurgeOffboarded purges what of a company that was let go has been kept for its term.
type PurgeOffboarded struct {
	Tenant string `json:"tenant"`
}

// Kind implements River's JobArgs.
func (PurgeOffboarded) Kind() string { return "purge_offboarded" }

// DeliverNotice takes one message to its recipient. Rounds count from 1; each time
// somebody asks for it to be sent again begins another.
type DeliverNotice struct {
	Tenant   string `json:"tenant"`
	Delivery string `json:"delivery"`
	Round    int    `json:"round"`
}

// Kind implements River's JobArgs.
func (DeliverNotice) Kind() string { return "deliver_notice" }

// BuildPacket builds a packet that somebody asked for; Ask is the record of that.
type BuildPacket struct {
	Tenant string `json:"tenant"`
	Ask    string `json:"ask"`
}

// Kind implements River's JobArgs.
func (BuildPacket) Kind() string { return "build_packet" }

// SchedulePackets builds and sends what recipients are due by their schedules and by the
// close of months.
type SchedulePackets struct {
	Tenant string `json:"tenant"`
}

// Kind implements River's JobArgs.
func (SchedulePackets) Kind() string { return "schedule_packets" }

// DeliverPacket takes one packet to its recipient. Rounds count from 1; each time somebody
// asks for it to be sent again begins another.
type DeliverPacket struct {
	Tenant   string `json:"tenant"`
	Delivery string `json:"delivery"`
	Round    int    `json:"round"`
}

// Kind implements River's JobArgs.
func (DeliverPacket) Kind() string { return "deliver_packet" }

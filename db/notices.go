package db

import (
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// DeliveryRow is one message to one recipient.
type DeliveryRow struct {
	DeliveryID    id.Delivery
	RecordID      id.Record // of the event it tells of
	ChangeID      id.Change
	Channel       string // mail, slack or webhook
	Purpose       string
	MemberID      id.Member  // to whom; zero but for mail
	PersonID      id.Person  // as the account is linked now
	ChannelID     id.Channel // where to; zero for mail
	Content       []byte
	ContentSHA256 []byte `gorm:"column:content_sha256"`
	RecordedAt    time.Time
}

// AddDelivery stores that a message is due; false when one of the same content is already.
func (t *Tx) AddDelivery(r *DeliveryRow) (bool, error) {
	var one int
	return t.row("add delivery", []any{&one}, `insert into notice_delivery (tenant_id, delivery_id, record_id, change_id, channel, purpose, member_id, channel_id, content, content_sha256, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict (tenant_id, content_sha256) do nothing returning 1`,
		t.Tenant, r.DeliveryID, r.RecordID, r.ChangeID, r.Channel, r.Purpose, r.MemberID, r.ChannelID, r.Content, r.ContentSHA256, t.Now)
}

// ErrDeliveryAbsent reports a delivery that was never due.
var ErrDeliveryAbsent = fault.New(fault.KindNotFound, "delivery_absent", "There is no such delivery.")

// Delivery reads one message that is due, or was.
func (t *Tx) Delivery(delivery id.Delivery) (DeliveryRow, error) {
	var rows []DeliveryRow
	err := t.scan("read delivery", &rows, `select d.delivery_id, d.record_id, d.change_id, d.channel, d.purpose, d.member_id, m.person_id, d.channel_id, d.content, d.content_sha256, d.recorded_at
		from notice_delivery d left join member m on m.tenant_id = d.tenant_id and m.member_id = d.member_id where d.tenant_id = ? and d.delivery_id = ?`, t.Tenant, delivery)
	if err == nil && len(rows) == 0 {
		err = ErrDeliveryAbsent
	}
	if err != nil {
		return DeliveryRow{}, err
	}
	return rows[0], nil
}

// ToldSince lists the members who have been due a message of a purpose about a change since
// an instant.
func (t *Tx) ToldSince(change id.Change, purpose string, since time.Time) ([]id.Member, error) {
	var rows []struct{ MemberID id.Member }
	err := t.scan("list who was told", &rows, `select distinct member_id from notice_delivery where tenant_id = ? and change_id = ? and purpose = ? and recorded_at > ? and member_id is not null order by 1`,
		t.Tenant, change, purpose, since)
	members := make([]id.Member, 0, len(rows))
	for _, r := range rows {
		members = append(members, r.MemberID)
	}
	return members, err
}

// NoticeStepRow is one thing that was done about a delivery.
type NoticeStepRow struct {
	Place      int
	Round      int
	State      string
	Answer     string
	Actor      string
	RecordedAt time.Time
}

// NoticeSteps lists what was done about a delivery, oldest first.
func (t *Tx) NoticeSteps(delivery id.Delivery) ([]NoticeStepRow, error) {
	rows := []NoticeStepRow{}
	err := t.scan("list steps of a delivery", &rows, `select place, round, state, answer, actor, recorded_at from notice_step where tenant_id = ? and delivery_id = ? order by place`, t.Tenant, delivery)
	return rows, err
}

// AddNoticeStep stores what was done about a delivery; false when somebody else took the
// place meanwhile.
func (t *Tx) AddNoticeStep(delivery id.Delivery, r NoticeStepRow) (bool, error) {
	var one int
	return t.row("add step of a delivery", []any{&one}, `insert into notice_step (tenant_id, delivery_id, place, round, state, answer, actor, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing returning 1`, t.Tenant, delivery, r.Place, r.Round, r.State, r.Answer, r.Actor, t.Now)
}

// DeliveryFilter chooses deliveries.
type DeliveryFilter struct {
	State   string // waiting: not ended; else a state; empty: any
	Channel string
	Number  int64       // of the change; 0: any
	Before  id.Delivery // go on after it; zero: from the newest on
	Limit   int
}

// DeliveryListRow is a delivery with how it stands.
type DeliveryListRow struct {
	DeliveryRow
	Number  int64 // of the change
	Kind    string
	Label   string // of the channel
	State   string // of the latest step; empty before the first
	Answer  string
	StateAt time.Time
	Tries   int
}

// Deliveries lists what was due to whom, newest first.
func (t *Tx) Deliveries(f DeliveryFilter) ([]DeliveryListRow, error) {
	rows := []DeliveryListRow{}
	err := t.scan("list deliveries", &rows, `select d.delivery_id, d.record_id, d.change_id, d.channel, d.purpose, d.member_id, m.person_id, d.channel_id, d.recorded_at, c.number, c.kind,
			coalesce(n.label, '') as label, coalesce(last.state, '') as state, coalesce(last.answer, '') as answer, coalesce(last.recorded_at, d.recorded_at) as state_at, tried.tries
		from notice_delivery d join change c on c.tenant_id = d.tenant_id and c.change_id = d.change_id
		left join member m on m.tenant_id = d.tenant_id and m.member_id = d.member_id
		left join notice_channel n on n.tenant_id = d.tenant_id and n.channel_id = d.channel_id
		left join lateral (select s.state, s.answer, s.recorded_at from notice_step s where s.tenant_id = d.tenant_id and s.delivery_id = d.delivery_id order by s.place desc limit 1) last on true
		cross join lateral (select count(*) as tries from notice_step s where s.tenant_id = d.tenant_id and s.delivery_id = d.delivery_id and s.state = 'attempted') tried
		where d.tenant_id = @tenant and (@state = '' or (@state = 'waiting' and (last.state is null or last.state in ('queued', 'attempted', 'interrupted', 'failed'))) or last.state = @state)
			and (@channel = '' or d.channel = @channel) and (@number = 0 or c.number = @number) and (cast(@before as uuid) is null or d.delivery_id < cast(@before as uuid))
		order by d.delivery_id desc limit @limit`,
		map[string]any{"tenant": t.Tenant, "state": f.State, "channel": f.Channel, "number": f.Number, "before": f.Before, "limit": f.Limit})
	return rows, err
}

// SetMutes stores what somebody does not want mail about from now on.
func (t *Tx) SetMutes(version id.Version, person id.Person, topics string, change id.Change) error {
	return t.exec("set mutes", `insert into notice_mute (tenant_id, version_id, person_id, topics, recorded_at, change_id) values ($1, $2, $3, $4, $5, $6)`,
		t.Tenant, version, person, topics, t.Now, change)
}

// Mutes reads what persons do not want mail about, by person; who mutes nothing is not in
// the answer.
func (t *Tx) Mutes(persons ...id.Person) (map[id.Person]string, error) {
	found := map[id.Person]string{}
	if len(persons) == 0 {
		return found, nil
	}
	var rows []struct {
		PersonID id.Person
		Topics   string
	}
	err := t.scan("read mutes", &rows, `select distinct on (person_id) person_id, topics from notice_mute where tenant_id = ? and person_id in ? order by person_id, version_id desc`, t.Tenant, persons)
	for _, r := range rows {
		if r.Topics != "" {
			found[r.PersonID] = r.Topics
		}
	}
	return found, err
}

// ChannelRow is a system of the company's own that hears of changes.
type ChannelRow struct {
	ChannelID    id.Channel
	Kind         string // slack or webhook
	Label        string
	Host         string
	URLSealed    []byte
	SecretSealed []byte // empty for slack
	RecordedAt   time.Time
	ChangeID     id.Change
	Number       int64 // of the change
	Maker        string
	Reason       string
	State        string
	Live         bool       // approved, and not ended
	EndedAt      *time.Time // nil: it was not
}

// AddChannel stores a channel that a change proposes.
func (t *Tx) AddChannel(r *ChannelRow) error {
	return t.exec("add channel", `insert into notice_channel (tenant_id, channel_id, kind, label, host, url_sealed, secret_sealed, recorded_at, change_id) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		t.Tenant, r.ChannelID, r.Kind, r.Label, r.Host, r.URLSealed, r.SecretSealed, t.Now, r.ChangeID)
}

// ErrChannelAbsent reports a channel that is not there.
var ErrChannelAbsent = fault.New(fault.KindNotFound, "channel_absent", "There is no such channel.")

// EndChannel ends a channel; false when it has ended already.
func (t *Tx) EndChannel(channel id.Channel, change id.Change) (bool, error) {
	var one int
	return t.row("end channel", []any{&one}, `insert into notice_channel_end (tenant_id, channel_id, ended_at, change_id) values ($1, $2, $3, $4) on conflict do nothing returning 1`, t.Tenant, channel, t.Now, change)
}

// Channels lists the channels of a company, newest first, those that were never approved
// among them.
func (t *Tx) Channels(limit int) ([]ChannelRow, error) {
	rows := []ChannelRow{}
	err := t.scan("list channels", &rows, `select n.channel_id, n.kind, n.label, n.host, n.url_sealed, n.secret_sealed, n.recorded_at, n.change_id, c.number, c.maker, c.reason, e.ended_at,
			last.state, (e.ended_at is null and last.state = 'applied') as live
		from notice_channel n join change c on c.tenant_id = n.tenant_id and c.change_id = n.change_id
		join lateral (select m.state from change_move m where m.tenant_id = n.tenant_id and m.change_id = n.change_id order by m.place desc limit 1) last on true
		left join notice_channel_end e on e.tenant_id = n.tenant_id and e.channel_id = n.channel_id
		where n.tenant_id = ? order by n.channel_id desc limit ?`, t.Tenant, limit)
	return rows, err
}

// LockChannels makes the transaction the only one that changes a tenant's channels.
func (t *Tx) LockChannels() error {
	return t.exec("lock channels", `select pg_advisory_xact_lock(hashtextextended('channels:' || $1, 0))`, t.Tenant.UUID())
}

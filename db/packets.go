package db

import (
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/period"
)

// PacketRow is a packet without its files.
type PacketRow struct {
	PacketID       id.Packet
	Month          time.Time
	ScopeNodeID    *id.Node // nil: the whole company
	ScopeCode      string
	Revision       int
	State          string
	FiguresDigest  []byte
	Manifest       []byte
	ManifestDigest []byte
	Snapshot       []byte
	RecordID       id.Record
	Actor          string
	RecordedAt     time.Time
	Latest         int // revision of the same month and scope
	// Of the seal; zero while there is none.
	ArchiveDigest []byte
	ArchiveBytes  int64
	Size          int64 // of the log, at the head that seals it
}

// PacketFileRow is one file of a packet: its own bytes, or those of a file that was exported
// and is kept there.
type PacketFileRow struct {
	Name          string
	Content       []byte
	ContentDigest []byte
	Bytes         int64
	Export        id.Export // where they are kept; zero: here
	ExportPlace   int
	Sidecar       bool // the manifest beside the exported file
}

// PacketSealRow is what the log says of a packet.
type PacketSealRow struct {
	Record        []byte
	Proof         []byte
	Checkpoint    []byte
	Size          int64
	Keys          []byte
	ArchiveDigest []byte
	ArchiveBytes  int64
}

// LockPackets makes the transaction the only one that makes packets of a tenant, or says
// what is due of them.
func (t *Tx) LockPackets() error {
	return t.exec("lock packets", `select pg_advisory_xact_lock(hashtextextended('packets:' || $1, 0))`, t.Tenant.UUID())
}

// AddPacket stores a packet with its files, in their order.
func (t *Tx) AddPacket(r *PacketRow, files []PacketFileRow) error {
	if err := t.exec("add packet", `insert into packet (tenant_id, packet_id, month, scope_node_id, scope_code, revision, state, figures_digest, manifest, manifest_digest, snapshot, record_id, actor, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		t.Tenant, r.PacketID, r.Month, r.ScopeNodeID, r.ScopeCode, r.Revision, r.State, r.FiguresDigest, r.Manifest, r.ManifestDigest, r.Snapshot, r.RecordID, r.Actor, t.Now); err != nil {
		return err
	}
	for i := range files {
		f := &files[i]
		var content, export, place any = f.Content, nil, nil
		if !f.Export.IsZero() {
			content, export, place = nil, f.Export, f.ExportPlace
		}
		if err := t.exec("add file of a packet", `insert into packet_file (tenant_id, packet_id, place, name, content, content_digest, export_id, export_place, sidecar) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			t.Tenant, r.PacketID, i+1, f.Name, content, f.ContentDigest, export, place, f.Sidecar); err != nil {
			return err
		}
	}
	return nil
}

// SealPacket stores what the log says of a packet; false when it is sealed already.
func (t *Tx) SealPacket(packet id.Packet, s *PacketSealRow) (bool, error) {
	var one int
	return t.row("seal packet", []any{&one}, `insert into packet_seal (tenant_id, packet_id, record, proof, checkpoint, size, keys, archive_digest, archive_bytes, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing returning 1`,
		t.Tenant, packet, s.Record, s.Proof, s.Checkpoint, s.Size, s.Keys, s.ArchiveDigest, s.ArchiveBytes, t.Now)
}

const packetColumns = `select p.packet_id, p.month, p.scope_node_id, p.scope_code, p.revision, p.state, p.figures_digest, p.manifest, p.manifest_digest, p.snapshot, p.record_id, p.actor, p.recorded_at,
	(select max(n.revision) from packet n where n.tenant_id = p.tenant_id and n.month = p.month and n.scope_node_id is not distinct from p.scope_node_id) as latest,
	s.archive_digest, coalesce(s.archive_bytes, 0) as archive_bytes, coalesce(s.size, 0) as size
	from packet p left join packet_seal s on s.tenant_id = p.tenant_id and s.packet_id = p.packet_id`

// ErrPacketAbsent reports a packet that is not there.
var ErrPacketAbsent = fault.New(fault.KindNotFound, "packet_absent", "There is no such packet.")

// Packet reads one packet.
func (t *Tx) Packet(packet id.Packet) (PacketRow, error) {
	var rows []PacketRow
	err := t.scan("read packet", &rows, packetColumns+` where p.tenant_id = ? and p.packet_id = ?`, t.Tenant, packet)
	if err == nil && len(rows) == 0 {
		err = ErrPacketAbsent
	}
	if err != nil {
		return PacketRow{}, err
	}
	return rows[0], nil
}

// LastPacket reads the latest revision of a month and scope; found is false when there is
// none.
func (t *Tx) LastPacket(m period.Month, scope *id.Node) (PacketRow, bool, error) {
	var rows []PacketRow
	err := t.scan("read latest packet", &rows, packetColumns+` where p.tenant_id = ? and p.month = ? and p.scope_node_id is not distinct from ?::uuid order by p.revision desc limit 1`, t.Tenant, m.Start(), scope)
	if err != nil || len(rows) == 0 {
		return PacketRow{}, false, err
	}
	return rows[0], true, nil
}

// LastFinalPacket reads the latest final revision of a month and scope that was stored before
// an instant; found is false when there is none.
func (t *Tx) LastFinalPacket(m period.Month, scope *id.Node, before time.Time) (PacketRow, bool, error) {
	var rows []PacketRow
	err := t.scan("read latest final packet", &rows, packetColumns+` where p.tenant_id = ? and p.month = ? and p.scope_node_id is not distinct from ?::uuid and p.state = 'FINAL' and p.recorded_at < ?
		order by p.revision desc limit 1`, t.Tenant, m.Start(), scope, before)
	if err != nil || len(rows) == 0 {
		return PacketRow{}, false, err
	}
	return rows[0], true, nil
}

// PacketFilter chooses packets.
type PacketFilter struct {
	Month  period.Month // zero: all
	Before id.Packet    // go on after it; zero: from the newest on
	Limit  int
}

// Packets lists packets, the newest first.
func (t *Tx) Packets(f PacketFilter) ([]PacketRow, error) {
	s := &statement{text: packetColumns + ` where p.tenant_id = ?`, args: []any{t.Tenant}}
	if f.Month != (period.Month{}) {
		s.and("p.month = ?", f.Month.Start())
	}
	if !f.Before.IsZero() {
		s.and("p.packet_id < ?", f.Before)
	}
	s.add(" order by p.packet_id desc limit ?", f.Limit)
	var rows []PacketRow
	err := t.scan("list packets", &rows, s.text, s.args...)
	return rows, err
}

// packetBytes are a file's, wherever they are kept, and packetFiles the files of one packet.
const (
	packetBytes = `coalesce(f.content, case when f.sidecar then x.manifest else x.content end)`
	packetFiles = `from packet_file f left join journal_export_file x on x.tenant_id = f.tenant_id and x.export_id = f.export_id and x.place = f.export_place where f.tenant_id = ? and f.packet_id = ?`
)

// PacketFiles lists the files of a packet in their order, without their content.
func (t *Tx) PacketFiles(packet id.Packet) ([]PacketFileRow, error) {
	var rows []PacketFileRow
	err := t.scan("list files of a packet", &rows, `select f.name, f.content_digest, length(`+packetBytes+`)::bigint as bytes `+packetFiles+` order by f.place`, t.Tenant, packet)
	return rows, err
}

// PacketContent reads the files of a packet in their order; of one name, where one is given.
func (t *Tx) PacketContent(packet id.Packet, name string) ([]PacketFileRow, error) {
	var rows []PacketFileRow
	err := t.scan("read files of a packet", &rows, `select f.name, `+packetBytes+` as content, f.content_digest, length(`+packetBytes+`)::bigint as bytes `+packetFiles+` and (? = '' or f.name = ?) order by f.place`,
		t.Tenant, packet, name, name)
	return rows, err
}

// PacketSeal reads what the log says of a packet; found is false while it says nothing.
func (t *Tx) PacketSeal(packet id.Packet) (PacketSealRow, bool, error) {
	var rows []PacketSealRow
	err := t.scan("read seal of a packet", &rows, `select record, proof, checkpoint, size, keys, archive_digest, archive_bytes from packet_seal where tenant_id = ? and packet_id = ?`, t.Tenant, packet)
	if err != nil || len(rows) == 0 {
		return PacketSealRow{}, false, err
	}
	return rows[0], true, nil
}

// PlacementDayRow is what was charged at one placement on one day.
type PlacementDayRow struct {
	Day              time.Time
	PlacementID      id.Placement
	Requests, Tokens int64
	ChargePico       string
}

// PlacementDays sums a posting period by placement and UTC day.
func (t *Tx) PlacementDays(m period.Month, within []id.Node) ([]PlacementDayRow, error) {
	query, args := t.below(`select r.day, r.placement_id, sum(r.requests)::bigint as requests,
			sum(r.input_tokens + r.output_tokens + r.cache_write_5m_tokens + r.cache_write_1h_tokens + r.cache_read_tokens)::bigint as tokens, sum(r.charge_pico)::text as charge_pico
		from rollup_placement_day r where r.tenant_id = ? and r.posting_period = ?`, []any{t.Tenant, m.Start()}, within)
	var rows []PlacementDayRow
	err := t.scan("sum placements by day", &rows, query+` group by 1, 2 order by 1, 2`, args...)
	return rows, err
}

// DecidedRow is one person's approval of a change that was applied.
type DecidedRow struct {
	Number      int64
	Kind        string
	MemberID    id.Member
	ForMemberID id.Member
	Digest      []byte
	DecidedAt   time.Time
	Issuer      string
	Subject     string
	Roles       string // at the time, separated by commas
	Total       int64  // how many there are, with those that were not asked for
}

// Decided lists the approvals of changes of some kinds that were applied between two
// instants, and of one change whenever it was, in the order they were given.
func (t *Tx) Decided(kinds []string, from, to time.Time, also id.Change, limit int) ([]DecidedRow, error) {
	var rows []DecidedRow
	err := t.scan("list decisions", &rows, `select c.number, c.kind, v.member_id, v.for_member_id, v.digest, v.decided_at, m.issuer, m.subject,
			coalesce((select string_agg(distinct r.role, ',' order by r.role) from member_role r where r.tenant_id = v.tenant_id and r.member_id = v.member_id
				and r.effective_from <= v.decided_at and (r.effective_to is null or r.effective_to > v.decided_at)), '') as roles, count(*) over () as total
		from change c join change_vote v on v.tenant_id = c.tenant_id and v.change_id = c.change_id
		join member m on m.tenant_id = v.tenant_id and m.member_id = v.member_id
		where c.tenant_id = ? and ((c.kind in ? and exists (select from change_move a where a.tenant_id = c.tenant_id and a.change_id = c.change_id and a.state = 'applied' and a.moved_at >= ? and a.moved_at < ?))
			or c.change_id = ?) order by v.decided_at, v.vote_id limit ?`, t.Tenant, kinds, from, to, also, limit)
	return rows, err
}

// SignerRow is who gave a signature of a month's close.
type SignerRow struct {
	Place    int
	MemberID id.Member
	Issuer   string
	Subject  string
	Roles    string // at the time, separated by commas
}

// Signers lists who signed steps of a month's close, by the places of their signatures.
func (t *Tx) Signers(m period.Month, limit int) ([]SignerRow, error) {
	var rows []SignerRow
	err := t.scan("list signers", &rows, `select s.place, s.member_id, m.issuer, m.subject,
			coalesce((select string_agg(distinct r.role, ',' order by r.role) from member_role r where r.tenant_id = s.tenant_id and r.member_id = s.member_id
				and r.effective_from <= s.signed_at and (r.effective_to is null or r.effective_to > s.signed_at)), '') as roles
		from close_sign_off s join member m on m.tenant_id = s.tenant_id and m.member_id = s.member_id where s.tenant_id = ? and s.month = ? order by s.place limit ?`, t.Tenant, m.Start(), limit)
	return rows, err
}

// MoveNumberRow is a move of a month, with the number of the change that made it.
type MoveNumberRow struct {
	FromState string
	ToState   string
	Revision  int
	Number    int64
	Actor     string
	Reason    string
	MovedAt   time.Time
}

// MoveNumbers lists a month's moves, the earliest first.
func (t *Tx) MoveNumbers(m period.Month, limit int) ([]MoveNumberRow, error) {
	var rows []MoveNumberRow
	err := t.scan("list moves by number", &rows, `select v.from_state, v.to_state, v.revision, c.number, v.actor, v.reason, v.moved_at from period_move v
		join change c on c.tenant_id = v.tenant_id and c.change_id = v.change_id where v.tenant_id = ? and v.month = ? order by v.place limit ?`, t.Tenant, m.Start(), limit)
	return rows, err
}

// RecipientRow is somebody who is sent packets.
type RecipientRow struct {
	RecipientID   id.Recipient
	Kind          string
	Label         string
	MemberID      *id.Member
	PersonID      *id.Person // as the account is linked now
	Host          string
	AddressSealed []byte
	SecretSealed  []byte
	ScopeNodeID   *id.Node
	ScopeCode     string
	Carries       string
	DraftDay      *int
	DraftHour     int
	Final         bool
	RecordedAt    time.Time
	ChangeID      id.Change
	Number        int64 // of the change
	Maker         string
	Reason        string
	State         string // of the change
	Live          bool   // approved, and not ended
	LiveAt        *time.Time
	EndedAt       *time.Time
}

// LockRecipients makes the transaction the only one that changes who is sent packets.
func (t *Tx) LockRecipients() error {
	return t.exec("lock recipients", `select pg_advisory_xact_lock(hashtextextended('recipients:' || $1, 0))`, t.Tenant.UUID())
}

// AddRecipient stores a recipient that a change proposes.
func (t *Tx) AddRecipient(r *RecipientRow) error {
	return t.exec("add recipient", `insert into packet_recipient (tenant_id, recipient_id, kind, label, member_id, host, address_sealed, secret_sealed, scope_node_id, scope_code, carries, draft_day, draft_hour, final, recorded_at, change_id)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		t.Tenant, r.RecipientID, r.Kind, r.Label, r.MemberID, r.Host, r.AddressSealed, r.SecretSealed, r.ScopeNodeID, r.ScopeCode, r.Carries, r.DraftDay, r.DraftHour, r.Final, t.Now, r.ChangeID)
}

// EndRecipient ends a recipient; false when it has ended already.
func (t *Tx) EndRecipient(recipient id.Recipient, change id.Change) (bool, error) {
	var one int
	return t.row("end recipient", []any{&one}, `insert into packet_recipient_end (tenant_id, recipient_id, ended_at, change_id) values ($1, $2, $3, $4) on conflict do nothing returning 1`, t.Tenant, recipient, t.Now, change)
}

const recipientSelect = `select r.recipient_id, r.kind, r.label, r.member_id, m.person_id, r.host, r.address_sealed, r.secret_sealed, r.scope_node_id, r.scope_code, r.carries, r.draft_day,
			r.draft_hour, r.final, r.recorded_at, r.change_id, c.number, c.maker, c.reason, last.state, (e.ended_at is null and last.state = 'applied') as live,
			case when last.state = 'applied' then last.moved_at end as live_at, e.ended_at
		from packet_recipient r join change c on c.tenant_id = r.tenant_id and c.change_id = r.change_id
		join lateral (select v.state, v.moved_at from change_move v where v.tenant_id = r.tenant_id and v.change_id = r.change_id order by v.place desc limit 1) last on true
		left join member m on m.tenant_id = r.tenant_id and m.member_id = r.member_id
		left join packet_recipient_end e on e.tenant_id = r.tenant_id and e.recipient_id = r.recipient_id
		where r.tenant_id = ?`

// Recipients lists who is or was proposed to be sent packets: who is comes first, and the newest
// of each first.
func (t *Tx) Recipients(limit int) ([]RecipientRow, error) {
	var rows []RecipientRow
	err := t.scan("list recipients", &rows, recipientSelect+` order by live desc, r.recipient_id desc limit ?`, t.Tenant, limit)
	return rows, err
}

// LiveRecipients lists who is sent packets, the newest first: however many others were
// proposed, they are not among them.
func (t *Tx) LiveRecipients(limit int) ([]RecipientRow, error) {
	var rows []RecipientRow
	err := t.scan("list live recipients", &rows, recipientSelect+` and e.ended_at is null and last.state = 'applied' order by r.recipient_id desc limit ?`, t.Tenant, limit)
	return rows, err
}

// Recipient finds who is, was or would be sent packets; found is false when nobody was proposed.
func (t *Tx) Recipient(recipient id.Recipient) (RecipientRow, bool, error) {
	var rows []RecipientRow
	err := t.scan("read recipient", &rows, recipientSelect+` and r.recipient_id = ?`, t.Tenant, recipient)
	if err != nil || len(rows) == 0 {
		return RecipientRow{}, false, err
	}
	return rows[0], true, nil
}

// PacketDeliveryRow is one packet to one recipient, with how it stands.
type PacketDeliveryRow struct {
	DeliveryID    id.Delivery
	PacketID      id.Packet
	RecipientID   id.Recipient
	ContentDigest []byte
	RecordedAt    time.Time
	Month         time.Time
	ScopeCode     string
	Revision      int
	PacketState   string
	Kind          string // of the recipient
	Label         string
	Host          string
	State         string // of the latest step; empty before the first
	Answer        string
	StateAt       time.Time
	Tries         int
}

// AddPacketDelivery stores that a packet is due to a recipient; false when it is already.
func (t *Tx) AddPacketDelivery(r *PacketDeliveryRow) (bool, error) {
	var one int
	return t.row("add delivery of a packet", []any{&one}, `insert into packet_delivery (tenant_id, delivery_id, packet_id, recipient_id, content_digest, recorded_at) values ($1, $2, $3, $4, $5, $6)
		on conflict (tenant_id, content_digest) do nothing returning 1`, t.Tenant, r.DeliveryID, r.PacketID, r.RecipientID, r.ContentDigest, t.Now)
}

// PacketDeliveryFilter chooses deliveries.
type PacketDeliveryFilter struct {
	Packet    id.Packet    // zero: any
	Recipient id.Recipient // zero: any
	Delivery  id.Delivery  // zero: any
	Month     period.Month // zero: any
	Limit     int
}

// PacketDeliveries lists what was sent to whom, the newest first.
func (t *Tx) PacketDeliveries(f PacketDeliveryFilter) ([]PacketDeliveryRow, error) {
	s := &statement{text: `select d.delivery_id, d.packet_id, d.recipient_id, d.content_digest, d.recorded_at, p.month, p.scope_code, p.revision, p.state as packet_state, r.kind, r.label, r.host,
			coalesce(last.state, '') as state, coalesce(last.answer, '') as answer, coalesce(last.recorded_at, d.recorded_at) as state_at, tried.tries
		from packet_delivery d join packet p on p.tenant_id = d.tenant_id and p.packet_id = d.packet_id
		join packet_recipient r on r.tenant_id = d.tenant_id and r.recipient_id = d.recipient_id
		left join lateral (select s.state, s.answer, s.recorded_at from packet_step s where s.tenant_id = d.tenant_id and s.delivery_id = d.delivery_id order by s.place desc limit 1) last on true
		cross join lateral (select count(*) as tries from packet_step s where s.tenant_id = d.tenant_id and s.delivery_id = d.delivery_id and s.state = 'attempted') tried
		where d.tenant_id = ?`, args: []any{t.Tenant}}
	if !f.Packet.IsZero() {
		s.and("d.packet_id = ?", f.Packet)
	}
	if !f.Recipient.IsZero() {
		s.and("d.recipient_id = ?", f.Recipient)
	}
	if !f.Delivery.IsZero() {
		s.and("d.delivery_id = ?", f.Delivery)
	}
	if f.Month != (period.Month{}) {
		s.and("p.month = ?", f.Month.Start())
	}
	s.add(" order by d.delivery_id desc limit ?", f.Limit)
	var rows []PacketDeliveryRow
	err := t.scan("list deliveries of packets", &rows, s.text, s.args...)
	return rows, err
}

// PacketSteps lists what was done about a delivery, oldest first.
func (t *Tx) PacketSteps(delivery id.Delivery) ([]NoticeStepRow, error) {
	rows := []NoticeStepRow{}
	err := t.scan("list steps of a delivery", &rows, `select place, round, state, answer, actor, recorded_at from packet_step where tenant_id = ? and delivery_id = ? order by place`, t.Tenant, delivery)
	return rows, err
}

// AddPacketStep stores what was done about a delivery; false when somebody else took the
// place meanwhile.
func (t *Tx) AddPacketStep(delivery id.Delivery, r NoticeStepRow) (bool, error) {
	var one int
	return t.row("add step of a delivery", []any{&one}, `insert into packet_step (tenant_id, delivery_id, place, round, state, answer, actor, recorded_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing returning 1`, t.Tenant, delivery, r.Place, r.Round, r.State, r.Answer, r.Actor, t.Now)
}

// PacketAskRow is that somebody asked for a packet to be built, and what came of it.
type PacketAskRow struct {
	RecordID    id.Record
	Month       time.Time
	ScopeNodeID *id.Node
	Actor       string
	RecordedAt  time.Time
	Ended       bool
	PacketID    *id.Packet // nil: it failed, or has not ended
	Fresh       bool       // false: no figure had changed
	Why         string     // it failed
}

// AddPacketAsk stores that somebody asks for a packet to be built.
func (t *Tx) AddPacketAsk(r *PacketAskRow) error {
	return t.exec("add ask for a packet", `insert into packet_ask (tenant_id, record_id, month, scope_node_id, actor, recorded_at) values ($1, $2, $3, $4, $5, $6)`, t.Tenant, r.RecordID, r.Month, r.ScopeNodeID, r.Actor, t.Now)
}

// EndPacketAsk stores what came of an ask; false when that is stored already.
func (t *Tx) EndPacketAsk(r *PacketAskRow) (bool, error) {
	var one int
	return t.row("end ask for a packet", []any{&one}, `insert into packet_ask_end (tenant_id, record_id, packet_id, fresh, why, recorded_at) values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning 1`,
		t.Tenant, r.RecordID, r.PacketID, r.Fresh, r.Why, t.Now)
}

// PacketAsk reads an ask; found is false when there is none.
func (t *Tx) PacketAsk(record id.Record) (PacketAskRow, bool, error) {
	var rows []PacketAskRow
	err := t.scan("read ask for a packet", &rows, `select a.record_id, a.month, a.scope_node_id, a.actor, a.recorded_at, e.record_id is not null as ended, e.packet_id, coalesce(e.fresh, false) as fresh, coalesce(e.why, '') as why
		from packet_ask a left join packet_ask_end e on e.tenant_id = a.tenant_id and e.record_id = a.record_id where a.tenant_id = ? and a.record_id = ?`, t.Tenant, record)
	if err != nil || len(rows) == 0 {
		return PacketAskRow{}, false, err
	}
	return rows[0], true, nil
}

// LockedAt is since when the books of a month are locked; found is false while they are not. When
// they are closed after, that is no other instant.
func (t *Tx) LockedAt(m period.Month) (at time.Time, found bool, err error) {
	found, err = t.row("read period", []any{&at}, `select coalesce((select v.moved_at from period_move v where v.tenant_id = p.tenant_id and v.month = p.month and v.to_state = 'locked' order by v.place desc limit 1), p.changed_at)
		from period p where p.tenant_id = $1 and p.month = $2 and shut(p.state)`, t.Tenant, m.Start())
	return at, found, err
}

package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/export/packet"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/money"
	"tollbook/app/notice"
	"tollbook/app/period"
	"tollbook/app/secret"
	"tollbook/app/witness"
	"tollbook/db"
)

// PacketDispatch is one try to deliver a packet, stored before it is made. Exactly one of
// Mail, Post and Object is set.
type PacketDispatch struct {
	Tenant   id.Tenant
	Delivery id.Delivery
	Mail     *PacketLetter
	Post     *Post
	Object   *PacketObject

	place, round, tries int
	address             string
	packet              id.Packet
	kind                string
	host                string
	size                int64 // of the log, at the head that seals the packet
	checkpoint          []byte
	head                bool // what is sent holds the head: the whole archive does
}

// PacketLetter is what a mail with a packet says, in facts; how they are worded is not
// decided here.
type PacketLetter struct {
	ToName, To string
	Company    string
	Month      period.Month
	Revision   int
	State      packet.State
	Scope      string // a node's code; empty: the whole company
	Facts      []PacketFact
	Changes    []packet.Change   // since the revision before, or the one it corrects
	Corrects   *packet.Corrected // nil: it takes no final revision's place
	URL        string            // leads to the packet's page, after signing in
	Expires    time.Time         // when the link leads there no more
	Attached   []packet.File
	LeftOut    string // why nothing is attached; empty: all that should be is
}

// Since is the revision that changes are told against.
func (l *PacketLetter) Since() int {
	if l.Corrects != nil {
		return l.Corrects.Revision
	}
	return l.Revision - 1
}

// PacketFact is one line of a summary.
type PacketFact struct{ Name, Value string }

// PacketObject is what is put into a bucket.
type PacketObject struct {
	Endpoint  string
	Region    string
	Bucket    string
	Key       string
	AccessKey string
	SecretKey secret.Text
	LockDays  int
	Type      string
	Content   []byte
	SHA256    [32]byte
}

// packetCounts are attempts made here since the start, by kind of recipient and outcome.
type packetCounts [4][4]atomic.Int64

const (
	// linkLife is how long the link of a delivery leads to its packet.
	linkLife = 30 * 24 * time.Hour
	// maxAttached bounds what a mail carries: servers take some twenty megabytes.
	maxAttached = 14 << 20
)

// contentDigest is what makes a delivery the same: the same bytes, in the same form, to the
// same recipient, are due once.
func contentDigest(recipient id.Recipient, carries string, archive []byte) []byte {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "packet delivery 1\n%s\n%s\n%x\n", recipient, carries, archive)
	return h.Sum(nil)
}

var errOtherScope = fault.Invalid("recipient", "recipient_scope", "That recipient is sent packets of another part of the company.")

// Send queues a packet for a recipient now, whatever their schedule says; sent says whether it
// had not been queued for them before.
func (p *Packets) Send(ctx context.Context, who Actor, made id.Packet, recipient id.Recipient) (sent bool, err error) {
	if err := p.access.Check(who, "packet", "propose"); err != nil {
		return false, err
	}
	if who.Kind != ActorPerson {
		return false, ErrNoPerson
	}
	err = p.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := notLetGo(tx); err != nil {
			return err
		}
		row, err := p.readable(tx, who, made)
		if err != nil {
			return err
		}
		r, err := recipientOf(tx, recipient)
		if err != nil {
			return err
		}
		if len(row.ArchiveDigest) == 0 {
			return errPacketUnsealed
		}
		if (row.ScopeNodeID == nil) != (r.ScopeNodeID == nil) || row.ScopeNodeID != nil && *row.ScopeNodeID != *r.ScopeNodeID {
			return errOtherScope
		}
		sent, err = p.due(tx, who.ID(), &row, &r)
		return err
	})
	return sent, err
}

// due stores that a sealed packet is due to a recipient, and asks for it to be taken there.
func (p *Packets) due(tx *db.Tx, actor string, row *db.PacketRow, r *db.RecipientRow) (bool, error) {
	delivery := db.PacketDeliveryRow{DeliveryID: id.NewDelivery(tx.Now), PacketID: row.PacketID, RecipientID: r.RecipientID, ContentDigest: contentDigest(r.RecipientID, r.Carries, row.ArchiveDigest)}
	fresh, err := tx.AddPacketDelivery(&delivery)
	if err != nil || !fresh {
		return false, err
	}
	detail := map[string]any{"packet": row.PacketID.String(), "recipient": r.RecipientID.String(), "kind": r.Kind, "carries": r.Carries, "content_sha256": hex.EncodeToString(delivery.ContentDigest)}
	if err := tx.AppendAudit(auditlog.Record{Action: "packet.due", Actor: actor, Subject: delivery.DeliveryID.String(), Detail: detail}); err != nil {
		return false, err
	}
	return true, tx.Enqueue(job.DeliverPacket{Tenant: tx.Tenant.String(), Delivery: delivery.DeliveryID.String(), Round: 1})
}

// Begin stores that an attempt is made and says what to send; nil when nothing is to be done
// any more. When it returns, no lock is held: sending may take its time.
func (p *Packets) Begin(ctx context.Context, tenant id.Tenant, delivery id.Delivery, round int) (*PacketDispatch, error) {
	var made *PacketDispatch
	err := p.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		row, err := packetDelivery(tx, delivery)
		if err != nil {
			return err
		}
		steps, err := tx.PacketSteps(delivery)
		if err != nil {
			return err
		}
		verdict := notice.Judge(stepsOf(steps), round, tx.Now)
		switch {
		case verdict.Wait:
			return ErrUnderWay
		case !verdict.Attempt:
			return nil
		}
		at := &PacketDispatch{Tenant: tenant, Delivery: delivery, place: verdict.Place, round: round, tries: verdict.Tries, packet: row.PacketID, kind: row.Kind, host: row.Host}
		if verdict.Interrupted {
			if err := p.step(tx, at, notice.Interrupted, "The process that sent it ended before it could say how that went: it may arrive twice, with the same id."); err != nil {
				return err
			}
		}
		if at.tries >= notice.MaxTries {
			return p.step(tx, at, notice.GivenUp, "")
		}
		why, err := p.write(tx, &row, at)
		if err != nil {
			return err
		}
		if why != "" {
			return p.step(tx, at, notice.Dropped, why)
		}
		if err := p.step(tx, at, notice.Attempted, ""); err != nil {
			return err
		}
		at.tries++
		made = at
		return nil
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

func packetDelivery(tx *db.Tx, delivery id.Delivery) (db.PacketDeliveryRow, error) {
	rows, err := tx.PacketDeliveries(db.PacketDeliveryFilter{Delivery: delivery, Limit: 1})
	if err == nil && len(rows) == 0 {
		err = db.ErrDeliveryAbsent
	}
	if err != nil {
		return db.PacketDeliveryRow{}, err
	}
	return rows[0], nil
}

// step stores the next thing done about a delivery; whoever loses the place to another
// worker leaves it to them.
func (p *Packets) step(tx *db.Tx, a *PacketDispatch, state notice.State, answer string) error {
	stored, err := tx.AddPacketStep(a.Delivery, db.NoticeStepRow{Place: a.place, Round: a.round, State: string(state), Answer: answer, Actor: string(ActorSystem)})
	if err == nil && !stored {
		err = ErrUnderWay
	}
	a.place++
	return err
}

// Finish stores how an attempt ended; again says that another one is due. A packet that
// somebody else's server took is a record; where it was the whole archive, they hold the head
// that seals it, and are a witness of it.
func (p *Packets) Finish(ctx context.Context, a *PacketDispatch, out notice.Outcome) (again bool, err error) {
	state := out.State(a.tries)
	err = p.db.InTenant(ctx, a.Tenant, func(tx *db.Tx) error {
		one := *a
		if err := p.step(tx, &one, state, notice.Clean(out.Answer, a.address)); err != nil || !out.Accepted {
			return err
		}
		detail := map[string]any{"packet": a.packet.String(), "kind": a.kind, "round": a.round, "log_size": a.size}
		if err := tx.AppendAudit(auditlog.Record{Action: "packet.delivered", Actor: string(ActorSystem), Subject: a.Delivery.String(), Detail: detail}); err != nil {
			return err
		}
		if !a.head {
			return nil
		}
		return tx.AddWitness(db.WitnessRow{
			Witness: "packets by " + a.kind, Kind: string(witness.Packet), Size: a.size, Seen: true, Receipt: a.checkpoint, Object: a.packet.String() + " " + packet.FileCheckpoint + ", " + a.Delivery.String(),
		})
	})
	if err == nil {
		p.count(a.kind, state)
	}
	return state == notice.Failed, err
}

func recipientKinds() []string {
	return []string{RecipientPerson, RecipientMail, RecipientS3, RecipientWebhook}
}

func (p *Packets) count(kind string, state notice.State) {
	if k, s := slices.Index(recipientKinds(), kind), slices.Index(outcomes(), state); k >= 0 && s >= 0 {
		p.counts[k][s].Add(1)
	}
}

// PacketCount is how many attempts here ended in a state, since the start.
type PacketCount struct {
	Kind    string
	Outcome notice.State
	Count   int64
}

// Counts are the attempts made here.
func (p *Packets) Counts() []PacketCount {
	var list []PacketCount
	for k, kind := range recipientKinds() {
		for s, state := range outcomes() {
			list = append(list, PacketCount{kind, state, p.counts[k][s].Load()})
		}
	}
	return list
}

// write fills in what an attempt sends; why says why there is nobody any more who should
// have it.
func (p *Packets) write(tx *db.Tx, d *db.PacketDeliveryRow, a *PacketDispatch) (why string, err error) {
	r, why, err := p.toWhom(tx, d.RecipientID)
	if err != nil || why != "" {
		return why, err
	}
	row, err := tx.Packet(d.PacketID)
	if err != nil {
		return "", err
	}
	s, sealed, err := tx.PacketSeal(d.PacketID)
	if err != nil {
		return "", err
	}
	if !sealed {
		return "", errNothingSigned
	}
	a.size, a.checkpoint = s.Size, s.Checkpoint
	content, err := p.content(tx, &row, &s, r.Carries)
	if err != nil {
		return "", err
	}
	switch r.Kind {
	case RecipientPerson, RecipientMail:
		return p.letter(tx, &row, &r, a, content)
	case RecipientWebhook:
		return "", p.post(tx, &row, &s, &r, a)
	}
	return "", p.object(&row, &r, a, content)
}

// content is what a recipient is sent of a packet, checked against the digest that was
// stored when it was sealed; nothing, where that is a link.
func (p *Packets) content(tx *db.Tx, row *db.PacketRow, s *db.PacketSealRow, carries string) (packet.File, error) {
	switch carries {
	case CarriesArchive:
		archive, err := archiveOf(tx, row, s)
		if err != nil {
			return packet.File{}, err
		}
		if digest := sha256.Sum256(archive); hex.EncodeToString(digest[:]) != hex.EncodeToString(s.ArchiveDigest) {
			return packet.File{}, fault.New(fault.KindInternal, "packet_changed", "The stored packet is not the one that was sealed.")
		}
		return packet.File{Name: packetName(tx, row) + ".zip", Content: archive}, nil
	case CarriesSummary:
		files, err := tx.PacketContent(row.PacketID, packet.FileSummary)
		if err != nil || len(files) != 1 {
			return packet.File{}, errors.Join(err, db.ErrPacketAbsent)
		}
		return packet.File{Name: packetName(tx, row) + "-" + packet.FileSummary, Content: files[0].Content}, nil
	}
	return packet.File{}, nil
}

// packetName names a packet's files: company, month, scope, revision and state.
func packetName(tx *db.Tx, row *db.PacketRow) string {
	tenant, err := tx.TenantRow()
	if err != nil {
		tenant.Slug = "packet"
	}
	return archiveName(tenant.Slug, row)
}

func archiveName(slug string, row *db.PacketRow) string {
	name := slug + "-" + period.MonthOf(row.Month).String()
	if row.ScopeCode != "" {
		name += "-" + safeName(row.ScopeCode)
	}
	return fmt.Sprintf("%s-r%d-%s", name, row.Revision, row.State)
}

// safeName is a code without what a file's name cannot have everywhere.
func safeName(code string) string {
	out := []byte(code)
	for i, c := range out {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			out[i] = '_'
		}
	}
	return string(out)
}

func (p *Packets) letter(tx *db.Tx, row *db.PacketRow, r *db.RecipientRow, a *PacketDispatch, content packet.File) (why string, err error) {
	if !p.rules.Mail {
		return "No mail server is configured.", nil
	}
	l := &PacketLetter{Month: period.MonthOf(row.Month), Revision: row.Revision, State: packet.State(row.State), Scope: row.ScopeCode}
	if r.Kind == RecipientPerson {
		if why, err = p.unreachable(tx, r); err != nil || why != "" {
			return why, err
		}
		sealed, err := tx.PersonEmail(*r.PersonID)
		if err != nil {
			return "", err
		}
		hands, err := p.members.hands(tx, []string{r.MemberID.String()})
		if err != nil {
			return "", err
		}
		l.ToName, a.address = hands[r.MemberID.String()].Name, p.members.email(*r.PersonID, sealed)
		if a.address == "" {
			return "The person has no address any more.", nil
		}
	} else {
		address, err := p.ring.Open(purposeRecipientAddress, r.RecipientID.String(), r.AddressSealed)
		if err != nil {
			return "", fmt.Errorf("open a recipient's address: %w", err)
		}
		l.ToName, a.address = r.Label, string(address)
	}
	l.To = a.address
	tenant, err := tx.TenantRow()
	if err != nil {
		return "", err
	}
	l.Company = tenant.Name
	l.URL, l.Expires = p.link(tenant.Slug, row.PacketID, a.Delivery), a.Delivery.Time().Add(linkLife)
	if err := l.tell(row); err != nil {
		return "", err
	}
	switch {
	case content.Name == "":
	case len(content.Content) > maxAttached:
		l.LeftOut = "It is too large for a mail."
	default:
		l.Attached, a.head = []packet.File{content}, r.Carries == CarriesArchive
	}
	a.Mail = l
	return "", nil
}

// link leads to a packet's page, in whatever company somebody is signed in.
func (p *Packets) link(slug string, made id.Packet, delivery id.Delivery) string {
	return p.rules.PublicURL + "/t/" + slug + "/packets/" + made.String() + "?delivery=" + delivery.String()
}

// tell fills in what a packet comes to.
func (l *PacketLetter) tell(row *db.PacketRow) error {
	var s packet.Snapshot
	if err := json.Unmarshal(row.Snapshot, &s); err != nil {
		return fmt.Errorf("read packet %s: %w", row.PacketID, err)
	}
	var m packet.Manifest
	if err := json.Unmarshal(row.Manifest, &m); err != nil {
		return fmt.Errorf("read packet %s: %w", row.PacketID, err)
	}
	l.Changes, l.Corrects = m.Changes, m.Corrects
	add := func(name string, c money.Cents) { l.Facts = append(l.Facts, PacketFact{name, c.String() + " USD"}) }
	add("Actual", s.Total.Display())
	if s.Plan != nil {
		add("Plan of the month", *s.Plan)
	}
	if s.Suspense != nil {
		add("Suspense", s.Suspense.Display())
	}
	if s.Accrued != nil {
		add("Accrued liability", *s.Accrued)
	}
	l.Facts = append(l.Facts, PacketFact{"Books", m.PeriodState}, PacketFact{"Manifest, SHA-256", hex.EncodeToString(row.ManifestDigest)}, PacketFact{"Archive, SHA-256", hex.EncodeToString(row.ArchiveDigest)})
	return nil
}

// packetTelling is what a system is told of a packet.
type packetTelling struct {
	Type      string      `json:"type"`
	Timestamp time.Time   `json:"timestamp"`
	Data      packetFacts `json:"data"`
}

type packetFacts struct {
	Tenant   string    `json:"tenant"`
	Packet   id.Packet `json:"packet"`
	Period   string    `json:"period"`
	Revision int       `json:"revision"`
	State    string    `json:"state"`
	// Corrected says that it takes the place of the final revision in Corrects, and Changes what
	// is otherwise than there.
	Corrected bool              `json:"corrected"`
	Corrects  *packet.Corrected `json:"corrects"`
	Changes   []packet.Change   `json:"changes"`
	Scope     string            `json:"scope"`
	Actual    string            `json:"actual_usd"`
	Manifest  string            `json:"manifest_sha256"`
	Archive   string            `json:"archive_sha256"`
	Bytes     int64             `json:"archive_bytes"`
	Files     []packetFile      `json:"files"`
	Size      int64             `json:"log_size"`
	URL       string            `json:"url"`
}

type packetFile struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

func (p *Packets) post(tx *db.Tx, row *db.PacketRow, s *db.PacketSealRow, r *db.RecipientRow, a *PacketDispatch) error {
	tenant, err := tx.TenantRow()
	if err != nil {
		return err
	}
	var snapshot packet.Snapshot
	if err := json.Unmarshal(row.Snapshot, &snapshot); err != nil {
		return fmt.Errorf("read packet %s: %w", row.PacketID, err)
	}
	var m packet.Manifest
	if err := json.Unmarshal(row.Manifest, &m); err != nil {
		return fmt.Errorf("read packet %s: %w", row.PacketID, err)
	}
	told := packetTelling{Type: "packet." + lower(row.State), Timestamp: a.Delivery.Time(), Data: packetFacts{
		Tenant: tenant.Slug, Packet: row.PacketID, Period: period.MonthOf(row.Month).String(), Revision: row.Revision, State: row.State, Scope: row.ScopeCode, Actual: snapshot.Total.Display().String(),
		Corrected: m.Corrected, Corrects: m.Corrects, Changes: m.Changes,
		Manifest: hex.EncodeToString(row.ManifestDigest), Archive: hex.EncodeToString(s.ArchiveDigest), Bytes: s.ArchiveBytes, Size: s.Size, URL: p.link(tenant.Slug, row.PacketID, a.Delivery),
	}}
	files, err := tx.PacketFiles(row.PacketID)
	if err != nil {
		return err
	}
	for i := range files {
		told.Data.Files = append(told.Data.Files, packetFile{files[i].Name, hex.EncodeToString(files[i].ContentDigest), files[i].Bytes})
	}
	body, err := json.Marshal(told)
	if err != nil {
		return fmt.Errorf("encode telling: %w", err)
	}
	address, err := p.ring.Open(purposeRecipientAddress, r.RecipientID.String(), r.AddressSealed)
	if err != nil {
		return fmt.Errorf("open a recipient's address: %w", err)
	}
	key, err := p.ring.Open(purposeRecipientSecret, r.RecipientID.String(), r.SecretSealed)
	if err != nil {
		return fmt.Errorf("open a recipient's secret: %w", err)
	}
	a.Post = &Post{Kind: notice.Webhook, URL: secret.NewText(string(address)), Secret: secret.NewText(string(key)), Body: body}
	return nil
}

func (p *Packets) object(row *db.PacketRow, r *db.RecipientRow, a *PacketDispatch, content packet.File) error {
	document, err := p.ring.Open(purposeRecipientAddress, r.RecipientID.String(), r.AddressSealed)
	if err != nil {
		return fmt.Errorf("open a recipient's address: %w", err)
	}
	store, err := parsedStore(document)
	if err != nil {
		return err
	}
	key, err := p.ring.Open(purposeRecipientSecret, r.RecipientID.String(), r.SecretSealed)
	if err != nil {
		return fmt.Errorf("open a recipient's secret: %w", err)
	}
	kind := "application/zip"
	if r.Carries == CarriesSummary {
		kind = "application/pdf"
	}
	at := store.Prefix
	if at != "" {
		at += "/"
	}
	a.head = r.Carries == CarriesArchive
	a.Object = &PacketObject{
		Endpoint: store.Endpoint, Region: store.Region, Bucket: store.Bucket, Key: at + period.MonthOf(row.Month).String() + "/" + content.Name, AccessKey: store.AccessKey, SecretKey: secret.NewText(string(key)),
		LockDays: store.LockDays, Type: kind, Content: content.Content, SHA256: sha256.Sum256(content.Content),
	}
	return nil
}

// Resend asks for a delivery that came to an end to be made again.
func (p *Packets) Resend(ctx context.Context, who Actor, delivery id.Delivery) error {
	if err := p.access.Check(who, "packet", "propose"); err != nil {
		return err
	}
	if who.Kind != ActorPerson {
		return ErrNoPerson
	}
	return p.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := notLetGo(tx); err != nil {
			return err
		}
		row, err := packetDelivery(tx, delivery)
		if err != nil {
			return err
		}
		steps, err := tx.PacketSteps(delivery)
		if err != nil {
			return err
		}
		if len(steps) == 0 || !notice.State(steps[len(steps)-1].State).Ended() {
			return errDeliveryWaits
		}
		last := steps[len(steps)-1]
		if last.Round >= maxRounds {
			return errDeliveryRounds
		}
		next := db.NoticeStepRow{Place: last.Place + 1, Round: last.Round + 1, State: string(notice.Queued), Actor: who.ID()}
		stored, err := tx.AddPacketStep(delivery, next)
		if err != nil {
			return err
		}
		if !stored {
			return errDeliveryWaits
		}
		detail := map[string]any{"packet": row.PacketID.String(), "recipient": row.RecipientID.String(), "round": next.Round}
		if err := tx.AppendAudit(auditlog.Record{Action: "packet.resent", Actor: who.ID(), Subject: delivery.String(), Detail: detail}); err != nil {
			return err
		}
		return tx.Enqueue(job.DeliverPacket{Tenant: tx.Tenant.String(), Delivery: delivery.String(), Round: next.Round})
	})
}

package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"tollbook/app/auditlog"
	"tollbook/app/export/packet"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/job"
	"tollbook/app/period"
	"tollbook/app/secret"
	"tollbook/db"
)

// PacketRules is what the installation says about packets.
type PacketRules struct {
	Mail        bool // a mail server is configured
	PublicURL   string
	Development bool                     // systems may be plain http on this machine
	Version     string                   // of the code
	Words       func(kind string) string // a kind of change as people call it
}

// Packets is the area of what is sent at close: building it, keeping it, and taking it to
// its recipients.
type Packets struct {
	db        *db.DB
	access    *Access
	changes   *Changes
	approvals *Approvals
	members   *Members
	log       *Log
	ring      *secret.Keyring
	rules     PacketRules
	addresses *secret.Hasher // of recipients
	counts    packetCounts
}

// NewPackets makes the area, and governs the kinds of changes about recipients.
func NewPackets(d *db.DB, access *Access, changes *Changes, approvals *Approvals, members *Members, log *Log, ring *secret.Keyring, rules PacketRules) *Packets {
	p := &Packets{db: d, access: access, changes: changes, approvals: approvals, members: members, log: log, ring: ring, rules: rules, addresses: ring.Hasher(purposeRecipientAddress)}
	p.governRecipients()
	return p
}

// builder is who a packet is built for: whom its manifest names, and in whose name its
// record is.
type builder struct {
	id    string
	name  string
	roles string
}

func builderOf(who Actor) builder {
	b := builder{id: who.ID(), name: who.Name}
	var roles []string
	for _, g := range who.Grants {
		roles = append(roles, strings.ReplaceAll(string(g.Role), "_", " "))
	}
	b.roles = strings.Join(roles, ", ")
	switch who.Kind {
	case ActorSystem:
		b.name = "Tollbook"
	case ActorCommand:
		b.name = "The command line"
	case ActorPerson, ActorToken:
	}
	return b
}

// buildRounds bounds how often a packet is made anew because another revision of it was
// stored in between.
const buildRounds = 4

var errPacketBusy = fault.New(fault.KindConflict, "packet_busy", "Others build the same packet again and again. Try again.")

// Build builds the packet of a month for the whole company, or for a node with all below
// it, unless the latest one has the same figures and state; fresh tells which.
func (p *Packets) Build(ctx context.Context, who Actor, month period.Month, scope string) (made id.Packet, fresh bool, err error) {
	node, err := p.askable(ctx, who, scope)
	if err != nil {
		return made, false, err
	}
	return p.build(ctx, who.Tenant, builderOf(who), month, node)
}

// askable tells whether somebody may have a packet built, and of which node.
func (p *Packets) askable(ctx context.Context, who Actor, scope string) (*id.Node, error) {
	if err := p.access.Check(who, "packet", "propose"); err != nil {
		return nil, err
	}
	if p.access.Scope(who, "packet", "propose") != nil {
		return nil, ErrNotAllowed
	}
	if scope == "" {
		return nil, nil
	}
	var node *id.Node
	err := p.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) (err error) {
		node, err = scopeNode(tx, scope)
		return err
	})
	return node, err
}

// scopeNode finds the node that a packet is about; nil is the whole company.
func scopeNode(tx *db.Tx, code string) (*id.Node, error) {
	if code == "" {
		return nil, nil
	}
	tree, err := treeKnown(tx, tx.Now, tx.Now)
	if err != nil {
		return nil, err
	}
	v, found := tree.Code(code)
	if !found || v.Code == hierarchy.SuspenseCode {
		return nil, fault.Invalid("scope", "scope_unknown", "There is no node %.40q that a packet could be about.", code)
	}
	return &v.Node, nil
}

func (p *Packets) build(ctx context.Context, tenant id.Tenant, by builder, month period.Month, scope *id.Node) (made id.Packet, fresh bool, err error) {
	if !p.log.Signs() {
		return made, false, errNothingSigned
	}
	for range buildRounds {
		made, fresh, err = p.attempt(ctx, tenant, by, month, scope)
		if errors.Is(err, errPacketBusy) {
			continue
		}
		if err != nil {
			return made, false, err
		}
		return made, fresh, p.seal(ctx, tenant, made)
	}
	return made, false, errPacketBusy
}

// attempt reads the figures, makes a packet of them and stores it, unless the latest
// revision says the same.
func (p *Packets) attempt(ctx context.Context, tenant id.Tenant, by builder, month period.Month, scope *id.Node) (made id.Packet, fresh bool, err error) {
	var figures *packet.Figures
	var last, corrected db.PacketRow
	var found, corrects bool
	if err := p.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		if err := notLetGo(tx); err != nil {
			return err
		}
		if figures, err = p.figures(tx, by, month, scope); err != nil {
			return err
		}
		if last, found, err = tx.LastPacket(month, scope); err != nil {
			return err
		}
		corrected, corrects, err = p.correcting(tx, figures, scope)
		return err
	}); err != nil {
		return made, false, err
	}
	digest, err := figures.Digest()
	if err != nil {
		return made, false, err
	}
	if found && last.State == string(figures.State()) && hex.EncodeToString(last.FiguresDigest) == digest {
		return last.PacketID, false, nil
	}
	figures.Revision = last.Revision + 1
	since := &last
	if corrects {
		figures.Corrects = &packet.Corrected{Revision: corrected.Revision, Packet: corrected.PacketID.String(), Manifest: hex.EncodeToString(corrected.ManifestDigest)}
		since = &corrected
	}
	if found {
		if figures.Changes, err = changesSince(figures, since); err != nil {
			return made, false, err
		}
	}
	built, err := packet.Build(figures)
	if err != nil {
		return made, false, err
	}
	made, err = p.keep(ctx, tenant, by, built, month, scope)
	return made, err == nil, err
}

func changesSince(figures *packet.Figures, last *db.PacketRow) ([]packet.Change, error) {
	now, err := figures.Snapshot()
	if err != nil {
		return nil, err
	}
	var before packet.Snapshot
	if err := json.Unmarshal(last.Snapshot, &before); err != nil {
		return nil, fmt.Errorf("read packet %s: %w", last.PacketID, err)
	}
	return now.Since(&before), nil
}

// keep stores a packet in one commit with the record that holds its manifest's digest.
func (p *Packets) keep(ctx context.Context, tenant id.Tenant, by builder, built *packet.Built, month period.Month, scope *id.Node) (id.Packet, error) {
	snapshot, err := json.Marshal(built.Snapshot)
	if err != nil {
		return id.Packet{}, fmt.Errorf("encode packet: %w", err)
	}
	figures, err := hex.DecodeString(built.Manifest.Figures)
	if err != nil {
		return id.Packet{}, fmt.Errorf("encode packet: %w", err)
	}
	var made id.Packet
	err = p.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		if err := tx.LockPackets(); err != nil {
			return err
		}
		last, _, err := tx.LastPacket(month, scope)
		if err != nil {
			return err
		}
		if last.Revision != built.Manifest.Revision-1 {
			return errPacketBusy
		}
		made = id.NewPacket(tx.Now)
		digest := sha256.Sum256(built.Document)
		row := &db.PacketRow{
			PacketID: made, Month: month.Start(), ScopeNodeID: scope, Revision: built.Manifest.Revision, State: string(built.Manifest.State), FiguresDigest: figures,
			Manifest: built.Document, ManifestDigest: digest[:], Snapshot: snapshot, RecordID: id.NewRecord(tx.Now), Actor: by.id,
		}
		if built.Manifest.Scope != nil {
			row.ScopeCode = built.Manifest.Scope.Code
		}
		if err := tx.AppendAudit(auditlog.Record{ID: row.RecordID, Action: "packet.built", Actor: by.id, Subject: made.String(), Detail: map[string]any{
			"manifest_sha256": hex.EncodeToString(digest[:]), "period": month.String(), "revision": row.Revision, "state": row.State, "scope": row.ScopeCode, "files": len(built.Files),
		}}); err != nil {
			return err
		}
		files := make([]db.PacketFileRow, 0, len(built.Files))
		for _, f := range built.Files {
			sum := sha256.Sum256(f.Content)
			file := db.PacketFileRow{Name: f.Name, Content: f.Content, ContentDigest: sum[:]}
			if f.Kept != "" {
				if err := keptIn(&file, f.Kept); err != nil {
					return err
				}
			}
			files = append(files, file)
		}
		return tx.AddPacket(row, files)
	})
	return made, err
}

// seal gives a packet what the log says of it: its record has its place, a signed head
// covers it, and the archive is the same bytes from then on. Doing it twice is doing it once.
func (p *Packets) seal(ctx context.Context, tenant id.Tenant, made id.Packet) error {
	sealed := false
	if err := p.db.ReadTenant(ctx, tenant, func(tx *db.Tx) (err error) {
		_, sealed, err = tx.PacketSeal(made)
		return err
	}); err != nil || sealed {
		return err
	}
	if _, err := sequence(ctx, p.db, tenant); err != nil {
		return err
	}
	if err := p.log.Sign(ctx, tenant); err != nil {
		return err
	}
	var row db.PacketSealRow
	if err := p.db.ReadTenant(ctx, tenant, func(tx *db.Tx) (err error) {
		row, err = sealOf(tx, made)
		return err
	}); err != nil {
		return err
	}
	return p.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		_, err := tx.SealPacket(made, &row)
		return err
	})
}

// sealOf reads what the log says of a packet.
func sealOf(tx *db.Tx, made id.Packet) (db.PacketSealRow, error) {
	var out db.PacketSealRow
	row, err := tx.Packet(made)
	if err != nil {
		return out, err
	}
	record, found, err := tx.LogRecord(row.RecordID)
	if err != nil {
		return out, err
	}
	if !found || record.Sequence < 0 {
		return out, errNothingSigned
	}
	head, covered, err := tx.FirstCheckpoint(record.Sequence + 1)
	if err != nil {
		return out, err
	}
	if !covered {
		return out, errNothingSigned
	}
	hashes, err := auditlog.ProveRecord(head.Size, record.Sequence, tx.LogNodes)
	if err != nil {
		return out, fmt.Errorf("prove record of a packet: %w", err)
	}
	out.Record, out.Checkpoint, out.Size = record.Canonical, head.Message, head.Size
	out.Proof = auditlog.Proof{Sequence: record.Sequence, Hashes: hashes, Checkpoint: head.Message}.Text()
	if out.Keys, err = keyStory(tx); err != nil {
		return out, err
	}
	archive, err := archiveOf(tx, &row, &out)
	if err != nil {
		return out, err
	}
	digest := sha256.Sum256(archive)
	out.ArchiveDigest, out.ArchiveBytes = digest[:], int64(len(archive))
	return out, nil
}

// archiveOf puts a packet together from what is stored.
func archiveOf(tx *db.Tx, row *db.PacketRow, s *db.PacketSealRow) ([]byte, error) {
	content, err := tx.PacketContent(row.PacketID, "")
	if err != nil {
		return nil, err
	}
	files := make([]packet.File, 0, len(content))
	for i := range content {
		files = append(files, packet.File{Name: content[i].Name, Content: content[i].Content})
	}
	seal := &packet.Seal{Record: s.Record, Proof: s.Proof, Checkpoint: s.Checkpoint}
	if err := json.Unmarshal(s.Keys, &seal.Keys); err != nil {
		return nil, fmt.Errorf("read keys of a packet: %w", err)
	}
	archive, err := packet.Archive(row.RecordedAt, row.Manifest, files, seal)
	if digest := sha256.Sum256(archive); err != nil || len(s.ArchiveDigest) == 0 || bytes.Equal(digest[:], s.ArchiveDigest) {
		return archive, err
	}
	return packet.ArchiveCompressed(row.RecordedAt, row.Manifest, files, seal) // it was sealed before archives were stored
}

// Ask asks for a packet to be built now, as a job; what came of it is told by Asked.
func (p *Packets) Ask(ctx context.Context, who Actor, month period.Month, scope string) (id.Record, error) {
	node, err := p.askable(ctx, who, scope)
	if err != nil {
		return id.Record{}, err
	}
	if !p.log.Signs() {
		return id.Record{}, errNothingSigned
	}
	var ask id.Record
	err = p.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := notLetGo(tx); err != nil {
			return err
		}
		if month.Start().After(tx.Now) {
			return fault.Invalid("period", "period_future", "%s has not begun: there is nothing to tell of it.", month)
		}
		ask = id.NewRecord(tx.Now)
		record := auditlog.Record{ID: ask, Action: "packet.asked", Actor: who.ID(), Detail: map[string]any{"period": month.String(), "scope": scope}}
		if err := tx.AppendAudit(record); err != nil {
			return err
		}
		if err := tx.AddPacketAsk(&db.PacketAskRow{RecordID: ask, Month: month.Start(), ScopeNodeID: node, Actor: who.ID()}); err != nil {
			return err
		}
		return tx.Enqueue(job.BuildPacket{Tenant: tx.Tenant.String(), Ask: ask.String()})
	})
	return ask, err
}

// maxWhy bounds why an ask came to nothing, in bytes.
const maxWhy = 500

// BuildAsked builds what somebody asked for, and stores what came of it.
func (p *Packets) BuildAsked(ctx context.Context, tenant id.Tenant, ask id.Record) error {
	var row db.PacketAskRow
	var by builder
	if err := p.db.ReadTenant(ctx, tenant, func(tx *db.Tx) error {
		var found bool
		var err error
		if row, found, err = tx.PacketAsk(ask); err != nil {
			return err
		}
		if !found {
			return errNoRecord
		}
		by, err = p.builderNamed(tx, row.Actor)
		return err
	}); err != nil || row.Ended {
		return err
	}
	made, fresh, err := p.build(ctx, tenant, by, period.MonthOf(row.Month), row.ScopeNodeID)
	end := db.PacketAskRow{RecordID: ask, Fresh: fresh}
	switch {
	case err == nil:
		end.PacketID = &made
	case fault.KindOf(err) == fault.KindUnavailable || fault.KindOf(err) == fault.KindInternal:
		return err // it may pass: the job comes again
	default:
		end.Why = strings.ToValidUTF8(fault.From(err).Message[:min(len(fault.From(err).Message), maxWhy)], "")
	}
	return p.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		_, err := tx.EndPacketAsk(&end)
		return err
	})
}

// builderNamed is somebody who asked before, with the name they have now.
func (p *Packets) builderNamed(tx *db.Tx, actor string) (builder, error) {
	hands, err := p.members.hands(tx, []string{actor})
	if err != nil {
		return builder{}, err
	}
	by := builder{id: actor, name: hands[actor].Name}
	if member := hands[actor].Member; !member.IsZero() {
		grants, err := tx.GrantsOf(member)
		if err != nil {
			return by, err
		}
		var roles []string
		for i := range grants {
			roles = append(roles, strings.ReplaceAll(grants[i].Role, "_", " "))
		}
		by.roles = strings.Join(roles, ", ")
	}
	return by, nil
}
